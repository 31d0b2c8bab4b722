"""Position-wise networks of a transformer block. Axes: b batch, t positions, d model width."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SwiGLU(nn.Module):
    """w2(silu(w1 x) * w3 x) without biases (Shazeer 2020). (b, t, d) -> (b, t, d). A mask changes nothing."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, inner, bias=False)
        self.w2 = nn.Linear(inner, width, bias=False)
        self.w3 = nn.Linear(width, inner, bias=False)

    def last(self) -> Tensor:
        """Weight of the layer whose output joins the residual."""
        return self.w2.weight

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class ConvFeedForward(nn.Module):
    """Two convolutions along time with a GELU between (after FastSpeech). (b, t, d) -> (b, t, d).

    Neighbours are seen directly, which speech needs and small models learn slowly from attention alone. mask: (b, t),
    True where real; padding is then the zero that a convolution sees past an end.
    """

    def __init__(self, width: int, inner: int, kernel: int = 3) -> None:
        super().__init__()
        self.expand = nn.Conv1d(width, inner, kernel, padding=kernel // 2)
        self.contract = nn.Conv1d(inner, width, kernel, padding=kernel // 2)

    def last(self) -> Tensor:
        """Weight of the layer whose output joins the residual."""
        return self.contract.weight

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        real = 1 if mask is None else mask[:, None, :].to(x.dtype)
        inner = F.gelu(self.expand(x.transpose(1, 2) * real))
        return self.contract(inner * real).transpose(1, 2)


class ConvNeXt(nn.Module):
    """Depthwise convolution, norm, pointwise expansion, residual (Liu et al. 2022, in one dimension).

    scaled: a gain per channel on what joins the residual, as Vocos has (Siuzdak 2023). (b, t, d) -> (b, t, d).
    """

    def __init__(self, width: int, inner: int, kernel: int = 7, *, eps: float = 1e-5, scaled: bool = False) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps)
        self.expand = nn.Linear(width, inner)
        self.contract = nn.Linear(inner, width)
        self.gain = nn.Parameter(torch.ones(width)) if scaled else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y = self.contract(F.gelu(self.expand(self.norm(y))))
        return x + y if self.gain is None else x + self.gain * y
