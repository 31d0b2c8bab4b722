"""What the solutions of the notebooks' exercises say the bundled voice does: nbval compares outputs, and not prose."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tts_lab import Recipe, Request, load_system, say
from tts_lab.experiments.copy_synthesis import copy_synthesis
from tts_lab.experiments.distances import distance, features, fundamental
from tts_lab.experiments.film import film
from tts_lab.show.compare import difference

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mini():
    return load_system("mini", device="cpu")


def said(name, pattern):
    """The numbers of a sentence in a notebook's solutions."""
    cells = nbformat.read(NOTEBOOKS / name, as_version=4).cells
    text = " ".join(" ".join(c.source for c in cells if "<summary>Solutions" in c.source).split())
    found = list(re.finditer(pattern, text))
    assert len(found) == 1, f"{name} does not say once: {pattern}"
    return [float(number) for number in found[0].groups()]


def test_film_of_even_steps_and_of_sway(mini):
    pattern = r"by ([\d.]+) dB at the second step and ([\d.]+) at the last; sway stays between ([\d.]+) and ([\d.]+)\."
    even, sway = (
        film(mini, "今天天气真好。", Recipe(steps=8, schedule=kind)).table()["change_db"].dropna().tolist()
        for kind in ("uniform", "sway")
    )
    found = [even[0], even[-1], min(sway), max(sway)]
    assert found == pytest.approx(said("06_steps_and_precision.ipynb", pattern), abs=0.1)


def test_steps_without_guidance_and_with_it(mini):
    figures = said(
        "06_steps_and_precision.ipynb", r"`sway\.replace\(steps=4, guidance=1\)`: ([\d.]+) and ([\d.]+) dB\."
    )
    sway = Recipe(schedule="sway", steps=16)
    last = say(mini, "今天天气真好。", sway)
    ways = sway.replace(steps=8), sway.replace(steps=4, guidance=1.0)
    for recipe, apart in zip(ways, figures, strict=True):
        found = difference({"16": last, "other": say(mini, "今天天气真好。", recipe)})
        assert found["mel_cepstral_db"] == pytest.approx(apart, abs=0.1)


def test_pitches_of_the_voices(mini):
    lowest, highest = said("07_mel_spectrograms.ipynb", r"from (\d+) Hz \(yunjian\) to (\d+) Hz \(xiaobei\)")
    spoken = {str(v): say(mini, Request("妈麻马骂。", voice=str(v))) for v in mini.voices}
    found = {voice: float(np.nanmedian(fundamental(speech.samples))) for voice, speech in spoken.items()}
    assert min(found, key=found.get) == "yunjian"
    assert max(found, key=found.get) == "xiaobei"
    assert [found["yunjian"], found["xiaobei"]] == pytest.approx([lowest, highest], rel=0.03)


def test_tenth_copy(mini):
    apart, cents = said("07_mel_spectrograms.ipynb", r"([\d.]+) dB, and the pitch is (\d+) cents off")
    speech = wave = say(mini, "妈麻马骂。", Recipe(steps=8))
    for _ in range(10):
        wave = copy_synthesis(mini, wave)
    found = distance(features(wave.samples[0], wave.sample_rate), features(speech.samples, speech.sample_rate))
    assert found.mel_cepstral == pytest.approx(apart, rel=0.1)
    assert found.f0_cents == pytest.approx(cents, rel=0.25)
