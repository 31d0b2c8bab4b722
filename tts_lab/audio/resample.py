"""Sample-rate conversion with soxr, at its highest common quality. Axes: b batch, s samples."""

from __future__ import annotations

import torch
from torch import Tensor

from tts_lab.errors import AudioError


def resample(samples: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Sound at another sample rate.

    samples: (s,) or (b, s), any device. Rates in Hz. Returns float32 of s * to_rate / from_rate samples, rounded, on
    the same device; the very same tensor where the rates are equal. Raises AudioError for rates that are not positive.
    """
    if from_rate <= 0 or to_rate <= 0:
        raise AudioError(f"Sample rates must be positive numbers of hertz, not {from_rate} and {to_rate}.")
    if from_rate == to_rate:
        return samples
    import soxr  # loaded late: systems that stay at one rate never need it

    array = samples.detach().float().cpu().numpy()
    result = soxr.resample(array.T, from_rate, to_rate, quality="HQ").T
    return torch.from_numpy(result.copy()).to(samples.device)
