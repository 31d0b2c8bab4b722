"""Emotion as arithmetic on vectors: mixing a clip's emotion into a voice, and emotions given as eight weights.

Weights are in the order of `config.EMOTIONS`. Everything here is a pure function.

Axes: b batch, d width of the GPT, r stored rows (73), v width of a speaker vector (192), e emotions (8).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tts_lab.errors import VoiceError
from tts_lab.systems.indextts2.config import EMOTIONS

BIAS = (0.9375, 0.875, 1.0, 1.0, 0.9375, 0.9375, 0.6875, 0.5625)  # of `infer_v2.py`: some emotions are too much
MOST = 0.8  # of the sum of weights; the rest is the voice's own


def blend(base: Tensor, emotion: Tensor, alpha: float = 1.0) -> Tensor:
    """From a voice's own emotion vector (b, d) the share `alpha` of the way to another's: 0 its own, 1 the other's."""
    return base + alpha * (emotion - base)


def tempered(weights: Sequence[float], *, alpha: float = 1.0, bias: bool = True) -> tuple[float, ...]:
    """Eight weights as the public program uses them: toned down each by its own factor, in sum at most 0.8.

    alpha: strength of the whole, 0 to 1. bias: whether to tone down. Raises VoiceError for anything but eight numbers
    of 0 or more.
    """
    if len(weights) != len(EMOTIONS) or not all(0 <= w < float("inf") for w in weights):
        raise VoiceError(f"An emotion is eight weights of 0 or more, for {', '.join(EMOTIONS)}; not {list(weights)}.")
    if not 0 <= alpha <= 1:
        raise VoiceError(f"The strength of an emotion is between 0 and 1; not {alpha}.")
    given = [w * (factor if bias else 1.0) for w, factor in zip(weights, BIAS, strict=True)]
    scale = min(1.0, MOST / sum(given)) if sum(given) else 1.0
    return tuple(w * scale * alpha for w in given)


def nearest_rows(style: Tensor, speakers: Tensor, groups: Sequence[int]) -> Tensor:
    """In each emotion's group of stored speakers, the row most like the voice.

    style: (1, v) CAMPPlus vector; speakers: (r, v), feat1.pt; groups: rows of each emotion, in order (sum r).
    Returns (e,) int64 rows.
    """
    likeness = F.cosine_similarity(style.float(), speakers.float(), dim=1).split(list(groups))
    starts = [sum(groups[:i]) for i in range(len(groups))]
    return torch.stack([part.argmax() + start for part, start in zip(likeness, starts, strict=True)])


def emotion_rows(style: Tensor, speakers: Tensor, vectors: Tensor, groups: Sequence[int]) -> Tensor:
    """One emotion vector for each emotion, of the stored speaker most like the voice. vectors: (r, d), feat2.pt.

    Returns (e, d).
    """
    return vectors.index_select(0, nearest_rows(style, speakers, groups))


def by_weights(base: Tensor, rows: Tensor, weights: Sequence[float]) -> Tensor:
    """Emotion vector (1, d) of eight weights: what they leave of 1 is the voice's own, `base` (1, d). rows: (e, d)."""
    total = (1 - sum(weights)) * base
    for weight, row in zip(weights, rows, strict=True):
        total = total + weight * row
    return total
