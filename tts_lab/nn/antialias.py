"""SnakeBeta without aliasing: up to twice the rate, the activation, and down again (BigVGAN, Lee et al. 2023).

A snake bends sines into overtones above half the sample rate; at twice the rate they can be filtered away before they
fold back.

Axes: b batch, c channels, t samples, k taps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad

TAPS = 12
REACH = 5  # samples a side that an output depends on, of both filters together


def low_pass(cutoff: float = 0.25, half_width: float = 0.3, taps: int = TAPS) -> Tensor:
    """Sinc under a Kaiser window, of unit sum: (k,) float32. cutoff, half_width: of the sample rate.

    Window after Kaiser's formulas, with the attenuation that `taps` reach.
    """
    attenuation = 2.285 * (taps // 2 - 1) * math.pi * 4 * half_width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    else:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21) if attenuation >= 21 else 0.0
    window = torch.kaiser_window(taps, beta=beta, periodic=False, dtype=torch.float64)
    time = torch.arange(taps, dtype=torch.float64) - taps / 2 + 0.5
    sinc = window * torch.sinc(2 * cutoff * time)
    return (sinc / sinc.sum()).float()


class AntiAliasedSnake(nn.Module):
    """x + sin^2(a x) / b with a = e^alpha, b = e^beta, a channel each, at twice the rate. (b, c, t) -> (b, c, t).

    The bending is computed in float32 whatever the type of x, for the phase of a sine needs the digits. groups: number
    of parts that the channels are worked through in, since what is at twice the rate is the largest thing here.
    """

    def __init__(self, channels: int, groups: int = 1) -> None:
        super().__init__()
        self.groups = groups
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, taps: Tensor) -> Tensor:
        """taps: (k,) of `low_pass`."""
        if self.groups == 1:
            return self._bend(x, self.alpha, self.beta, taps)
        y = torch.empty_like(x)
        parts = (p.chunk(self.groups, d) for p, d in ((x, 1), (self.alpha, 0), (self.beta, 0), (y, 1)))
        for part, alpha, beta, out in zip(*parts, strict=True):
            out.copy_(self._bend(part, alpha, beta, taps))
        return y

    def _bend(self, x: Tensor, alpha: Tensor, beta: Tensor, taps: Tensor) -> Tensor:
        taps = taps.to(x.dtype).expand(x.shape[1], 1, -1)
        up = upsampled(x, taps)
        down = snake(up, alpha, beta)
        del up
        return conv1d(down, taps, stride=2, groups=x.shape[1])


def upsampled(x: Tensor, taps: Tensor) -> Tensor:
    """(b, c, t) at twice the rate with edges repeated, 5 samples before and 6 after: (b, c, 2t + 11).

    taps: (c, 1, k). Repeating edges before a function of each sample is the same as after it, and saves a copy.
    """
    y = conv_transpose1d(pad(x, (5, 5), mode="replicate"), 2 * taps, stride=2, groups=x.shape[1])[..., 10:-9]
    y[..., :5] = y[..., 5:6]
    y[..., -6:] = y[..., -7:-6]
    return y


def snake(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """x + sin^2(x e^alpha) / (e^beta + 1e-9) in float32 at least, returned in x's type. alpha, beta: (c,)."""
    wide = torch.promote_types(x.dtype, torch.float32)
    a, b = alpha.to(wide).exp()[:, None], beta.to(wide).exp()[:, None]
    y = x * a  # wide, since a is
    return y.sin_().square_().mul_(1 / (b + 1e-9)).add_(x).to(x.dtype)
