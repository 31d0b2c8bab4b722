"""Speech without its sound, as much as one likes: what the average mel is taught on beside the corpus.

    python training/endless.py --packages packages --readout runs/readout --out endless --minutes 60 --jobs 2

Sentences are composed (`composed.py`), the teacher says what it would make their sound of, for four tenths of them at
a pitch that is moved in level and range, and a network reads the mel from that (`readout.py`). Files of 500 utterances
are written as they become ready, in the layout of features.py; another --seed later makes more beside them.

Beside what features.py stores there is what the teacher made the speech of, for the encoder to be told outright: per
phone `contents` (2, 512) float16, those of its first and last token, and `share`, of its time that the first one has
(nan where there is but one or none); and flat over all half ticks of 12.5 ms (tick_start (u+1,)) `curves` (2,) float16:
pitch in Hz and energy.

A border between phones lies somewhere inside a mel frame, and durations are whole frames. Here, where the mel is read
at any place one asks for, time is bent by up to half a frame so that borders lie where the durations say.
"""

from __future__ import annotations

import argparse
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

import features
import readout
from composed import Composer, Reading
from corpus import tokens_of
from teacher import FRAME_SAMPLES, INNER_RATE, RATE, Inner, Move, Teacher
from tts_lab.audio.mel import MEL_22K
from tts_lab.systems.mini.encoder import LATE, LEAD, TICKS_IN_FRAME, span_of, ticks_of

MEDIANS = {"zf_xiaobei": 237.0, "zf_xiaoxiao": 239.0, "zm_yunjian": 108.0, "zm_yunxi": 155.0}  # Hz, of the corpus
SPEEDS = (0.9, 0.95, 1.0, 1.0, 1.0, 1.05, 1.1, 1.15)
MOVED = 0.4  # share of utterances at another pitch
RANGES = (0.65, 1.4)
SEMITONES = (-3.5, 4.5)
FILE_ROWS = 500  # utterances in a file


class Source:
    """Makes utterances. packages: of the teacher; network: folder of the readout's run."""

    def __init__(self, packages: Path, network: Path) -> None:
        self.teacher = Teacher(packages, sound=False)
        self.readout = readout.load(network)

    def utterance(self, reading: Reading, voice: str, speed: float, move: Move, name: str) -> dict[str, Any]:
        """Features of a sentence, as features.py has them."""
        tokens, syllables = tokens_of(*reading)
        inner = self.teacher.inner(tokens, voice, speed, move)
        seconds = inner.frames * FRAME_SAMPLES / RATE
        total = round(seconds.sum() * MEL_22K.sample_rate) // MEL_22K.hop_length
        entry = {"id": name, "split": "train", "speaker": voice, "tokens": tokens, "syllables": syllables,
                 "durations_s": seconds.tolist()}  # fmt: skip
        spoken = [s for _, s in features.spans(entry)]
        mel, pitch = self.readout.read(inner, bent(spoken, total, np.arange(total) + 0.5))
        row = features.of_mel(entry, mel, pitch)
        places = bent(spoken, total, row["first"] + middles(row["duration"]))
        return row | told(entry, inner) | {"curves": curves(inner, places)}


def told(entry: dict[str, Any], inner: Inner) -> dict[str, np.ndarray]:
    """What each phone of a line is to the teacher: contents (p, 2, 512) float16, share (p,) float32."""
    places = [tokens for _, tokens in features.grouped(entry)]
    known = [tokens or [len(inner.frames) - 1] for tokens in places]
    contents = inner.tokens.T[[[tokens[0], tokens[-1]] for tokens in known]]
    share = [inner.frames[t[0]] / inner.frames[t].sum() if len(t) > 1 else np.nan for t in places]
    return {"contents": contents.astype(np.float16), "share": np.array(share, dtype=np.float32)}


