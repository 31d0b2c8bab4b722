"""A vocoder that knows how a voice works: pulses at the pitch and noise, each through a filter read from the mel.

The harmonic-plus-noise model of speech with filters from a network, as in the neural homomorphic vocoder (Liu et al.
2020) and DDSP (Engel et al. 2020); the network is of ConvNeXt blocks, as in Vocos (Siuzdak 2023). HiFi-GAN has to
learn what a periodic sound is from data and computes it sample by sample; here a frame of 256 samples costs one pass of
a small network and three products with a Fourier matrix. The matrices stand in for an FFT: what they hold in memory is
known to the byte, and an FFT's workspace is not.

Axes: b batch, m mel bands, t mel frames, h samples of a frame, w of a window, f bins, s samples, p pitch classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.feedforward import ConvNeXt

LOWEST = 50.0  # Hz, of the first pitch class
CLASSES_PER_OCTAVE = 48
REACH = 4  # classes either side of the likeliest that have a say
EDGE = 0.97  # of the highest frequency: where the last harmonic ends
STRONGEST = 6.0  # natural logarithm of a filter's gain at most
KERNEL = 7
BREATH_FROM, BREATH_TO = 500.0, 3000.0  # Hz: where breath begins to be heard, and where it is all there
BREATH_MOST = 0.6  # of the power of the pulses that becomes noise
BREATH_DULLS = 5.0  # dB
WINDOWS_SUM = 1.5  # of the squares of Hann windows a quarter of their length apart


@dataclass(frozen=True)
class SourceFilterSizes:
    """classes: of pitch, a quarter of a semitone each from 50 Hz up."""

    mels: int = 80
    sample_rate: int = 22_050
    hop_length: int = 256
    window: int = 1024
    width: int = 256
    inner: int = 768
    layers: int = 6
    pitch_width: int = 128
    pitch_layers: int = 4
    classes: int = 184

    @property
    def bins(self) -> int:
        return self.window // 2 + 1


class PitchReader(nn.Module):
    """Log-mel (b, m, t) -> scores of pitch classes (b, t, p); where unvoiced, of the pitch between neighbours."""

    def __init__(self, sizes: SourceFilterSizes) -> None:
        super().__init__()
        d = sizes.pitch_width
        self.first = nn.Conv1d(sizes.mels, d, 5, padding=2)
        self.blocks = nn.ModuleList(ConvNeXt(d, 2 * d, KERNEL) for _ in range(sizes.pitch_layers))
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, sizes.classes)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.first(mel).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))


class SourceFilter(nn.Module):
    """A vocoder in two steps, so that a long mel can be taken in tiles.

    `source(log-mel (b, m, t), noise (b, h, t))` reads the pitch and adds it up to a phase, over the whole; `forward`
    makes samples (b, s) of that and needs no more than `receptive_field()` frames around a place.
    """

    # Pairs of float32 as complex64: whatever number format the network is lent in, signals are computed in float32.
    analysis: Tensor  # (w, f): windowed cosines and sines; their transpose leads back
    minimum: Tensor  # (f, (f + 1) / 2): log magnitude -> phase of the filter that rings shortest
    breathy: Tensor  # (f,): how much of a bin breath takes, 0 below BREATH_FROM

    def __init__(self, sizes: SourceFilterSizes = SourceFilterSizes()) -> None:
        super().__init__()
        self.sizes = sizes
        d = sizes.width
        self.pitch = PitchReader(sizes)
        self.first = nn.Conv1d(sizes.mels + 2, d, KERNEL, padding=KERNEL // 2)
        self.first_norm = nn.LayerNorm(d)
        self.blocks = nn.ModuleList(ConvNeXt(d, sizes.inner, KERNEL, scaled=True) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(d)
        self.out = nn.Linear(d, 3 * sizes.bins)
        for name, matrix in fourier(sizes.window).items():
            self.register_buffer(name, matrix, persistent=False)
        hertz_of = torch.linspace(0, sizes.sample_rate / 2, sizes.bins)
        rise = (hertz_of.clamp(min=1) / BREATH_FROM).log() / math.log(BREATH_TO / BREATH_FROM)
        self.register_buffer("breathy", rise.clamp(0, 1), persistent=False)

    def receptive_field(self) -> int:
        """Mel frames on each side that can influence a frame's samples, given the source."""
        window = -(-(self.sizes.window - self.sizes.hop_length) // self.sizes.hop_length)
        return (KERNEL // 2) * (1 + self.sizes.layers) + window

    def read(self, mel: Tensor) -> Tensor:
        """Log-mel (b, m, t) -> its pitch (b, t) in Hz, on the CPU: a few numbers a frame, and sums in float64."""
        return hertz(self.pitch(mel.to(self.pitch.first.weight.dtype)).cpu())

    def source(self, mel: Tensor, noise: Tensor, f0: Tensor | None = None, voice: Tensor | None = None,
               breath: float = 0.0, start: Tensor | None = None) -> Tensor:  # fmt: skip
        """What `forward` reads, (b, m + 4 + h, t) float32: mel, its pitch in octaves above 100 Hz, how far the voice is
        moved from there in octaves, breath, phase in turns, noise.

        noise: of variance 1, a column for a frame. f0: (b, t) Hz, the mel's pitch, read from it if None. voice: (b, t)
        Hz, the pitch to be spoken, the mel's if None. breath: 0 to 1. start: (b,) turns at which the sound begins.
        """
        f0 = self.read(mel) if f0 is None else f0
        voice = f0 if voice is None else voice
        turns = voice.double() * (self.sizes.hop_length / self.sizes.sample_rate)
        ahead = turns.cumsum(1) - turns  # whole frames before this one
        if start is not None:
            ahead = ahead + start.double()[:, None]
        rows = (torch.log2(f0 / 100), torch.log2(voice / f0), torch.full_like(f0, breath), torch.remainder(ahead, 1.0))
        few = torch.stack([row.float() for row in rows], 1)
        return torch.cat((mel.float(), few.to(mel.device), noise.float()), 1)

    def forward(self, source: Tensor) -> Tensor:
        """Source (b, m + 2 + h, t) -> samples (b, s) float32."""
        return self.filtered(source, self.filters(source))

    def filters(self, source: Tensor) -> Tensor:
        """Source -> (b, t, 3f): log magnitude of the pulses' filter and of the noise's, and what turns the former."""
        mel, pitches = source[:, : self.sizes.mels], source[:, self.sizes.mels : self.sizes.mels + 2]
        level = mel / 4 + 1  # logarithms of speech, mostly from -11.5 to 2, come about zero
        x = torch.cat((level, pitches), 1).to(self.first.weight.dtype)
        x = self.first_norm(self.first(x).transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        return self.out(self.norm(x))

    def filtered(self, source: Tensor, filters: Tensor) -> Tensor:
        """Pulses and noise of a source through such filters -> samples (b, s) float32."""
        _, octaves, move, breath, phase, noise = source.split((self.sizes.mels, 1, 1, 1, 1, self.sizes.hop_length), 1)
        voice, hiss, turn = filters.float().split(self.sizes.bins, -1)
        voice, hiss = voice.clamp(max=STRONGEST), hiss.clamp(max=STRONGEST)
        turn = turn + voice @ torch.view_as_real(self.minimum).flatten(1)[:, : self.sizes.bins]
        voice, hiss = self._breathed(voice.exp(), hiss.exp(), breath.transpose(1, 2))
        pulses = self._spectrum(self._pulses(100 * torch.exp2((octaves + move)[:, 0]), phase[:, 0]))
        noise = self._spectrum(noise.transpose(1, 2).flatten(1))
        cos, sin = voice * turn.cos(), voice * turn.sin()
        real = pulses[..., 0] * cos - pulses[..., 1] * sin + hiss * noise[..., 0]
        imaginary = pulses[..., 0] * sin + pulses[..., 1] * cos + hiss * noise[..., 1]
        return self._sound(torch.stack((real, imaginary), -1))

    def _breathed(self, voice: Tensor, hiss: Tensor, breath: Tensor) -> tuple[Tensor, Tensor]:
        """Gains (b, t, f) of pulses and noise where so much breath (b, t, 1) is in the voice: high up, what was voiced
        becomes noise of the same power, and both grow duller."""
        share = breath * self.breathy
        dull = torch.exp(share * (-BREATH_DULLS / 20 * math.log(10)))
        lost = share * BREATH_MOST
        return voice * (1 - lost).sqrt() * dull, (hiss.square() + lost * voice.square()).sqrt() * dull

    def _pulses(self, f0: Tensor, phase: Tensor) -> Tensor:
        """Pitch (b, t) in Hz and phase in turns -> pulses (b, s) without a harmonic above the highest frequency.

        All harmonics are alike and the power is 1: a sum of cosines in closed form, its last one fading in and out.
        """
        inside = torch.arange(self.sizes.hop_length, device=f0.device, dtype=torch.float32)
        turns = phase[..., None] + f0[..., None] * (inside / self.sizes.sample_rate)
        angle = (math.pi * (turns - turns.round())).flatten(1)  # half of the fundamental's angle, within +-pi/2
        count = (EDGE * self.sizes.sample_rate / 2) / f0
        whole = count.floor()
        share, half = self._held(count - whole), angle.sin()
        whole = self._held(whole)
        near = half.abs() < 1e-4
        total = torch.where(near, whole, ((2 * whole + 1) * angle).sin() / (2 * torch.where(near, 1.0, half)) - 0.5)
        total = total + share * (2 * (whole + 1) * angle).cos()
        return total / self._held((count / 2).sqrt())

    def _held(self, x: Tensor) -> Tensor:
        """Per frame -> per sample."""
        return x[..., None].expand(-1, -1, self.sizes.hop_length).flatten(1)

    def _spectrum(self, samples: Tensor) -> Tensor:
        """(b, s) -> (b, t, f, 2), real and imaginary part of windows centred as the mel's are."""
        side = (self.sizes.window - self.sizes.hop_length) // 2
        windows = F.pad(samples, (side, side)).unfold(1, self.sizes.window, self.sizes.hop_length).contiguous()
        return (windows @ torch.view_as_real(self.analysis).flatten(1)).unflatten(-1, (-1, 2))

    def _sound(self, spectrum: Tensor) -> Tensor:
        """Spectrum (b, t, f, 2), which it changes, -> windows in time, windowed again, and their sum (b, s)."""
        spectrum[:, :, 0] /= 2  # of every other bin there is a mirror image
        spectrum[:, :, -1] /= 2
        windows = spectrum.flatten(-2) @ torch.view_as_real(self.analysis).flatten(1).T
        return self._overlapped(windows) * (2 / (WINDOWS_SUM * self.sizes.window))

    def _overlapped(self, windows: Tensor) -> Tensor:
        """Windows (b, t, w), a hop apart, -> their sum (b, s)."""
        hop, window = self.sizes.hop_length, self.sizes.window
        b, t, _ = windows.shape
        side, parts = (window - hop) // 2, window // hop
        out = windows.new_zeros(b, t + parts - 1, hop)
        for k in range(parts):
            out[:, k : k + t] += windows[:, :, k * hop : (k + 1) * hop]
        return out.flatten(1)[:, side : side + t * hop]


def hertz(scores: Tensor) -> Tensor:
    """Scores of pitch classes (b, t, p) -> pitch (b, t) in Hz: the mean around the likeliest class."""
    classes = scores.shape[-1]
    near = scores.argmax(-1, keepdim=True) + torch.arange(-REACH, REACH + 1, device=scores.device)
    near = near.clamp(0, classes - 1)
    weights = scores.gather(-1, near).float().softmax(-1)
    return LOWEST * torch.exp2((weights * near).sum(-1) / CLASSES_PER_OCTAVE)


def classes_of(f0: Tensor, classes: int) -> Tensor:
    """Pitch in Hz -> its class, int64."""
    return (CLASSES_PER_OCTAVE * torch.log2(f0 / LOWEST)).round().clamp(0, classes - 1).long()


def fourier(window: int) -> dict[str, Tensor]:
    """The matrices of a `SourceFilter`, as complex64."""
    bins = window // 2 + 1
    n, k = torch.arange(window, dtype=torch.float64), torch.arange(bins, dtype=torch.float64)
    angle = 2 * math.pi / window * torch.remainder(n[:, None] * k[None], window)
    hann = 0.5 - 0.5 * torch.cos(2 * math.pi * n / window)
    analysis = torch.polar(hann[:, None].expand_as(angle), -angle)
    often = torch.full((bins,), 2.0, dtype=torch.float64)
    often[0] = often[-1] = 1
    lift = torch.zeros(window, dtype=torch.float64)
    lift[1 : window // 2] = 2
    cepstrum = (often[:, None] * angle.cos().T) / window  # (f, w): of a symmetric log magnitude
    minimum = F.pad((cepstrum * lift) @ -angle.sin(), (0, 1)).unflatten(1, (-1, 2))  # (f, f) and a column of nothing
    matrices = {"analysis": analysis, "minimum": torch.view_as_complex(minimum.contiguous())}
    return {name: matrix.to(torch.complex64) for name, matrix in matrices.items()}
