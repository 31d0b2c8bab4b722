"""At what speed and pitch the teacher speaks what is composed."""

from __future__ import annotations

import random

from teacher import Move

MEDIANS = {"zf_xiaobei": 237.0, "zf_xiaoxiao": 239.0, "zm_yunjian": 108.0, "zm_yunxi": 155.0}  # Hz, of the corpus
SPEEDS = (0.9, 0.95, 1.0, 1.0, 1.0, 1.05, 1.1, 1.15)
MOVED = 0.4  # share of utterances at another pitch
RANGES = (0.65, 1.4)
SEMITONES = (-3.5, 4.5)


def move_of(voice: str, draw: random.Random) -> Move:
    """How an utterance's pitch is moved, if at all."""
    if draw.random() >= MOVED:
        return Move(MEDIANS[voice])
    semitones = min(max(draw.gauss(0.3, 1.6), SEMITONES[0]), SEMITONES[1])
    return Move(MEDIANS[voice], draw.uniform(*RANGES), semitones)
