"""What mini makes of reference clips: is a known voice known, and a voice it was never taught told apart?

    python benchmarks/reference_clips.py --others others

others: the speech that `training/other_voices.py` describes. Its `dev` voices and sentences set the limits, its `test`
voices and sentences give the figures here; the four known voices are in both, with other sentences. All of it is
synthetic. Clips are disturbed in the waveform, by other means than the encoder was taught with.

The judge of what is spoken is another encoder (`tts_lab/experiments/speaker_similarity.py`), which mini never saw.
Written: `data/measured/reference_clips.json`, with every clip's distance.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import scipy.signal
import soundfile
import torch
from scipy.stats import spearmanr

from environment import ROOT, command, environment, today, write_json
from tts_lab import Recipe, Request, load_system, say
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.speaker_similarity import embedding, similarity
from tts_lab.experiments.verification import equal_error, false_acceptance, false_rejection
from tts_lab.systems.mini.likeness import CALIBRATED_SECONDS, KNOWN, UNLIKE

RESULT = ROOT / "data" / "measured" / "reference_clips.json"
RATE = 22_050
SECONDS = (1, 3, 10)
EVERY_SECONDS = 1.0  # from one clip to the next
QUIET = 0.01  # of an utterance's peak: silence at its ends
SAID = ("窗外的雨下了一整夜，到早上才停。", "请把这本书还给图书馆的老师。")  # in no table of texts
RECIPE = Recipe(steps=4)

Sound = np.ndarray
Rows = list[dict[str, Any]]


# --- clips ---


def noisy(decibels: float) -> Callable[[Sound, np.random.Generator], Sound]:
    """White noise this far below the speech."""

    def change(sound: Sound, draw: np.random.Generator) -> Sound:
        return sound + draw.standard_normal(len(sound)) * sound.std() * 10 ** (-decibels / 20)

    return change


def telephone(sound: Sound, draw: np.random.Generator) -> Sound:
    """300 to 3400 Hz."""
    return scipy.signal.sosfilt(scipy.signal.butter(4, (300, 3400), "band", fs=RATE, output="sos"), sound)


def room(sound: Sound, draw: np.random.Generator) -> Sound:
    """A room of 0.4 s (to 60 dB), its reverberation 5 dB below the direct sound (Polack's model)."""
    time = np.arange(round(0.4 * RATE)) / RATE
    tail = draw.standard_normal(len(time)) * 10 ** (-3 * time / 0.4)
    tail *= 10 ** (-5 / 20) / np.sqrt(np.square(tail).sum())
    return sound + scipy.signal.fftconvolve(sound, tail)[: len(sound)]


CONDITIONS: dict[str, Callable[[Sound, np.random.Generator], Sound]] = {
    "noise 20 dB": noisy(20), "noise 10 dB": noisy(10), "telephone": telephone, "room": room,
}  # fmt: skip


def spoken(folder: Path, split: str) -> dict[str, Sound]:
    """All that a voice says in a split, without the silence at the utterances' ends."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    found = defaultdict(list)
    for entry in (e for e in map(json.loads, lines) if e["split"] == split):
        sound, rate = soundfile.read(folder / entry["file"], dtype="float32")
        assert rate == RATE, entry["file"]
        heard = np.flatnonzero(np.abs(sound) > QUIET * np.abs(sound).max())
        found[entry["speaker"]].append(sound[max(0, heard[0] - RATE // 20) : heard[-1] + RATE // 20])
    return {voice: np.concatenate(sounds) for voice, sounds in found.items()}


def cut(sound: Sound, seconds: float) -> list[Sound]:
    size, step = round(seconds * RATE), round(EVERY_SECONDS * RATE)
    return [sound[start : start + size] for start in range(0, len(sound) - size + 1, step)]


def heard(mini: Any, voices: dict[str, Sound], seconds: float, condition: str = "plain") -> Rows:
    """A row for each voice: what mini makes of all clips of it."""
    draw, rows = np.random.default_rng(0), []
    for voice, sound in voices.items():
        clips = [CONDITIONS[condition](clip, draw) if condition in CONDITIONS else clip for clip in cut(sound, seconds)]
        found = [mini.likeness(torch.from_numpy(clip).float()) for clip in clips]
        rows.append({
            "voice": voice, "known": short(voice) in mini.voices, "seconds": seconds, "condition": condition,
            "right": sum(one.nearest == short(voice) for one in found),
            "distances": [round(one.distance, 3) for one in found], "verdicts": [one.verdict for one in found],
        })  # fmt: skip
    return rows


def halved(dev: dict[str, Sound], test: dict[str, Sound]) -> tuple[dict[str, Sound], dict[str, Sound]]:
    """For each voice, sound to cut a clip from, and other sound: its sentences of dev and of test, or two halves."""
    one = {voice: sound for voice, sound in (dev | test).items() if not (voice in dev and voice in test)}
    first = {voice: dev[voice] for voice in dev if voice in test}
    later = {voice: test[voice] for voice in first}
    return (first | {voice: sound[: len(sound) // 2] for voice, sound in one.items()},
            later | {voice: sound[len(sound) // 2 :] for voice, sound in one.items()})  # fmt: skip


def short(voice: str) -> str:
    return voice.split("_")[1]


def calibration(rows: dict[str, Rows]) -> dict[str, Any]:
    """For each half: the limit where both errors are equal, and how often that limit errs on the other half."""
    halves = {split: (distances(part, True), distances(part, False)) for split, part in rows.items()}
    found = {
        split: dict(zip(("limit", "equal_error"), equal_error(*half), strict=True)) for split, half in halves.items()
    }
    for split, other in (("dev", "test"), ("test", "dev")):
        known, others = halves[other]
        limit = found[split]["limit"]
        found[split] |= {"on": other, "false_rejection": false_rejection(known, limit),
                         "false_acceptance": false_acceptance(others, limit)}  # fmt: skip
    return found


def distances(rows: Rows, known: bool) -> list[float]:
    return [d for row in rows if row["known"] == known for d in row["distances"]]


# --- what is spoken with a clip ---


def likenesses(mini: Any, clips: dict[str, Sound], others: dict[str, Sound], folder: Path) -> Rows:
    """For each voice, mini speaks sentences with a clip of it; how like is that to the same voice, and to the others?

    clips: sounds that the clips are cut from; others: other sound of all voices, to compare with.
    """
    teachers = {voice: embedding(torch.from_numpy(sound), RATE) for voice, sound in others.items()}
    rows = []
    for voice, sound in clips.items():
        path = folder / f"{voice}.wav"
        soundfile.write(path, cut(sound, CALIBRATED_SECONDS)[1], RATE)
        found = [say(mini, Request(text, reference=path), RECIPE) for text in SAID]
        ours = embedding(torch.cat([speech.samples for speech in found]), RATE)
        like = {name: similarity(ours, theirs) for name, theirs in teachers.items()}
        clip = found[0].receipt.clip
        nearest = next(name for name in teachers if short(name) == clip["nearest"])
        rows.append({
            "voice": voice, "known": short(voice) in mini.voices, "speaks": found[0].receipt.voice,
            "verdict": clip["verdict"], "distance": clip["distance"], "same": round(like[voice], 3),
            "other_known": round(max(s for name, s in like.items() if name != voice and short(name) in mini.voices), 3),
            "voices_themselves": round(similarity(teachers[voice], teachers[nearest]), 3),
        })  # fmt: skip
    return rows


# --- tables ---


CLIPS = (
    "clip", "known voice: nearest is right", "known / near / unlike any", "distance",
    "other voice: known / near / unlike any", "distance",
)  # fmt: skip
SPOKEN = (
    "clip of", "distance", "verdict", "spoken by", "similarity to the clip's voice", "to another of mini's, at most",
)  # fmt: skip


def table(found: dict[str, Any]) -> Table:
    """By length and by disturbance, known voices beside others."""
    rows = []
    for seconds, condition in dict.fromkeys((row["seconds"], row["condition"]) for row in found["clips"]):
        part = [row for row in found["clips"] if (row["seconds"], row["condition"]) == (seconds, condition)]
        known, others = ([row for row in part if row["known"] == which] for which in (True, False))
        name = f"{seconds} s" + f", {condition}" * (condition != "plain")
        rows.append((name, _right(known), _verdicts(known), _middle(known), _verdicts(others), _middle(others)))
    return CLIPS, rows


def similarities(found: dict[str, Any]) -> Table:
    """Each voice whose clip was given: what spoke, and how like the clip's voice that is."""
    if not found["spoken"]:
        return SPOKEN, []
    rows = sorted(found["spoken"]["rows"], key=lambda row: row["distance"])
    return SPOKEN, [
        (row["voice"], f"{row['distance']:.2f}", row["verdict"], row["speaks"], f"{row['same']:.2f}",
         f"{row['other_known']:.2f}") for row in rows
    ]  # fmt: skip


def _right(rows: Rows) -> str:
    return f"{sum(row['right'] for row in rows) / sum(len(row['distances']) for row in rows):.1%}"


def _verdicts(rows: Rows) -> str:
    said = [v for row in rows for v in row["verdicts"]]
    known, unlike = said.count(KNOWN), said.count(UNLIKE)
    return " / ".join(f"{n / len(said):.1%}" for n in (known, len(said) - known - unlike, unlike))


def _middle(rows: Rows) -> str:
    return f"{median(d for row in rows for d in row['distances']):.2f}"


def summary(rows: Rows) -> dict[str, Any]:
    known, others = ([row for row in rows if row["known"] == which] for which in (True, False))
    found = spearmanr([row["distance"] for row in others], [row["same"] for row in others])
    return {
        "known_same": round(fmean(row["same"] for row in known), 3),
        "known_other": round(fmean(row["other_known"] for row in known), 3),
        "others_same": round(fmean(row["same"] for row in others), 3),
        "others_spearman": round(float(found.statistic), 3), "others_spearman_p": round(float(found.pvalue), 4),
        "rows": rows,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--silent", action="store_true", help="distances only: nothing is spoken or judged")
    args = parser.parse_args()
    mini = load_system("mini", "cpu")
    dev, test = (spoken(args.others, split) for split in ("dev", "test"))
    rows = [row for seconds in SECONDS for row in heard(mini, test, seconds)]
    rows += [row for condition in CONDITIONS for row in heard(mini, test, 3, condition)]
    halves = {"dev": heard(mini, dev, 3), "test": [r for r in rows if (r["seconds"], r["condition"]) == (3, "plain")]}
    known, unlike = mini.model.speaker.limits.tolist()
    found = {
        "command": command(), "date": today(), "environment": environment(),
        "limits": {"known": round(known, 4), "unlike": round(unlike, 4)}, "calibration": calibration(halves),
        "clips": rows, "spoken": None,
    }  # fmt: skip
    write_json(args.out, found)
    print(markdown(table(found)), json.dumps(found["calibration"], indent=1), sep="\n\n", flush=True)
    if args.silent:
        return
    with tempfile.TemporaryDirectory() as folder:
        found["spoken"] = summary(likenesses(mini, *halved(dev, test), Path(folder)))
    write_json(args.out, found)
    print(markdown(similarities(found)), {k: v for k, v in found["spoken"].items() if k != "rows"}, sep="\n\n")


if __name__ == "__main__":
    main()
