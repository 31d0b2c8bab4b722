"""Where pieces of speech meet, in figures: how long neighbours overlap, and whether the sound steps there.

Axes: s samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tts_lab.audio.join import concatenate, crossfade, overlap


@dataclass(frozen=True)
class Joint:
    """Two pieces that meet. start: second in the joined sound at which the later one begins; overlap: seconds.

    step_cut: difference of the two samples that would be neighbours if the pieces were put end to end; step_faded: the
    largest difference of two neighbours in the overlap. level: root mean square of the overlap. All of full scale.
    """

    start: float
    overlap: float
    step_cut: float
    step_faded: float
    level: float


def joints(pieces: Sequence[Tensor], fade: int, sample_rate: int) -> tuple[Joint, ...]:
    """Every joint of `crossfade(pieces, fade)`. pieces: (s_i,) tensors; fade: samples; empty pieces are skipped."""
    kept = [piece for piece in pieces if len(piece)]
    whole = concatenate(crossfade(kept, fade))
    found, start = [], 0
    for left, right in zip(kept, kept[1:], strict=False):
        shared = overlap(fade, len(left), len(right))
        start += len(left) - shared
        inside = whole[max(0, start - 1) : start + shared + 1]
        found.append(
            Joint(
                start / sample_rate, shared / sample_rate, float((right[0] - left[-1]).abs()),
                float(inside.diff().abs().max()), float(inside.square().mean().sqrt()),
            )
        )  # fmt: skip
    return tuple(found)


def gains(samples: int) -> tuple[Tensor, Tensor]:
    """Weights of the piece that fades out and of the one that fades in, of each sample of an overlap: (s,) each."""
    one, nothing = torch.ones(2 * samples), torch.zeros(2 * samples)
    out, into = (
        concatenate(crossfade(pair, samples))[samples : 2 * samples] for pair in ((one, nothing), (nothing, one))
    )
    return out, into
