"""Perceiver resampler: any number of frames in, a fixed number of latents out (Jaegle et al. 2021; Flamingo's variety).

Parameter names are those of IndexTTS-2's checkpoint.

Axes: b batch, s frames of context, c context width, n latents, d width, h heads, k width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.attention import KernelChoice, attend

HEAD = 64  # width of a head


class LengthNorm(nn.Module):
    """x / |x| sqrt(d) gamma: RMSNorm without an epsilon under the root. In float32; a zero vector stays zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.normalize(x.float(), dim=-1) * x.shape[-1] ** 0.5
        return y.to(x.dtype) * self.gamma


class GEGLU(nn.Module):
    """x GELU(gate); the gate is the second half (Shazeer 2020). (..., 2 d) -> (..., d)."""

    def forward(self, x: Tensor) -> Tensor:
        x, gate = x.chunk(2, -1)
        return F.gelu(gate) * x


class LatentAttention(KernelChoice):
    """Latents look at themselves and at the context. forward(latents (b, n, d), context (b, s, d), mask) -> (b, n, d).

    mask: (b, s), True where the context is real.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, heads * HEAD, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * HEAD, bias=False)
        self.to_out = nn.Linear(heads * HEAD, width, bias=False)

    def forward(self, latents: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        k, v = self.to_kv(torch.cat((latents, context), 1)).chunk(2, -1)
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in (self.to_q(latents), k, v))
        if mask is not None:
            mask = F.pad(mask, (latents.shape[1], 0), value=True)[:, None, None]
        y = attend(q, k, v, mask, kernel=self.kernel)
        return self.to_out(y.transpose(1, 2).flatten(-2))


class LatentBlock(nn.ModuleList):
    """Attention, then a feed-forward of `inner` width, each beside a residual and without a norm before."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        feed_forward = nn.Sequential(nn.Linear(width, 2 * inner), GEGLU(), nn.Linear(inner, width))
        super().__init__((LatentAttention(width, heads), feed_forward))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self[0](x, context, mask) + x
        return self[1](x) + x


class Perceiver(nn.Module):
    """forward(context (b, s, c), mask (b, s) True where real or None) -> (b, n, d).

    mult: inner width of the feed-forward is int(d mult 2/3).
    """

    def __init__(self, width: int, context: int, latents: int, heads: int, mult: float, layers: int = 2) -> None:
        super().__init__()
        self.proj_context = nn.Linear(context, width) if context != width else nn.Identity()
        self.latents = nn.Parameter(0.02 * torch.randn(latents, width))
        self.layers = nn.ModuleList(LatentBlock(width, heads, int(width * mult * 2 / 3)) for _ in range(layers))
        self.norm = LengthNorm(width)

    def forward(self, context: Tensor, mask: Tensor | None = None) -> Tensor:
        context = self.proj_context(context)
        x = self.latents.expand(len(context), -1, -1)
        for layer in self.layers:
            x = layer(x, context, mask)
        return self.norm(x)
