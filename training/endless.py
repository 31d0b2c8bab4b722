"""Speech without its sound, as much as one likes: what the average mel is taught on beside the corpus.

    python training/endless.py --packages packages --readout runs/readout --out endless --minutes 60 --jobs 2

Sentences are composed (`composed.py`), the teacher says what it would make their sound of, for four tenths of them at
a pitch that is moved in level and range, and a network reads the mel from that (`readout.py`). Files of 500 utterances
are written as they become ready, in the layout of features.py; another --seed later makes more beside them.

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
from moves import MEDIANS, SPEEDS, move_of
from teacher import FRAME_SAMPLES, RATE, Move, Teacher
from tts_lab.audio.mel import MEL_22K

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
        mel, pitch = self.readout.read(inner, bent(spoken, total))
        return features.of_mel(entry, mel, pitch)


def bent(seconds: list[float], total: int) -> np.ndarray:
    """Where to read each of `total` frames (t,), in frames, so that phones of so many seconds last whole frames."""
    ends = np.concatenate([[0.0], features.ends_of(seconds)])
    whole = np.concatenate([[0], np.cumsum(features.frames_of(seconds, total))])
    places, inverse = np.unique(whole, return_inverse=True)  # phones without a frame share their borders
    real = np.bincount(inverse, ends) / np.bincount(inverse)
    real[0], real[-1] = 0.0, ends[-1]
    return np.interp(np.arange(total) + 0.5, places, real)


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
            np.savez(part, **features.pack(rows))
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
