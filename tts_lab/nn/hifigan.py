"""HiFi-GAN V1: mel -> waveform (Kong et al. 2020, arXiv:2010.05646). Weight norm is folded when weights are loaded.

Axes: b batch, m mel bands, c channels, t mel frames, s samples (t x hop length).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.weight_norm import folded as fold_weight_norm

__all__ = ["HiFiGAN", "HiFiGANSizes", "ResidualBlock", "fold_weight_norm"]

SLOPE = 0.1
LAST_SLOPE = 0.01  # the published code calls leaky_relu without a slope before the last convolution


@dataclass(frozen=True)
class HiFiGANSizes:
    """V1 of the paper by default."""

    mels: int = 80
    channels: int = 512
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernels: tuple[int, ...] = (16, 16, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)

    @property
    def hop_length(self) -> int:
        return math.prod(self.rates)


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, with residuals. (b, c, s) -> (b, c, s)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2) for d in dilations
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2) for _ in dilations
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class HiFiGAN(nn.Module):
    """forward(log-mel (b, m, t)) -> samples (b, s) in [-1, 1]."""

    def __init__(self, sizes: HiFiGANSizes = HiFiGANSizes()) -> None:
        super().__init__()
        self.sizes = sizes
        widths = [sizes.channels // 2**i for i in range(len(sizes.rates) + 1)]
        self.conv_pre = nn.Conv1d(sizes.mels, widths[0], 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(widths[i], widths[i + 1], k, u, padding=(k - u) // 2)
            for i, (u, k) in enumerate(zip(sizes.rates, sizes.kernels, strict=True))
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, k, sizes.dilations) for width in widths[1:] for k in sizes.block_kernels
        )
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        per_stage = len(self.sizes.block_kernels)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            blocks = self.resblocks[i * per_stage : (i + 1) * per_stage]
            total = blocks[0](x)
            for block in blocks[1:]:
                total = total + block(x)
            x = total / per_stage
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))[:, 0]

    def receptive_field(self) -> int:
        """Mel frames on each side that can influence a frame's samples."""
        reach = 3  # conv_post, in samples
        widest = max(self.sizes.block_kernels)
        for rate, kernel in zip(reversed(self.sizes.rates), reversed(self.sizes.kernels), strict=True):
            reach += sum((d + 1) * (widest - 1) // 2 for d in self.sizes.dilations)
            reach = (reach + kernel - 1 - (kernel - rate) // 2) // rate
        return reach + 3  # conv_pre
