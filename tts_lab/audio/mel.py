"""Log-mel spectrograms: each system's front end is data (`MelSpec`), computed by one function.

Axes: b batch, s samples, m mel bands, t frames, f frequency bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tts_lab.audio.backend import torchaudio
from tts_lab.errors import AudioError


@dataclass(frozen=True)
class MelSpec:
    """A mel front end as data. Filters are slaney-scaled and slaney-normalised, on the magnitude spectrum.

    sample_rate in Hz; n_fft, win_length, hop_length in samples; fmin, fmax in Hz (fmax None: half the sample rate).
    padding: `reflect`: (n_fft - hop_length) / 2 mirrored samples a side, so t = s // hop_length;
        `zero`: n_fft / 2 zeros a side (librosa's centred frames), so t = 1 + s // hop_length.
    power_floor: added to the power before the square root. floor: smallest mel value that is not clamped.
    scale: `ln`: natural logarithm; `unit-db`: 20 log10 minus 20 dB, -100..0 dB mapped to 0..1 and clipped.
    """

    sample_rate: int
    n_mels: int
    n_fft: int
    win_length: int
    hop_length: int
    fmin: float = 0.0
    fmax: float | None = None
    padding: Literal["reflect", "zero"] = "reflect"
    power_floor: float = 1e-9
    floor: float = 1e-5
    scale: Literal["ln", "unit-db"] = "ln"

    @property
    def pad(self) -> int:
        """Samples added at each side."""
        return self.n_fft // 2 if self.padding == "zero" else (self.n_fft - self.hop_length) // 2

    def frames(self, samples: int) -> int:
        """Frames t that `samples` samples give; 0 where they are too few to compute a mel."""
        if samples < self.shortest:
            return 0
        return 1 + (samples + 2 * self.pad - self.n_fft) // self.hop_length

    @property
    def shortest(self) -> int:
        """Fewest samples with a mel: mirroring needs one more sample than it adds, and a frame must fit."""
        return max(self.pad + 1, self.n_fft - 2 * self.pad) if self.padding == "reflect" else 1


MEL_22K = MelSpec(sample_rate=22_050, n_mels=80, n_fft=1024, win_length=1024, hop_length=256, fmax=8000.0)
"""HiFi-GAN universal V1 (jik876/hifi-gan, config_v1.json and meldataset.py)."""

MEL_22K_FULL = MelSpec(sample_rate=22_050, n_mels=80, n_fft=1024, win_length=1024, hop_length=256, fmax=None)
"""BigVGAN v2 22 kHz 80 band and IndexTTS-2 (indextts/s2mel/modules/audio.py): the same, up to 11,025 Hz."""

MEL_16K_SAMBERT = MelSpec(
    sample_rate=16_000,
    n_mels=80,
    n_fft=2048,
    win_length=1000,
    hop_length=200,
    fmax=8000.0,
    padding="zero",
    power_floor=0.0,
    scale="unit-db",
)
"""Sambert-HiFiGAN 16 kHz, before the voice's own mean and deviation (KAN-TTS, audio_processor/core/dsp.py)."""


def log_mel(samples: Tensor, spec: MelSpec) -> Tensor:
    """Log-mel spectrogram of sound at `spec.sample_rate`.

    samples: (b, s) or (s,) in [-1, 1]. Returns (b, m, t) float32 on the same device, with b = 1 for (s,).
    Raises AudioError where the sound is shorter than one frame.
    """
    samples = samples.float() if samples.ndim == 2 else samples.float()[None]
    if samples.shape[-1] < spec.shortest:
        raise AudioError(
            f"The sound is too short for a mel spectrogram: {samples.shape[-1]} samples at {spec.sample_rate} Hz, "
            f"and at least {spec.shortest} are needed."
        )
    mel = mel_filters(spec, samples.device) @ magnitude(samples, spec)
    return _compress(mel, spec)


def magnitude(samples: Tensor, spec: MelSpec) -> Tensor:
    """Magnitude spectrum of sound. (b, s) -> (b, f, t), with f = n_fft / 2 + 1."""
    padded = F.pad(samples, (spec.pad, spec.pad), mode="reflect" if spec.padding == "reflect" else "constant")
    window = torch.hann_window(spec.win_length, device=samples.device)
    spectrum = torch.stft(
        padded, spec.n_fft, spec.hop_length, spec.win_length, window, center=False, return_complex=True
    )
    parts = torch.view_as_real(spectrum)
    return torch.sqrt(parts.square().sum(-1) + spec.power_floor)


@lru_cache(maxsize=32)
def mel_filters(spec: MelSpec, device: torch.device | str = "cpu") -> Tensor:
    """Triangular mel filters (m, f), as librosa.filters.mel makes them. Shared: do not change the result."""
    with torch.inference_mode(False):  # a cached inference tensor could never take part in training
        filters: Tensor = torchaudio().functional.melscale_fbanks(
            n_freqs=spec.n_fft // 2 + 1,
            f_min=spec.fmin,
            f_max=spec.fmax if spec.fmax is not None else spec.sample_rate / 2,
            n_mels=spec.n_mels,
            sample_rate=spec.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )
        return filters.T.contiguous().to(device)


def band_centres(spec: MelSpec) -> Tensor:
    """Hz (m,) at which each band's filter is at its peak, to a bin of the spectrum."""
    return mel_filters(spec).argmax(1) * (spec.sample_rate / spec.n_fft)


def _compress(mel: Tensor, spec: MelSpec) -> Tensor:
    mel = mel.clamp(min=spec.floor)
    if spec.scale == "ln":
        return mel.log()
    decibels = 20 * mel.log10() - 20
    return ((decibels + 100) / 100).clamp(0, 1)
