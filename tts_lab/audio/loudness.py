"""Loudness after ITU-R BS.1770 (pyloudnorm), measured and matched before any comparison by ear. Axes: s samples."""

from __future__ import annotations

import math

from torch import Tensor

BLOCK_SECONDS = 0.4  # gating block of ITU-R BS.1770-4
SHORTEST_SECONDS = 0.02
TARGET_LUFS = -23.0  # EBU R 128; leaves room for the peaks of speech


def measure(samples: Tensor, rate: int) -> float:
    """Integrated loudness in LUFS of (s,) sound at `rate` Hz; -inf for silence.

    Clips under 0.4 s, for which the standard defines nothing, are measured as one block without gating, so that a
    short clip and the same clip repeated agree; under 0.02 s the K-weighting has not settled and the result is -inf.
    """
    import pyloudnorm

    seconds = samples.shape[-1] / rate
    if seconds < SHORTEST_SECONDS or not bool((samples != 0).any()):
        return -math.inf
    meter = pyloudnorm.Meter(rate, block_size=min(BLOCK_SECONDS, seconds))
    return float(meter.integrated_loudness(samples.detach().double().cpu().numpy()))


def match(samples: Tensor, rate: int, target: float = TARGET_LUFS, peak: float = 0.99) -> Tensor:
    """The same (s,) sound at `target` LUFS. Silence comes back unchanged.

    Where that would push the peak above `peak`, the gain stops there: the result is then quieter than the target
    rather than distorted. Choose a lower target for all clips of a comparison in that case.
    """
    loudness = measure(samples, rate)
    if not math.isfinite(loudness):
        return samples
    gain = 10 ** ((target - loudness) / 20)
    highest = float(samples.abs().max())
    return samples * min(gain, peak / highest)
