"""The harmonic source of a vocoder with pitch (neural source filter, Wang et al. 2019), after KAN-TTS.

A fundamental and its harmonics where a frame is voiced, noise where it is not. The published code adds up float32
cycles over the whole sound and draws its noise anew each time. Here phases are counted in whole parts of a cycle, which
do not drift with the length and can be continued from any frame; and noise comes frame by frame from a generator, so
that pieces of any size give the sound of the whole.

Axes: b batch, t mel frames, u samples of a frame, s = t u samples, k harmonics (the fundamental included).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts_lab.systems.sambert.config import SambertConfig, Source

ALPHA = 0.1  # amplitude of a harmonic
SIGMA = 0.003  # of the noise that is always there
CYCLE = 2**24  # parts of a cycle: as fine as float32 tells between 0 and 1
UV_THRESHOLD = 0.6
F0_FLOOR = 30.0  # Hz


@dataclass(frozen=True)
class Noise:
    """Random numbers of a source. phase: (b, k, 1) radians, the fundamental's 0; values: (b, k, s), deviation SIGMA."""

    phase: Tensor
    values: Tensor


class NoiseStream:
    """Noise drawn on the CPU, frame by frame: one seed gives one sound on every device and in pieces of any size."""

    def __init__(self, seed: int, batch: int, harmonics: int, hop: int, device: torch.device) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._shape, self._device = (batch, harmonics, hop), device
        uniform = torch.rand(batch, harmonics, 1, generator=self._generator)
        phase = (uniform * 2 - 1) * math.pi
        phase[:, 0] = 0
        self._phase = phase.to(device)

    def next(self, frames: int) -> Noise:
        """Noise of the next frames."""
        b, k, u = self._shape
        drawn = torch.empty(frames, b, k, u)
        for frame in drawn:  # one by one: how many are drawn at once must not matter
            frame.normal_(generator=self._generator)
        values = drawn.movedim(0, 2).flatten(2)
        return Noise(self._phase, SIGMA * values.to(self._device))


class SourceModule(nn.Module):
    """forward(f0 (b, 1, t) Hz, uv (b, 1, t), noise, phase (b, 1) or None) -> excitation (b, 1, s).

    phase: where the fundamental stands before the first frame, in parts of CYCLE; `turned` says where it stands after.
    naive: add up cycles as the published code does.
    """

    def __init__(self, source: Source, hop: int) -> None:
        super().__init__()
        self.harmonics, self.rate, self.hop = source.nb_harmonics + 1, source.sampling_rate, hop
        self.ffn = nn.Sequential(nn.Conv1d(self.harmonics, 1, 1), nn.Tanh())

    def forward(self, f0: Tensor, uv: Tensor, noise: Noise, phase: Tensor | None = None, naive: bool = False) -> Tensor:
        f0, uv = f0.float(), uv.float()
        cycles = self.added_up(f0) if naive else self.counted(f0, phase)
        voiced = uv.repeat_interleave(self.hop, 2, output_size=uv.shape[2] * self.hop)
        wave = ALPHA * torch.sin(2 * math.pi * cycles + noise.phase) + noise.values
        wave = wave * voiced + ALPHA / 3 / SIGMA * noise.values * (1 - voiced)
        return self.ffn(wave.to(next(self.parameters()).dtype))

    def added_up(self, f0: Tensor) -> Tensor:
        """Cycles (b, k, s) of each harmonic, modulo 1: float32 sums over the whole sound."""
        f = f0.repeat_interleave(self.hop, 2, output_size=f0.shape[2] * self.hop)
        return torch.cat([f * k / self.rate for k in range(1, self.harmonics + 1)], 1).cumsum(-1) % 1

    def counted(self, f0: Tensor, phase: Tensor | None) -> Tensor:
        """The same from whole parts of a cycle: where each frame starts, and how far each sample is from there."""
        parts = self._parts(f0)
        starts = parts.cumsum(-1) - parts
        if phase is not None:
            starts = starts + phase[..., None]
        k = torch.arange(1, self.harmonics + 1, device=f0.device)[None, :, None, None]
        since = torch.arange(1, self.hop + 1, device=f0.device) / self.rate
        cycles = (starts[..., None] * k % CYCLE).float() / CYCLE + f0[..., None] * since * k
        return cycles.flatten(2) % 1

    def turned(self, f0: Tensor, phase: Tensor | None = None) -> Tensor:
        """Where the fundamental stands after these frames: (b, 1) parts of CYCLE."""
        sum_ = self._parts(f0.float()).sum(-1)
        return (sum_ if phase is None else sum_ + phase) % CYCLE

    def _parts(self, f0: Tensor) -> Tensor:
        """Parts of a cycle that the fundamental turns in each frame, (b, 1, t) int64."""
        return (f0 * (self.hop / self.rate) * CYCLE).round().long()


def denormalised(mel: Tensor, config: SambertConfig, statistics: Sequence[float] = ()) -> Tensor:
    """What SAM-BERT wrote -> what a vocoder with pitch reads: F0 in Hz, at least F0_FLOOR; voicing 0 or 1.

    mel: (b, m, t), F0 and voicing in the last two bands. statistics: the voice's mean and deviation of F0 (mvn.npy),
    which norm type `mean_std` needs; `global` has its range in the configuration. Returns float32.
    """
    if config.nsf_norm_type == "mean_std":
        shift, scale = statistics
    else:
        shift = config.nsf_f0_global_minimum
        scale = config.nsf_f0_global_maximum - config.nsf_f0_global_minimum
    mel = mel.to(torch.promote_types(mel.dtype, torch.float32))  # half precision would be out by half a hertz
    f0 = (mel[:, -2:-1] * scale + shift).clamp(min=F0_FLOOR)
    voiced = (mel[:, -1:] >= UV_THRESHOLD).to(mel.dtype)
    return torch.cat((mel[:, :-2], f0, voiced), 1)


def folded(excitation: Tensor, hop: int) -> Tensor:
    """Excitation (b, 1, s) as rows under a mel: (b, u, t)."""
    return excitation.unflatten(2, (-1, hop))[:, 0].transpose(1, 2)


def unfolded(rows: Tensor) -> Tensor:
    """The reverse of `folded`."""
    return rows.transpose(1, 2).flatten(1)[:, None]
