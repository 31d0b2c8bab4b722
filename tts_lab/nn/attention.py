"""Multi-head attention with an explicit choice of kernel, rotary positions and an optional key-value cache.

Axes: b batch, t queries, s keys, h heads, k width of a head, d model width.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.cache import Cache
from tts_lab.nn.rotary import rotary_angles, rotate

KERNELS = ("auto", "sdpa", "math")


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False, kernel: str = "auto"
) -> Tensor:
    """softmax(q k^T / sqrt(k)) v.

    q: (b, h, t, k); k, v: (b, h, s, k); mask: broadcastable to (b, h, t, s); truths: True = may look; numbers: added to
    the scaled scores.
    kernel: "auto" and "sdpa" take torch's fused kernel, whose memory is linear in length; "math" writes the
    (b, h, t, s) scores out, in float32, as code without a fused kernel does. Returns (b, h, t, k).
    """
    if kernel not in KERNELS:
        raise ValueError(f"attention kernel {kernel!r} is unknown; known are {', '.join(KERNELS)}")
    if kernel != "math":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    scores = (q.float() @ k.float().transpose(-1, -2)) / math.sqrt(q.shape[-1])
    if causal:
        t, s = scores.shape[-2:]
        future = torch.ones(t, s, dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1).to(v.dtype) @ v


class KernelChoice(nn.Module):
    """A module that calls `attend` with its own `kernel`, which `set_attention_kernel` may choose."""

    kernel: str = "auto"


class Attention(KernelChoice):
    """Self-attention without biases, fused query-key-value projection, rotary positions.

    forward(x (b, t, d)) -> (b, t, d).
    """

    def __init__(self, width: int, heads: int, causal: bool = False, kernel: str = "auto") -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.heads, self.causal, self.kernel = heads, causal, kernel
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: Cache | None = None, layer: int = 0) -> Tensor:
        q, k, v = (y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.qkv(x).chunk(3, -1))
        start = cache.length if cache else 0
        angles = rotary_angles(x.shape[1], q.shape[-1], x.device, start)
        q, k = rotate(q, angles), rotate(k, angles)
        if cache is not None:
            k, v = cache.update(layer, k, v)
        # A single new position may look at everything before it: no mask is needed then.
        y = attend(q, k, v, mask, causal=self.causal and x.shape[1] > 1, kernel=self.kernel)
        return self.out(y.transpose(1, 2).flatten(-2))


def set_attention_kernel(module: nn.Module, kernel: str) -> None:
    """Choose the kernel of every attention inside `module`."""
    if kernel not in KERNELS:
        raise ValueError(f"attention kernel {kernel!r} is unknown; known are {', '.join(KERNELS)}")
    for part in module.modules():
        if isinstance(part, KernelChoice):
            part.kernel = kernel
