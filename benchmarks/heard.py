"""What number formats do to the sound of the bundled voice: one sentence, computed in each, kept to be heard.

    python benchmarks/heard.py

Writes `data/measured/heard.json` and a FLAC file for each format in `data/measured/heard/`. Half precision is slow on a
CPU: some minutes.
"""

from __future__ import annotations

from typing import Any

import torch
from tqdm.auto import tqdm

from environment import ROOT, command, environment, no_options, today, write_json
from tts_lab.audio.files import write
from tts_lab.experiments.distances import Distance, distance, features
from tts_lab.experiments.lent import as_on_a_card
from tts_lab.experiments.quality_table import markdown
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.types import Request, Speech

TEXT, VOICE, SEEDS = "今天天气真好。", "xiaobei", (0, 1, 2, 7)  # the first is kept to be heard
FORMATS: dict[str, dict[str, str]] = {
    "fp32": {}, "fp16": {"precision": "fp16"}, "bf16": {"precision": "bf16"}, "int8": {"quantisation": "int8"},
    "fp8": {"quantisation": "fp8"},
}  # fmt: skip
RECIPE = Recipe(steps=8)
FOLDER = ROOT / "data" / "measured" / "heard"


def main() -> None:
    torch.set_num_threads(1)
    system = as_on_a_card(load_system("mini", "cpu"))
    spoken: dict[str, list[Speech]] = {}
    for name, levers in tqdm(FORMATS.items(), "formats"):
        recipe = RECIPE.replace(**levers)
        spoken[name] = [say(system, Request(TEXT, VOICE, seed=seed), recipe) for seed in SEEDS]
    rows = [_row(name, speeches, spoken["fp32"]) for name, speeches in spoken.items()]
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, (kept, *_) in spoken.items():
        write(FOLDER / f"{name}.flac", kept.samples, kept.sample_rate)
    result = {
        "what": "One sentence of mini in each number format, computed in it on a CPU.", "command": command(),
        "date": today(), "environment": environment(), "text": TEXT, "voice": VOICE, "seeds": SEEDS,
        "recipe": RECIPE.to_dict(), "settings": rows,
    }  # fmt: skip
    write_json(ROOT / "data" / "measured" / "heard.json", result)
    print(markdown((tuple(rows[0]), [tuple(str(value) for value in row.values()) for row in rows])))


def _row(name: str, speeches: list[Speech], first: list[Speech]) -> dict[str, Any]:
    """Distances of the same draws only: another duration is another way to say it, not a worse one."""
    same = [_durations(a) == _durations(b) for a, b in zip(speeches, first, strict=True)]
    apart = [_apart(a, b) for a, b, alike in zip(speeches, first, same, strict=True) if alike]
    return {
        "format": name, "seeds": len(same), "other_draws": same.count(False),
        "mel_cepstral_distance": [round(d.mel_cepstral or 0.0, 3) for d in apart],
        "f0_error_cents": [round(d.f0_cents or 0.0, 1) for d in apart],
    }  # fmt: skip


def _durations(speech: Speech) -> list[tuple[int, ...]]:
    return [wave.mel.semantic.durations for wave in speech.waves]


def _apart(speech: Speech, first: Speech) -> Distance:
    return distance(*(features(each.samples, each.sample_rate) for each in (speech, first)))


if __name__ == "__main__":
    no_options(__doc__)
    main()
