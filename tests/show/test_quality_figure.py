from __future__ import annotations

import json

import pytest

from tts_lab.experiments.quality_table import only_steps
from tts_lab.paths import data_dir
from tts_lab.show.quality_figure import steps_figure


@pytest.fixture(scope="module")
def measured():
    folder = data_dir() / "measured"
    names = ("steps_quality", "quality-mini")
    return [json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["settings"] for name in names]


def test_every_way_and_every_setting_is_drawn(measured):
    ways, voice = measured
    left, right = steps_figure(ways, voice).axes
    drawn = sorted(round(float(y), 4) for line in left.lines for y in line.get_ydata())
    assert drawn == sorted(round(way["mel_cepstral_distance"], 4) for way in ways)
    other = {**voice[-1], "recipe": {**voice[-1]["recipe"], "precision": "bf16"}}  # is not among the steps
    right = steps_figure(ways, [*voice, other]).axes[1]
    spoken = [100 * s["figures"]["all"]["toneless"] for s in only_steps(voice) if s.get("evaluations")]
    assert len(spoken) >= 6
    assert list(right.lines[0].get_ydata()) == pytest.approx(spoken)
    guided = [s["figures"]["all"]["toneless"] for s in only_steps(voice, guidance=1.0)]
    assert len(guided) == 5  # the single evaluation is on every line
    assert list(right.lines[2].get_ydata()) == pytest.approx([100 * error for error in guided])
    legend = {text.get_text() for text in right.get_legend().get_texts()}
    assert legend >= {
        "teacher",
        "the bundled voice, leap",
        "the bundled voice, sway",
        "the bundled voice, leap, guided",
    }
