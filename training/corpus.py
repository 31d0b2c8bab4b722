"""Texts -> corpus: the speech that the bundled voice learns from, made by the teacher. The first step of training.

    python training/corpus.py --packages packages --texts training/texts/corpus.jsonl --out corpus

`packages` is the folder of the teacher's packages: the beginning of teacher.py shows how to get them. It takes about
an hour of one core for each 0.8 hours of speech (1.7 in all). Stop it whenever you like: started again, it goes on.

Written: `wavs/<id>.flac` (22.05 kHz, mono, 16 bits) and `manifest.jsonl`, one JSON object a line, in the texts' order:
the columns of the texts (texts/README.md); `file`; `tokens`, the teacher's input; `durations_s`, seconds of each token
(multiples of 0.025, which sum to the length within one sample); `syllables`: hanzi, pinyin, and where its tokens are,
`tokens[token_start:token_end]`; `seconds`, `sample_rate`; `gain`, which is 1 unless the sound would have clipped.
An utterance that fails the gate (not a number, clipped, near silence, a silent syllable) is reported and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from teacher import FRAME_SAMPLES, PAD, RATE, Teacher, check
from tts_lab.errors import LabError, OutputError, TextError
from tts_lab.text.phones import syllable_phones

SAMPLE_RATE = 22_050
COLUMNS = ("id", "split", "type", "speaker", "speed", "text", "words", "pinyin")
ARROWS = {1: "→", 2: "↗", 3: "↓", 4: "↘", 5: ""}  # the teacher's tones; the neutral one has no sign
VOWELS = "aeiouyɔəɚɛɤɨʊ"
MARKS = {"，": ",", "、": ",", "。": ".", "！": "!", "？": "?", "：": ":", "；": ";"}
LEVEL = 0.7  # the graph speaks 3 dB louder than the published code; this brings it back, and its peaks below 1
PEAK = 0.97
QUIET_DBFS = -45.0  # an utterance of less power is near silence
SILENT_DB = -36.0  # a syllable this far below its utterance is silent; the quietest good one is at -30
LEAD_SECONDS = 0.05  # the teacher's sound runs ahead of its durations by this
SAVE_EVERY = 20  # utterances between two writings of the manifest

Row = dict[str, Any]


class Speaker(Protocol):
    """What is needed of a teacher; see teacher.Teacher."""

    def say(self, tokens: list[str], voice: str, speed: float) -> tuple[np.ndarray, np.ndarray]: ...


# --- texts and tokens ---


def read_texts(path: Path) -> list[Row]:
    """Rows of a table of texts; words and pinyin as lists. Raises TextError naming the line that is wrong."""
    if not path.is_file():
        raise TextError(f"There is no table of texts at {path}; the project's own is training/texts/corpus.jsonl.")
    rows: dict[str, Row] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            row = {k: row[k].split(" ") if k in ("words", "pinyin") else row[k] for k in COLUMNS}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TextError(f"Line {number} of {path} is not a JSON object with {', '.join(COLUMNS)}.") from None
        if row["id"] in rows or "".join(row["words"]) != row["text"]:
            raise TextError(f"Line {number} of {path}: its id is taken, or its words do not join to its text.")
        rows[row["id"]] = row
    return list(rows.values())


def syllable_tokens(pinyin: str) -> str:
    """The teacher's characters for a syllable: its phones, and its tone behind the last vowel, before a nasal.

    `"huan1"` -> `"xwa→n"`. Raises TextError for what is not a syllable of Mandarin.
    """
    try:
        phones = syllable_phones(pinyin)
        arrow = ARROWS[phones[0].tone]
    except KeyError:
        raise TextError(f"{pinyin!r} is not a pinyin syllable with its tone; write it like hao3 or lve4.") from None
    sounds = "".join(phone.symbol for phone in phones)
    end = len(sounds) - (sounds[-1] in "nŋ" and sounds[-2:-1] in VOWELS and len(sounds) > 1)
    return sounds[:end] + arrow + sounds[end:]


def tokens_of(words: list[str], pinyin: list[str]) -> tuple[list[str], list[Row]]:
    """The teacher's tokens and the syllables with their places in them.

    words: as cut, punctuation among them; pinyin: one a syllable. A space stands between words and behind punctuation.
    """
    tokens, syllables, left = [PAD], [], list(pinyin)
    for word in words:
        if word in MARKS:
            tokens += [MARKS[word], " "]
            continue
        if tokens[-1] not in (PAD, " "):
            tokens.append(" ")
        for hanzi in word:
            if not left:
                raise TextError(f"{''.join(words)!r} has more characters than pinyin; give every character one.")
            start, reading = len(tokens), left.pop(0)
            tokens += syllable_tokens(reading)
            syllables.append({"hanzi": hanzi, "pinyin": reading, "token_start": start, "token_end": len(tokens)})
    if left:
        raise TextError(f"{''.join(words)!r} has fewer characters than pinyin; give every character one.")
    return [*(tokens[:-1] if tokens[-1] == " " else tokens), PAD], syllables


# --- sound ---


def utterance(row: Row, out: Path, teacher: Speaker) -> tuple[Row, str]:
    """Make one utterance: its sound is written, its line of the manifest returned, with why it fails the gate or ""."""
    tokens, syllables = tokens_of(row["words"], row["pinyin"])
    samples, frames = teacher.say(tokens, row["speaker"], row["speed"])
    sound, gain = finish(samples)
    seconds = frames * FRAME_SAMPLES / RATE
    entry = {k: row[k] for k in COLUMNS} | {
        "language": "zh", "file": f"wavs/{row['id']}.flac", "tokens": tokens,
        "durations_s": [round(float(s), 3) for s in seconds], "syllables": syllables,
        "seconds": round(len(sound) / SAMPLE_RATE, 6), "sample_rate": SAMPLE_RATE, "gain": round(gain, 4),
    }  # fmt: skip
    fault = gate(sound, seconds, syllables)
    if not fault:
        write_flac(out / entry["file"], sound)
    return entry, fault


def finish(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """The teacher's sound (s,) at SAMPLE_RATE and common level, and the factor that kept it from clipping."""
    sound = soxr.resample(samples.astype(np.float32) * LEVEL, RATE, SAMPLE_RATE, quality="VHQ")
    peak = float(np.abs(sound).max(initial=0.0))
    gain = PEAK / peak if peak > PEAK else 1.0  # a comparison with nan is false: the gate will see it
    return sound * np.float32(gain), gain


