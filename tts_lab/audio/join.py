"""Joining pieces of speech. Axes: s samples."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor


def crossfade(pieces: Iterable[Tensor], fade: int) -> Iterator[Tensor]:
    """Join pieces with equal-power cross-fades, as a stream.

    pieces: (s_i,) tensors, taken one at a time. fade: samples that neighbours overlap; shortened at a joint to half of
    the shorter neighbour, so that no sample takes part in two fades. Yields (s,) tensors that concatenate to the joined
    sound: sum(s_i) minus the overlaps. Holds at most one piece and `fade` samples at a time; empty pieces are skipped.

    Equal power (squared gains add up to one) because neighbouring chunks of speech are uncorrelated: a linear fade
    would dip by 3 dB in the middle.
    """
    if fade < 0:
        raise ValueError(f"fade must be 0 samples or more, not {fade}")
    tail: Tensor | None = None
    for piece in pieces:
        if piece.shape[-1] == 0:
            continue
        reserve = overlap(fade, piece.shape[-1], piece.shape[-1])
        if tail is not None:
            shared = min(tail.shape[-1], reserve)
            if tail.shape[-1] > shared:
                yield tail[: tail.shape[-1] - shared]
            piece = torch.cat([_blend(tail[tail.shape[-1] - shared :], piece[:shared]), piece[shared:]])
        body = piece.shape[-1] - reserve
        yield piece[:body]
        tail = piece[body:].clone()  # a view would keep the whole piece alive
    if tail is not None and tail.shape[-1]:
        yield tail


def overlap(fade: int, left: int, right: int) -> int:
    """Samples that two neighbours of `left` and `right` samples share in `crossfade`."""
    return min(fade, left // 2, right // 2)


def joined_length(lengths: Iterable[int], fade: int) -> int:
    """Samples of the sound that `crossfade` makes of pieces of these lengths."""
    kept = [length for length in lengths if length]
    return sum(kept) - sum(overlap(fade, a, b) for a, b in pairwise(kept))


def concatenate(pieces: Iterable[Tensor]) -> Tensor:
    """All pieces end to end, as one (s,) tensor; an empty one where there are none."""
    kept = list(pieces)
    return torch.cat(kept) if kept else torch.zeros(0)


def _blend(out: Tensor, into: Tensor) -> Tensor:
    """Equal-power mix of two (s,) stretches: one fades out, the other in. Gains are taken mid-sample: symmetric."""
    size = out.shape[-1]
    angle = (torch.arange(size, device=out.device, dtype=torch.float32) + 0.5) * (math.pi / 2 / max(size, 1))
    return out * angle.cos() + into * angle.sin()
