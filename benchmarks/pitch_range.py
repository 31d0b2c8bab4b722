"""How wide a pitch is heard where mini's codes of pitch are moved apart by a factor.

    python benchmarks/pitch_range.py                  8 sentences that chose settings, six factors; two minutes

A code is the mean of a phone, and how the pitch goes inside it follows the tone alone: so excursions that are twice as
wide in codes are not heard as twice as wide; and their middle, which stays where it is in codes, is heard to move.
`tts_lab/systems/mini/prosody.py` holds what this measures (`CODES`, `HEARD`, `SHIFT`) and asks the codes for what is to
be heard; a test compares the two. Heard are the spread and the median of the fundamental as
`tts_lab/experiments/prosody_measures.py` takes them, against the same sentences at factor 1. Written to
`data/measured/pitch_range.json`.
"""

from __future__ import annotations

import sys
from unittest import mock

from tqdm.auto import tqdm

from environment import ROOT, command, environment, no_options, today, write_json
from quality_book import voice_digest
from tts_lab.experiments import quality
from tts_lab.experiments.prosody_measures import Measures, averaged, measures, moved
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.systems.mini import stages
from tts_lab.systems.mini.prosody import CODES, HEARD, SHIFT, Prosody
from tts_lab.types import Request
from voice_quality import HELDOUT, chosen

RESULT = ROOT / "data" / "measured" / "pitch_range.json"
SENTENCES = 8


def main() -> None:
    no_options(__doc__)
    system, recipe = load_system("mini", "cpu"), Recipe(vocoder="universal")
    sentences = chosen(quality.load_sentences(HELDOUT, "dev"), None, SENTENCES)

    def spoken(prosody: Prosody) -> list[Measures]:
        with mock.patch.object(stages, "asked", return_value=prosody):
            speech = [say(system, Request(s.text, s.voice), recipe) for s in sentences]
        return [measures(one.samples, one.sample_rate) for one in speech]

    plain = spoken(Prosody())
    heard, shift = [], []
    for wide, level in zip(tqdm(HEARD, "factors", file=sys.stderr), SHIFT, strict=True):
        rows = spoken(Prosody(level, wide))  # what the codes of each factor, and no other level, are asked for by
        found = averaged([moved(a, b) for a, b in zip(plain, rows, strict=True)])
        heard.append(found["range"])
        shift.append(found["level_semitones"])
    result = {"what": __doc__.splitlines()[0], "command": command(), "date": today(), "environment": environment(),
              "origin": {"voice": voice_digest()}, "recipe": recipe.to_dict(), "sentences": [s.id for s in sentences],
              "codes": list(CODES), "heard": [round(x, 3) for x in heard],
              "shift": [round(x, 3) for x in shift]}  # fmt: skip
    write_json(RESULT, result)
    for factor, there, level in zip(CODES, heard, shift, strict=True):
        print(f"codes × {factor:.2f}: heard × {there:.2f}, {level:+.2f} semitones")


if __name__ == "__main__":
    main()
