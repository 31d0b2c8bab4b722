"""Kaldi filter banks, as speaker encoders read them. Axes: s samples, t frames (100 a second), f filters."""

from __future__ import annotations

from torch import Tensor

from tts_lab.audio.backend import torchaudio
from tts_lab.errors import AudioError

RATE = 16_000
WINDOW = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms


def filter_bank(samples: Tensor, filters: int = 80) -> Tensor:
    """Log filter bank of (s,) sound in [-1, 1] at 16 kHz, its mean over time taken away: (t, f) float32.

    Without dither, so that one sound gives one result. Raises AudioError where the sound is shorter than one window.
    """
    if samples.shape[-1] < WINDOW:
        raise AudioError(
            f"The sound is too short for a voice to be recognised: {samples.shape[-1]} samples at {RATE} Hz, "
            f"and at least {WINDOW} are needed."
        )
    kaldi = torchaudio().compliance.kaldi
    bank: Tensor = kaldi.fbank(samples.float()[None], num_mel_bins=filters, dither=0.0, sample_frequency=float(RATE))
    return bank - bank.mean(0, keepdim=True)


def frames(samples: int) -> int:
    """Frames t that `samples` samples give."""
    return 0 if samples < WINDOW else 1 + (samples - WINDOW) // HOP
