"""Conformer encoder over features of a reference clip, as IndexTTS-2 has it (Gulati et al. 2020; the WeNet variety).

Parameter names are the released ones. Differences from the paper: one feed-forward per layer and a whole residual (no
macaron), a LayerNorm inside the convolution, and scores without the relative shift: position j adds the same to every
query's score of key j, wherever the query is.

Axes: b batch, t frames of features, s frames after subsampling, f features, d width, h heads, k width of a head.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.attention import KernelChoice, attend

KERNEL = 15  # frames that the convolution of a layer sees


def sinusoids(length: int, width: int, device: torch.device) -> Tensor:
    """Sines and cosines of positions 0 .. length - 1, interleaved (Vaswani et al. 2017). (length, width) float32."""
    position = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=device, dtype=torch.float32) * -(math.log(10000.0) / width))
    angle = position * rate
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)


class Subsampling(nn.Module):
    """Half the frame rate: convolution over time and features, ReLU, linear, times sqrt(d). (b, t, f) -> (b, s, d).

    The convolution's output (b, d, s, f/2) is the largest activation of IndexTTS-2's speaker stage. `piece` > 0 makes
    it for so many output frames at a time: the same result in less memory, for one more reading of the weights each.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.width, self.piece = width, 0
        self.conv = nn.Sequential(nn.Conv2d(1, width, 3, 2))
        self.out = nn.Sequential(nn.Linear(width * ((features - 1) // 2), width))

    def forward(self, x: Tensor) -> Tensor:
        frames = (x.shape[1] - 1) // 2
        step = self.piece or frames
        parts = [self.part(x[:, 2 * i : 2 * min(i + step, frames) + 1]) for i in range(0, frames, step)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def part(self, x: Tensor) -> Tensor:
        y = F.relu_(self.conv(x[:, None]))
        return self.out(y.transpose(1, 2).flatten(2)) * math.sqrt(self.width)


class PositionAttention(KernelChoice):
    """Self-attention that knows absolute positions of keys. forward(x (b, s, d), positions (s, d), mask) -> (b, s, d).

    Public code adds two (s, s) matrices, ((q + u) k + (q + v) p) / sqrt(k). Without a relative shift that is
    q (k + p) / sqrt(k) plus a number per key, which a fused kernel takes as a mask. mask: (b, s), True where real.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(width, width) for _ in range(4))
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.empty(heads, width // heads))
        nn.init.xavier_uniform_(self.pos_bias_u)
        nn.init.xavier_uniform_(self.pos_bias_v)

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (self.split(linear(x)) for linear in (self.linear_q, self.linear_k, self.linear_v))
        p = self.split(self.linear_pos(positions)[None])
        by_key = (k @ self.pos_bias_u[..., None] + p @ self.pos_bias_v[..., None]).transpose(-1, -2)
        by_key = by_key / math.sqrt(q.shape[-1])
        if mask is not None:
            by_key = by_key.masked_fill(~mask[:, None, None], -torch.inf)
        y = attend(q, k + p, v, by_key, kernel=self.kernel)
        return self.linear_out(y.transpose(1, 2).flatten(-2))

    def split(self, x: Tensor) -> Tensor:
        """(b, s, d) -> (b, h, s, k)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Convolution(nn.Module):
    """Pointwise with a gate, depthwise along time, LayerNorm, SiLU, pointwise. (b, s, d) -> (b, s, d).

    mask: (b, s), True where real; padding is zero before and after.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1)
        self.depthwise_conv = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        padding = None if mask is None else ~mask[:, None]
        x = _zeroed(x.transpose(1, 2), padding)
        x = self.depthwise_conv(F.glu(self.pointwise_conv1(x), 1))
        x = F.silu(self.norm(x.transpose(1, 2))).transpose(1, 2)
        return _zeroed(self.pointwise_conv2(x), padding).transpose(1, 2)


def _zeroed(x: Tensor, padding: Tensor | None) -> Tensor:
    return x if padding is None else x.masked_fill(padding, 0.0)


class FeedForward(nn.Module):
    """w_2(SiLU(w_1 x)). (b, s, d) -> (b, s, d)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(width, inner)
        self.w_2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(F.silu(self.w_1(x)))


class Layer(nn.Module):
    """Attention, convolution, feed-forward, each behind a norm and beside a residual; then a norm."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.self_attn = PositionAttention(width, heads)
        self.conv_module = Convolution(width)
        self.feed_forward = FeedForward(width, inner)
        self.norm_mha, self.norm_conv, self.norm_ff, self.norm_final = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), positions, mask)
        x = x + self.conv_module(self.norm_conv(x), mask)
        x = x + self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)


class Conformer(nn.Module):
    """forward(x (b, t, f), mask (b, t) True where real or None) -> (y (b, s, d), mask (b, s) or None).

    s = (t - 1) // 2; t must be 3 or more. Without a mask everything is real.
    """

    def __init__(self, features: int, width: int, heads: int, layers: int, inner: int) -> None:
        super().__init__()
        self.embed = Subsampling(features, width)
        self.encoders = nn.ModuleList(Layer(width, heads, inner) for _ in range(layers))
        self.after_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        mask = None if mask is None else mask[:, 2::2]
        y = self.embed(x)
        positions = sinusoids(y.shape[1], y.shape[2], y.device).to(y.dtype)
        for layer in self.encoders:
            y = layer(y, positions, mask)
        return self.after_norm(y), mask
