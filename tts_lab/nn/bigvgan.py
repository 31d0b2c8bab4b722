"""BigVGAN v2: mel -> waveform (Lee et al. 2023, arXiv:2206.04658). Weight norm is folded when weights are loaded.

HiFi-GAN's plan with anti-aliased snakes for its activations.

Axes: b batch, m mel bands, c channels, t mel frames, s samples (t x hop length).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from tts_lab.nn.antialias import REACH, AntiAliasedSnake, low_pass


@dataclass(frozen=True)
class BigVGANSizes:
    """bigvgan_v2_22khz_80band_256x by default."""

    mels: int = 80
    channels: int = 1536
    rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
    kernels: tuple[int, ...] = (8, 8, 4, 4, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)

    @property
    def hop_length(self) -> int:
        return math.prod(self.rates)


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, a snake before each. (b, c, s) -> (b, c, s)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2) for d in dilations
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=(kernel - 1) // 2) for _ in dilations
        )  # fmt: skip
        self.activations = nn.ModuleList(AntiAliasedSnake(channels) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor, taps: Tensor) -> Tensor:
        pairs = zip(self.convs1, self.convs2, self.activations[::2], self.activations[1::2], strict=True)
        for first, second, before, between in pairs:
            x = x + second(between(first(before(x, taps)), taps))
        return x


class BigVGAN(nn.Module):
    """forward(log-mel (b, m, t)) -> samples (b, s) in [-1, 1]. Clipped rather than squashed, as v2 was trained."""

    taps: Tensor

    def __init__(self, sizes: BigVGANSizes = BigVGANSizes()) -> None:
        super().__init__()
        self.sizes = sizes
        widths = [sizes.channels // 2**i for i in range(len(sizes.rates) + 1)]
        self.register_buffer("taps", low_pass(), persistent=False)
        self.conv_pre = nn.Conv1d(sizes.mels, widths[0], 7, padding=3)
        self.ups = nn.ModuleList(
            nn.ConvTranspose1d(widths[i], widths[i + 1], k, u, padding=(k - u) // 2)
            for i, (u, k) in enumerate(zip(sizes.rates, sizes.kernels, strict=True))
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(width, k, sizes.dilations) for width in widths[1:] for k in sizes.block_kernels
        )
        self.activation_post = AntiAliasedSnake(widths[-1])
        self.conv_post = nn.Conv1d(widths[-1], 1, 7, padding=3, bias=False)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        per_stage = len(self.sizes.block_kernels)
        for i, up in enumerate(self.ups):
            x = up(x)
            blocks = self.resblocks[i * per_stage : (i + 1) * per_stage]
            total = blocks[0](x, self.taps)
            for block in blocks[1:]:
                total += block(x, self.taps)
            x = total.div_(per_stage)
            del total
        return self.conv_post(self.activation_post(x, self.taps)).clamp(-1, 1)[:, 0]

    def receptive_field(self) -> int:
        """Mel frames on each side that can influence a frame's samples."""
        reach = 3 + REACH  # conv_post and the activation before it, in samples
        widest = max(self.sizes.block_kernels)
        for rate, kernel in zip(reversed(self.sizes.rates), reversed(self.sizes.kernels), strict=True):
            reach += sum(2 * REACH + (d + 1) * (widest - 1) // 2 for d in self.sizes.dilations)
            reach = (reach + kernel - 1 - (kernel - rate) // 2) // rate
        return reach + 3  # conv_pre


def set_activation_groups(model: nn.Module, groups: int) -> None:
    """Work through the channels of every activation in so many parts: less memory, more kernels to launch."""
    if groups < 1:
        raise ValueError(f"activation groups must be at least 1, not {groups}")
    for part in model.modules():
        if isinstance(part, AntiAliasedSnake):
            part.groups = groups
