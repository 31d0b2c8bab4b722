"""The anchors of MUSHRA: the reference without its treble, so that every listener's scale has the same lower marks.

Axes: s samples.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tts_lab.errors import AudioError

LOW, MID = "anchor 3.5 kHz", "anchor 7 kHz"
CUTOFF_HZ = {LOW: 3500, MID: 7000}  # ITU-R BS.1534-3, 5.1: both are required
TRANSITION_HZ = 500  # at 4 kHz at least 25 dB down, at 4.5 kHz at least 50: the mask of the 3.5 kHz anchor
RIPPLE_DB = 60  # of the design; leaves 0.01 dB in the pass band, where the mask allows 0.1


def lowpass(samples: Tensor, rate: int, cutoff: int) -> Tensor:
    """(s,) sound without what lies above `cutoff` Hz: linear phase, its delay taken away, equally long.

    Raises AudioError where the sound's band ends below the stop band: such an anchor would be the reference itself.
    """
    if rate / 2 < cutoff + TRANSITION_HZ:
        raise AudioError(
            f"An anchor of {cutoff / 1000:g} kHz needs sound of at least {2 * (cutoff + TRANSITION_HZ):,} Hz, "
            f"but this has {rate:,}; leave the anchors out (anchors=False)."
        )
    from scipy.signal import fftconvolve

    filtered = fftconvolve(samples.double().numpy(), taps(rate, cutoff), mode="same")
    return torch.from_numpy(filtered).float()


def taps(rate: int, cutoff: int) -> np.ndarray:
    """The filter: a windowed sinc whose pass band ends at `cutoff`; an odd number of taps."""
    from scipy.signal import firwin, kaiser_beta

    length = math.ceil((RIPPLE_DB - 7.95) / (2.285 * 2 * math.pi * TRANSITION_HZ / rate)) | 1  # Kaiser's formula
    middle = cutoff + TRANSITION_HZ / 2
    return firwin(length, middle, window=("kaiser", kaiser_beta(RIPPLE_DB)), fs=rate)
