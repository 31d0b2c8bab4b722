"""Diffusion transformer for mels, with adaptive norms and U-ViT skip connections.

One class serves the bundled system and IndexTTS-2: patches, convolutional position, kind of feed-forward and of final
layer are options.

Axes: b batch, m mel bands, t mel frames, p patches (t / frames per patch), d width, c content width, s style width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from tts_lab.nn.norm import AdaptiveNorm
from tts_lab.nn.transformer import Block
from tts_lab.nn.wavenet import WaveNet


@dataclass(frozen=True)
class DiTSizes:
    """What a DiT is made of. IndexTTS-2's is
    DiTSizes(80, 512, 192, 512, 8, 13, 1536, prompt=True, final="wavenet", long_skip=True)."""

    mels: int
    content: int
    style: int
    width: int
    heads: int
    layers: int
    inner: int
    patch: int = 1
    feed_forward: str = "swiglu"
    conv_position: int = 0
    prompt: bool = False
    final: str = "linear"
    long_skip: bool = False
    wavenet_layers: int = 8
    wavenet_kernel: int = 5
    dropout: float = 0.0


class TimeEmbedding(nn.Module):
    """Diffusion time (b,) in 0..1 -> (b, d): cosines and sines of 1000 t, then a small network.

    The sinusoids are computed in float32 whatever the weights' type. Their frequencies are kept as the bits of float32:
    as numbers `half()` would round them, and 1000 t turns a rounding of 0.0002 into a fifth of a radian.
    """

    bits: Tensor

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        exponent = torch.arange(frequencies, dtype=torch.float32) / frequencies
        self.register_buffer("bits", torch.exp(-math.log(10000) * exponent).view(torch.int32), persistent=False)
        self.enter = nn.Linear(2 * frequencies, width)
        self.leave = nn.Linear(width, width)

    @property
    def frequencies(self) -> Tensor:
        """Radians for each unit of 1000 t, float32."""
        return self.bits.view(torch.float32)

    def forward(self, t: Tensor) -> Tensor:
        angle = 1000 * t.float()[:, None] * self.frequencies
        waves = torch.cat((angle.cos(), angle.sin()), -1).to(self.enter.weight.dtype)
        return self.leave(silu(self.enter(waves)))


class WaveNetFinal(nn.Module):
    """IndexTTS-2's final layer: WaveNet, then a norm modulated by time. (b, p, d) -> (b, p, out).

    mask: (b, p) True where real, or None; the WaveNet's only.
    """

    def __init__(self, sizes: DiTSizes, out: int) -> None:
        super().__init__()
        d = sizes.width
        self.enter = nn.Linear(d, d)
        self.time = TimeEmbedding(d)
        self.wavenet = WaveNet(d, sizes.wavenet_layers, sizes.wavenet_kernel, d)
        self.residual = nn.Linear(d, d)
        self.norm = nn.LayerNorm(d, eps=1e-6, elementwise_affine=False)
        self.modulation = nn.Linear(d, 2 * d)
        self.linear = nn.Linear(d, d)
        self.leave = nn.Conv1d(d, out, 1)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.wavenet(self.enter(x).transpose(1, 2), self.time(t), mask).transpose(1, 2) + self.residual(x)
        shift, scale = self.modulation(silu(condition))[:, None].chunk(2, -1)
        y = self.linear(self.norm(y) * (1 + scale) + shift)
        return self.leave(y.transpose(1, 2)).transpose(1, 2)


class DiT(nn.Module):
    """Velocity of the flow at a noisy mel.

    forward(x (b, m, t), time (b,), content (b, t, c), style (b, s), prompt (b, m, t) or None,
    mask (b, t) True where real or None) -> (b, m, t). t must be a multiple of `patch`.
    """

    def __init__(self, sizes: DiTSizes) -> None:
        super().__init__()
        self.sizes = sizes
        d, bands = sizes.width, sizes.mels * sizes.patch
        self.content = nn.Linear(sizes.content * sizes.patch, d)
        self.merge = nn.Linear((2 if sizes.prompt else 1) * bands + d + sizes.style, d)
        self.time = TimeEmbedding(d)
        k = sizes.conv_position
        self.position = nn.Conv1d(d, d, k, padding=k // 2, groups=d) if k else None
        self.layers = nn.ModuleList(
            Block(d, sizes.heads, sizes.inner, feed_forward=sizes.feed_forward, condition=d, dropout=sizes.dropout)
            for _ in range(sizes.layers)
        )
        # First half keeps its outputs, second half takes them back, last in first out.
        self.skips = nn.ModuleList(nn.Linear(2 * d, d) for _ in range((sizes.layers - 1) // 2))
        self.norm = AdaptiveNorm(d, d)
        self.long_skip = nn.Linear(d + bands, d) if sizes.long_skip else None
        self.final = WaveNetFinal(sizes, bands) if sizes.final == "wavenet" else nn.Linear(d, bands)
        self.reset()

    def reset(self) -> None:
        """Start every block as the identity, so that depth does not slow the first steps of training."""
        for block in self.modules():
            if isinstance(block, Block):
                nn.init.zeros_(block.attention.out.weight)
                nn.init.zeros_(block.feed_forward.last())

    def forward(self, x: Tensor, time: Tensor, content: Tensor, style: Tensor, prompt: Tensor | None = None,
                mask: Tensor | None = None) -> Tensor:  # fmt: skip
        noisy = self.fold(x.transpose(1, 2))
        parts = [noisy] if prompt is None else [noisy, self.fold(prompt.transpose(1, 2))]
        parts += [self.content(self.fold(content)), style[:, None].expand(-1, noisy.shape[1], -1)]
        y = self.merge(torch.cat(parts, -1))
        mask = None if mask is None else mask[:, :: self.sizes.patch]
        if self.position is not None:
            real = y if mask is None else y * mask[..., None]
            y = y + self.position(real.transpose(1, 2)).transpose(1, 2)
        condition = self.time(time)
        y = self.norm(self.body(y, condition, mask), condition)
        if self.long_skip is not None:
            y = self.long_skip(torch.cat((y, noisy), -1))
        y = self.final(y, time, condition, mask) if isinstance(self.final, WaveNetFinal) else self.final(y)
        return self.unfold(y).transpose(1, 2)

    def body(self, y: Tensor, condition: Tensor, mask: Tensor | None) -> Tensor:
        first = len(self.layers) - len(self.skips)
        kept: list[Tensor] = []
        for i, block in enumerate(self.layers):
            if i >= first:
                y = self.skips[i - first](torch.cat((y, kept.pop()), -1))
            y = block(y, condition, mask)
            if i < len(self.skips):
                kept.append(y)
        return y

    def fold(self, x: Tensor) -> Tensor:
        """(b, t, w) -> (b, p, w x patch)."""
        return x.unflatten(1, (-1, self.sizes.patch)).flatten(2)

    def unfold(self, y: Tensor) -> Tensor:
        return y.unflatten(2, (self.sizes.patch, -1)).flatten(1, 2)
