"""Small parts that SAM-BERT uses in several places; parameter names are the published ones.

Axes: b batch, t positions, d width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-6  # of every layer norm


class Prenet(nn.Module):
    """Linear layers with ReLU between, and a last one without if `out` is given. (b, t, d) -> (b, t, out).

    In the published model dropout follows each ReLU; at inference it does nothing, and only its place in the list of
    layers remains.
    """

    def __init__(self, width: int, units: Sequence[int], out: int = 0) -> None:
        super().__init__()
        self.fcs = nn.ModuleList()
        for before, after in zip([width, *units], units, strict=False):
            self.fcs.extend((nn.Linear(before, after), nn.ReLU(), nn.Identity()))
        if out:
            self.fcs.append(nn.Linear(units[-1], out))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.fcs:
            x = layer(x)
        return x


class ConvFeedForward(nn.Module):
    """Norm, convolution, ReLU, convolution, residual. (b, t, d) -> (b, t, d). mask: (b, t), True where real.

    Padding is the zero that a convolution sees past an end. The published code lets it be the norm's bias, so that a
    sentence in a batch differs from the sentence alone: `leaky` does the same.
    """

    def __init__(self, width: int, inner: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(width, inner, kernels[0], padding=kernels[0] // 2)
        self.w_2 = nn.Conv1d(inner, width, kernels[1], padding=kernels[1] // 2)
        self.layer_norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, x: Tensor, mask: Tensor | None = None, leaky: bool = False) -> Tensor:
        y = self.layer_norm(x).transpose(1, 2)
        y = F.relu(self.w_1(y if mask is None or leaky else y * mask[:, None]))
        if mask is not None:
            y = y * mask[:, None]
        return self.w_2(y).transpose(1, 2) + x

    def step(self, x: Tensor) -> Tensor:
        """The same for single positions (b, 1, d) and kernels of 1, where a matrix product is the shorter way."""
        y = F.relu(F.linear(self.layer_norm(x), self.w_1.weight[..., 0], self.w_1.bias))
        return F.linear(y, self.w_2.weight[..., 0], self.w_2.bias) + x


def sinusoids(first: int, count: int, width: int) -> Tensor:
    """Position codes (count, d) of positions first, first + 1, ...; sines in the first half, cosines in the second.

    Frequencies are 10000^(-j / (d/2 - 1)), computed in float64 as the published table was.
    """
    j = torch.arange(width // 2, dtype=torch.float64, device="cpu")
    positions = torch.arange(first, first + count, dtype=torch.float64, device="cpu")
    angle = positions[:, None] / 10000.0 ** (j / (width / 2 - 1))
    return torch.cat((angle.sin(), angle.cos()), 1).float()


def real(lengths: Sequence[int], longest: int, device: torch.device) -> Tensor | None:
    """Mask (b, t), True where an item of so many positions has one; None where all are as long as the longest."""
    if all(n == longest for n in lengths):
        return None
    return torch.arange(longest, device=device)[None] < torch.tensor(lengths, device=device)[:, None]
