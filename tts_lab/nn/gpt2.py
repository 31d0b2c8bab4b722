"""GPT-2's body (Radford et al. 2019) with the weights of `transformers`: linear layers stored (in, out).

No embeddings and no positions: who feeds it adds them. Parameter names are those of `transformers.GPT2Model`.

Axes: b batch, t positions, d width, h heads, k width of a head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.attention import KernelChoice, attend
from tts_lab.nn.cache import Cache, cache_of


class InOutLinear(nn.Module):
    """x W + b with W stored (in, out), the transpose of torch's Linear. (..., in) -> (..., out)."""

    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(features, out))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).view(*x.shape[:-1], -1)


class GPT2Attention(KernelChoice):
    """Causal self-attention with an optional cache. (b, t, d) -> (b, t, d)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn = InOutLinear(width, 3 * width)
        self.c_proj = InOutLinear(width, width)

    def forward(self, x: Tensor, cache: Cache | None = None, layer: int = 0) -> Tensor:
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.c_attn(x).chunk(3, -1))
        if cache is not None:
            # A static cache may be wider than its prefix: beams share theirs, which is run once.
            k, v = (kept[: len(x)] for kept in cache.update(layer, k, v))
        y = attend(q, k, v, causal=x.shape[1] > 1, kernel=self.kernel)
        return self.c_proj(y.transpose(1, 2).flatten(-2))


class GPT2MLP(nn.Module):
    """c_proj(GELU(c_fc x)) with the tanh approximation of GELU (`gelu_new`). (b, t, d) -> (b, t, d)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = InOutLinear(width, 4 * width)
        self.c_proj = InOutLinear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class GPT2Block(nn.Module):
    """Pre-norm attention and feed-forward. (b, t, d) -> (b, t, d)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = GPT2Attention(width, heads), GPT2MLP(width)

    def forward(self, x: Tensor, cache: Cache | None = None, layer: int = 0) -> Tensor:
        x = x + self.attn(self.ln_1(x), cache, layer)
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """Decoder-only stack over embeddings: (b, t, d) -> (b, t, d), causal, with an optional cache.

    Feed a cache the prefix first, then one position at a time.
    """

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.width, self.heads = width, heads
        self.h = nn.ModuleList(GPT2Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        if cache is not None and cache.length and x.shape[1] > 1:
            raise ValueError("after the prefix, a cached decoder takes one position at a time")
        for i, block in enumerate(self.h):
            x = block(x, cache, i)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.ln_f(x)

    def cache(self, kind: str, batch: int, capacity: int) -> Cache:
        """A "growing" cache, or a "static" or "int8" one for `capacity` positions of `batch` sequences."""
        width, like = self.width // self.heads, self.ln_f.weight  # which stays where the layers only visit
        return cache_of(kind, len(self.h), batch, self.heads, capacity, width, like)

    def cache_bytes(self, batch: int, positions: int, dtype: torch.dtype = torch.float32) -> int:
        """Bytes of the keys and values of `positions` positions of `batch` sequences.

        Of a static cache that is all; a growing one holds an old and a new copy of one layer while it grows.
        """
        return 2 * len(self.h) * batch * positions * self.width * dtype.itemsize
