"""Root-mean-square normalisation, plain and adaptive.

Axes: b batch, t positions, d model width, c width of the condition.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """x / rms(x) x gain, computed in float32 (Zhang and Sennrich 2019). x: (..., d)."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)
        return y.to(x.dtype) * self.gain


class AdaptiveNorm(nn.Module):
    """RMSNorm whose scale and shift come from a condition: w(c) RMSNorm(x) + b(c).

    x: (b, t, d); condition: (b, c). Starts as a plain norm: w = 1, b = 0.
    """

    def __init__(self, width: int, condition: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.norm = RMSNorm(width, eps)
        self.project = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.project.weight)
        with torch.no_grad():
            self.project.bias.copy_(torch.cat((torch.ones(width), torch.zeros(width))))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.project(condition)[:, None].chunk(2, -1)
        return scale * self.norm(x) + shift
