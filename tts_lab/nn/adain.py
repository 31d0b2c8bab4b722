"""Residual blocks of convolutions with adaptive instance norm, their convolutions factored: the decoder of StyleTTS 2.

The block is that of StyleTTS 2 (Li et al. 2023, `AdainResBlk1d`), whose norms over time take scale and shift from a
style (Huang and Belongie 2017). A convolution to c channels goes through `rank` of them first, which is what is left of
it where its outputs lie in few directions.

Axes: b batch, c channels, t ticks, s style width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky rectifier below zero
EPS = 1e-5


class FactoredConv(nn.Module):
    """(b, c, t) -> (b, out, t): a convolution to `rank` channels, and from these to all."""

    def __init__(self, channels: int, out: int, kernel: int, rank: int) -> None:
        super().__init__()
        rank = min(rank, out)
        self.enter = nn.Conv1d(channels, rank, kernel, padding=kernel // 2, bias=False)
        self.leave = nn.Conv1d(rank, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.enter(x))


class AdaptiveInstanceNorm(nn.Module):
    """(1 + w(s)) (x - mean) / deviation + b(s), mean and deviation of each channel over its utterance.

    x: (b, c, t); style: (b, s); mask: (b, 1, t), 1 where real, or None where all is.
    """

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.project = nn.Linear(style, 2 * channels)

    def forward(self, x: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        scale, shift = self.project(style)[..., None].chunk(2, 1)
        if mask is None:
            variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        else:
            count = mask.sum(-1, keepdim=True)
            mean = (x * mask).sum(-1, keepdim=True) / count
            variance = ((x - mean).square() * mask).sum(-1, keepdim=True) / count
        return (x - mean) * (torch.rsqrt(variance + EPS) * (1 + scale)) + shift


class AdaptiveBlock(nn.Module):
    """(b, c, t) -> (b, out, t), or (b, out, 2 t) with `upsample`. mask: (b, 1, t), 1 where real, or None."""

    def __init__(self, channels: int, out: int, style: int, rank: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.norm1 = AdaptiveInstanceNorm(channels, style)
        self.conv1 = FactoredConv(channels, out, 3, rank)
        self.norm2 = AdaptiveInstanceNorm(out, style)
        self.conv2 = FactoredConv(out, out, 3, rank)
        self.shortcut = FactoredConv(channels, out, 1, rank) if channels != out else nn.Identity()
        self.pool = (
            nn.ConvTranspose1d(channels, channels, 3, 2, 1, output_padding=1, groups=channels) if upsample else None
        )

    def forward(self, x: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        y = F.leaky_relu(self.norm1(x, style, mask), SLOPE)
        straight = self.shortcut(x)
        if self.pool is not None:
            y = self.pool(y if mask is None else y * mask)
            straight = straight.repeat_interleave(2, -1)
            mask = None if mask is None else mask.repeat_interleave(2, -1)
        y = self.conv1(y if mask is None else y * mask)
        y = F.leaky_relu(self.norm2(y, style, mask), SLOPE)
        y = self.conv2(y if mask is None else y * mask)
        return (straight + y) / math.sqrt(2)