def middles(durations: np.ndarray) -> np.ndarray:
    """Where the middles of half ticks (h,) lie in mel frames, of phones (n,) that last so many: the other way of what
    the encoder's clock says of frames."""
    known = torch.from_numpy(durations)
    ends = np.concatenate([[0], durations.cumsum()])
    ticks = np.concatenate([[0], ticks_of(known).cumsum(0).numpy()]) + LEAD - LATE
    halves = np.arange(2 * span_of(known[None])) / 2 + 0.25
    outside = (np.minimum(halves - ticks[0], 0) + np.maximum(halves - ticks[-1], 0)) / TICKS_IN_FRAME
    return np.interp(halves, ticks, ends) + outside


def curves(inner: Inner, places: np.ndarray) -> np.ndarray:
    """Pitch and energy (h, 2) float16 at places (h,) in mel frames from the beginning of the teacher's sound."""
    index = np.round(places * MEL_22K.hop_length / MEL_22K.sample_rate * INNER_RATE - 0.5).astype(int)
    both = np.stack((inner.pitch, inner.energy), 1)
    return both[index.clip(0, len(both) - 1)].astype(np.float16)


def packed(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Rows as features.py packs them, with what is told of them."""
    more = {name: np.concatenate([row[name] for row in rows]) for name in ("contents", "share", "curves")}
    return features.pack(rows) | more | {"tick_start": np.cumsum([0] + [len(row["curves"]) for row in rows])}


def bent(seconds: list[float], total: int, at: np.ndarray) -> np.ndarray:
    """Where to read what is asked of the places `at`, both in frames, so that phones of so many seconds last whole
    frames of the `total`."""
    ends = np.concatenate([[0.0], np.cumsum(seconds)]) * MEL_22K.sample_rate / MEL_22K.hop_length
    whole = np.concatenate([[0], np.cumsum(features.frames_of(seconds, total))])
    places, inverse = np.unique(whole, return_inverse=True)  # phones without a frame share their borders
    real = np.bincount(inverse, ends) / np.bincount(inverse)
    real[0], real[-1] = 0.0, ends[-1]
    return np.interp(at, places, real)


def move_of(voice: str, draw: random.Random) -> Move:
    """How an utterance's pitch is moved, if at all."""
    if draw.random() >= MOVED:
        return Move(MEDIANS[voice])
    semitones = min(max(draw.gauss(0.3, 1.6), SEMITONES[0]), SEMITONES[1])
    return Move(MEDIANS[voice], draw.uniform(*RANGES), semitones)


def work(job: tuple[int, argparse.Namespace]) -> int:
    """Write files until the time is over; returns the mel frames that were made."""
    seed, args = job
    torch.set_num_threads(1)
    source, composer, draw = Source(args.packages, args.readout), Composer(seed), random.Random(-seed)
    end, made, number = time.monotonic() + 60 * args.minutes, 0, 0
    while time.monotonic() < end:
        rows: list[dict[str, Any]] = []
        while len(rows) < args.rows and time.monotonic() < end:
            voice = draw.choice(list(MEDIANS))
            name = f"e{seed}_{number}_{len(rows)}"
            rows.append(source.utterance(composer.sentence(), voice, draw.choice(SPEEDS), move_of(voice, draw), name))
        if rows:
            part = args.out / f".{seed}_{number}.part.npz"
            np.savez(part, **packed(rows))
            part.replace(args.out / f"{seed}_{number}.npz")
            made, number = made + sum(len(row["mel"]) for row in rows), number + 1
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=Path("packages"), help="folder of the teacher's packages")
    parser.add_argument("--readout", type=Path, default=Path("runs/readout"))
    parser.add_argument("--out", type=Path, default=Path("endless"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rows", type=int, default=FILE_ROWS, help="utterances in a file")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [(args.seed * 1000 + k, args) for k in range(args.jobs)]
    with ProcessPoolExecutor(args.jobs) as pool:
        made = sum(pool.map(work, jobs))
    print(f"{made} frames, {made * MEL_22K.hop_length / MEL_22K.sample_rate / 3600:.2f} h, in {args.out}")


if __name__ == "__main__":
    main()
