"""Transformer blocks: one for encoders, diffusion models and decoders alike; and a decoder-only stack with a cache.

Axes: b batch, t positions, d model width, c width of the condition.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_lab.nn.attention import Attention
from tts_lab.nn.cache import Cache, cache_of
from tts_lab.nn.feedforward import ConvFeedForward, SwiGLU
from tts_lab.nn.norm import AdaptiveNorm, RMSNorm


class Block(nn.Module):
    """Pre-norm attention and feed-forward. With `condition` > 0 both norms are adaptive.

    feed_forward: "swiglu" or "conv". forward(x (b, t, d), condition (b, c), mask (b, t) True where real) -> (b, t, d).
    """

    def __init__(
        self, width: int, heads: int, inner: int, *, feed_forward: str = "swiglu", condition: int = 0,
        causal: bool = False, dropout: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.attention_norm = AdaptiveNorm(width, condition) if condition else RMSNorm(width)
        self.attention = Attention(width, heads, causal)
        self.ffn_norm = AdaptiveNorm(width, condition) if condition else RMSNorm(width)
        self.feed_forward: SwiGLU | ConvFeedForward = {"swiglu": SwiGLU, "conv": ConvFeedForward}[feed_forward](
            width, inner
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, condition: Tensor | None = None, mask: Tensor | None = None, cache: Cache | None = None,
        layer: int = 0,
    ) -> Tensor:  # fmt: skip
        given = () if condition is None else (condition,)
        keys = None if mask is None else mask[:, None, None, :]
        x = x + self.dropout(self.attention(self.attention_norm(x, *given), keys, cache, layer))
        return x + self.dropout(self.feed_forward(self.ffn_norm(x, *given), mask))


class Decoder(nn.Module):
    """Decoder-only transformer over embeddings: (b, t, d) -> (b, t, d), causal, with an optional cache.

    `cache(kind, ...)` makes one that fits; feed the prefix first, then one position at a time.
    """

    def __init__(self, width: int, heads: int, layers: int, inner: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.width, self.heads = width, heads
        self.layers = nn.ModuleList(
            Block(width, heads, inner, causal=True, dropout=dropout) for _ in range(layers)
        )  # fmt: skip
        self.norm = RMSNorm(width)

    def forward(self, x: Tensor, cache: Cache | None = None) -> Tensor:
        if cache is not None and cache.length and x.shape[1] > 1:
            raise ValueError("after the prefix, a cached decoder takes one position at a time")
        for i, block in enumerate(self.layers):
            x = block(x, cache=cache, layer=i)
        if cache is not None:
            cache.advance(x.shape[1])
        return self.norm(x)

    def cache(self, kind: str, batch: int, capacity: int) -> Cache:
        """A "growing" cache, or a "static" or "int8" one for `capacity` positions."""
        width, like = self.width // self.heads, self.norm.gain  # which stays where the layers only visit
        return cache_of(kind, len(self.layers), batch, self.heads, capacity, width, like)

    def cache_bytes(self, batch: int, capacity: int, dtype: torch.dtype = torch.float32) -> int:
        """Bytes of a static cache."""
        return 2 * len(self.layers) * batch * capacity * self.width * dtype.itemsize