def gate(sound: np.ndarray, seconds: np.ndarray, syllables: list[Row]) -> str:
    """What is wrong with an utterance, "" if nothing. sound: (s,); seconds: of each token."""
    if not np.isfinite(sound).all():
        return "holds values that are no numbers"
    if abs(len(sound) - seconds.sum() * SAMPLE_RATE) > 1:
        return "durations do not sum to its length"
    if np.abs(sound).max(initial=0.0) >= 1:
        return "clips"
    if decibels(sound) < QUIET_DBFS:
        return "is near silence"
    ends: list[float] = [0.0, *np.cumsum(seconds).tolist()]
    for syllable in syllables:
        start = max(0.0, ends[syllable["token_start"]] - LEAD_SECONDS)
        part = sound[round(start * SAMPLE_RATE) : round(ends[syllable["token_end"]] * SAMPLE_RATE)]
        if decibels(part) < decibels(sound) + SILENT_DB:
            return f"has a silent syllable: {syllable['hanzi']}"
    return ""


def decibels(sound: np.ndarray) -> float:
    """RMS in dB below full scale; -200 for silence and for no sound."""
    return 10 * float(np.log10(max(np.square(sound, dtype=np.float64).mean() if len(sound) else 0.0, 1e-20)))


# --- files ---


def write_flac(path: Path, sound: np.ndarray) -> None:
    part = path.with_name(f".{path.name}.part")
    soundfile.write(part, sound, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    os.replace(part, path)


def read_done(out: Path, rows: list[Row]) -> dict[str, Row]:
    """Lines of the manifest that need not be made again: their sound is there and their text unchanged."""
    path = out / "manifest.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    old = {entry["id"]: entry for entry in map(json.loads, lines)}
    same = (r["id"] for r in rows if r["id"] in old and all(old[r["id"]][k] == r[k] for k in COLUMNS))
    return {i: old[i] for i in same if (out / old[i]["file"]).is_file()}


def write_manifest(out: Path, rows: list[Row], done: dict[str, Row]) -> None:
    part = out / ".manifest.jsonl.part"
    lines = (json.dumps(done[row["id"]], ensure_ascii=False) + "\n" for row in rows if row["id"] in done)
    part.write_text("".join(lines), encoding="utf-8")
    os.replace(part, out / "manifest.jsonl")


def make(rows: list[Row], out: Path, results: Iterable[tuple[Row, str]], done: dict[str, Row]) -> dict[str, str]:
    """Collect utterances into the manifest, also when interrupted. Returns what was left out: id -> why."""
    faults: dict[str, str] = {}
    try:
        for number, (entry, fault) in enumerate(results, 1):
            if fault:
                faults[entry["id"]] = fault
            else:
                done[entry["id"]] = entry
            if number % SAVE_EVERY == 0:
                write_manifest(out, rows, done)
    finally:
        write_manifest(out, rows, done)
    return faults


# --- processes ---

_teacher: Speaker | None = None  # one in each worker: it takes a second and 400 MB to load


def _load(packages: Path) -> None:
    global _teacher
    _teacher = Teacher(packages)


def _work(row: Row, out: Path) -> tuple[Row, str]:
    assert _teacher is not None
    return utterance(row, out, _teacher)


def spoken(rows: list[Row], out: Path, packages: Path, jobs: int) -> Iterator[tuple[Row, str]]:
    """Utterances as they become ready, from `jobs` processes of one thread each."""
    if not rows:
        return
    if jobs == 1:
        _load(packages)
        yield from (_work(row, out) for row in rows)
        return
    check(packages)  # before any process starts: what is missing is told once, in a sentence
    with ProcessPoolExecutor(jobs, initializer=_load, initargs=(packages,)) as pool:
        futures = [pool.submit(_work, row, out) for row in rows]
        try:
            yield from (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(cancel_futures=True)


def run(args: argparse.Namespace) -> None:
    rows = read_texts(args.texts)
    try:
        (args.out / "wavs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"The folder {args.out} cannot be made ({error.strerror}); choose another --out.") from None
    done = read_done(args.out, rows)
    todo = [row for row in rows if row["id"] not in done][: args.limit]
    results = tqdm(spoken(todo, args.out, args.packages, args.jobs), total=len(todo), unit="utterance")
    for name, fault in make(rows, args.out, results, done).items():
        print(f"left out: {name} {fault}", file=sys.stderr)
    print(
        f"{len(done)} of {len(rows)} utterances, {sum(e['seconds'] for e in done.values()) / 3600:.3f} h, in {args.out}"
    )


def positive(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 up")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--packages", type=Path, default=Path("packages"), help="folder of the teacher's unpacked packages"
    )
    parser.add_argument("--texts", type=Path, default=Path(__file__).parent / "texts" / "corpus.jsonl")
    parser.add_argument("--out", type=Path, default=Path("corpus"))
    parser.add_argument("--limit", type=positive, help="make at most this many utterances now")
    parser.add_argument("--jobs", type=positive, default=2, help="processes")
    try:
        run(parser.parse_args())
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
