"""What the emotions of the bundled voice do to its sound, and whether it is still understood.

    python benchmarks/emotions.py                     20 held-out sentences, every emotion, 4 evaluations (the default)
    python benchmarks/emotions.py --sentences 12 --vocoder universal

Each emotion is compared with the same sentences spoken neutrally: pitch, range, tempo, loudness, spectral balance and
breath by `tts_lab/experiments/prosody_measures.py`, which knows nothing of what was asked for; errors and rating by the
judges (extra `judges`). Each vocoder moves the voice in its own way and is measured by itself; what the file holds of
the other stays. Written to `data/measured/emotions.json`. Nobody was asked which emotion they hear.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from tqdm.auto import tqdm

from environment import ROOT, command, environment, positive, renewed, today, write_json
from quality_book import vocoder_setting, voice_digest
from tts_lab.experiments import judges as judging
from tts_lab.experiments import quality
from tts_lab.experiments.prosody_measures import Measures, averaged, measures, moved
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe, choices
from tts_lab.systems import load_system
from tts_lab.systems.mini.prosody import EMOTIONS
from tts_lab.types import Request
from voice_quality import HELDOUT, chosen

RESULT = ROOT / "data" / "measured" / "emotions.json"
HALF = 0.5  # the strength that is measured beside 1, of the strongest emotion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=positive, default=20)
    parser.add_argument("--vocoder", choices=choices("vocoder"), default=Recipe().vocoder)
    parser.add_argument("--only", nargs="+", choices=EMOTIONS, help="measure these anew (and neutral); the others stay")
    args = parser.parse_args()
    recipe = Recipe(vocoder=args.vocoder)
    judging.require()
    sentences = chosen(quality.load_sentences(HELDOUT, "test"), None, args.sentences)
    system, judges = load_system("mini", "cpu"), quality.Judges(1)
    asked = [(name, 1.0) for name in EMOTIONS] + [("surprised", HALF)]
    asked = [(name, strength) for name, strength in asked if name in ("neutral", *(args.only or EMOTIONS))]
    spoken: dict[str, list[Measures]] = {}
    settings: list[dict[str, Any]] = []
    for name, strength in asked:
        rows, found = [], []
        for sentence in tqdm(sentences, f"{name} {strength:g}", file=sys.stderr, mininterval=2):
            request = Request(sentence.text, sentence.voice, emotion=name, emotion_strength=strength)
            speech = say(system, request, recipe)
            rows.append(judges.hear(sentence, speech.samples, speech.sample_rate))
            found.append(measures(speech.samples, speech.sample_rate))
        spoken.setdefault(name, found)
        change = averaged([moved(a, b) for a, b in zip(spoken["neutral"], found, strict=True)])
        figures = quality.by_voice(rows)["all"]
        settings.append({"emotion": name, "strength": strength, "asked": asdict(EMOTIONS[name]), "measured": change,
                         "figures": figures, "rows": [asdict(row) for row in rows]})  # fmt: skip
    own = {"command": command(), "date": today(), "environment": environment(), "recipe": recipe.to_dict(),
           "origin": {"voice": voice_digest(), **vocoder_setting(recipe), **judging.versions()},
           "settings": settings}  # fmt: skip
    known = _known()
    if args.only:
        settings = renewed(known[args.vocoder]["settings"], settings, "emotion", "strength")
        own = {**known[args.vocoder], "settings": settings, "renewed": [args.only, command(), today()]}
    result = {"what": __doc__.splitlines()[0], "vocoders": {**known, args.vocoder: own}}
    write_json(RESULT, result)
    print(markdown(table(result)))


def _known() -> dict[str, Any]:
    """What the file holds already, by vocoder; nothing of another voice or other weights."""
    if not RESULT.exists():
        return {}
    known = json.loads(RESULT.read_text(encoding="utf-8"))["vocoders"]
    current = {name: {"voice": voice_digest(), **vocoder_setting(Recipe(vocoder=name))} for name in known}
    return {name: part for name, part in known.items() if current[name].items() <= part["origin"].items()}


def table(result: dict[str, Any]) -> Table:
    """A row for each emotion by each vocoder: what was asked for, what was measured."""
    header = ("emotion", "vocoder", "pitch (semitones)", "range", "tempo", "loudness (dB)", "balance (dB)",
              "breath: peak (dB)", "toneless-pinyin error (95 %)", "DistillMOS")  # fmt: skip
    rows = []
    names = [name for name in choices("vocoder") if name in result["vocoders"]]
    for vocoder, one in ((name, one) for name in names for one in result["vocoders"][name]["settings"]):
        was, got, f = one["asked"], one["measured"], one["figures"]
        s = one["strength"]
        rows.append((
            one["emotion"] + ("" if s == 1 else f", strength {s:g}"), vocoder,
            f"{got['level_semitones']:+.1f} ({s * was['level']:+.1f})",
            f"× {got['range']:.2f} ({was['range'] ** s:.2f})",
            f"× {got['tempo']:.2f} ({was['tempo'] ** s:.2f})", f"{got['loudness']:+.1f} ({s * was['energy']:+.1f})",
            f"{got['balance']:+.1f}", f"{got['prominence']:+.1f}", _error(f), f"{f['mos']:.2f}",
        ))  # fmt: skip
    return header, rows


def _error(figures: dict[str, Any]) -> str:
    low, high = figures["toneless_interval"]
    return f"{figures['toneless']:.1%} ({100 * low:.1f}–{100 * high:.1f})"


if __name__ == "__main__":
    main()
