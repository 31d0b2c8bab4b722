"""SnakeBeta without aliasing: up to twice the rate, the activation, and down again (BigVGAN, Lee et al. 2023).

A snake bends sines into overtones above half the sample rate; at twice the rate they can be filtered away before they
fold back.

Axes: b batch, c channels, t samples, k taps.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, conv_transpose1d, pad

TAPS = 12
REACH = 5  # samples a side that an output depends on, of both filters together


def _kaiser_sinc(cutoff: float = 0.25, half_width: float = 0.3) -> list[float]:
    """Sinc under a Kaiser window, of unit sum. cutoff, half_width: of the sample rate.

    Attenuation in dB that so many taps reach, and the window for it, after Kaiser's formulas (above 50 dB).
    """
    attenuation = 2.285 * (TAPS // 2 - 1) * math.pi * 4 * half_width + 7.95
    time = np.arange(TAPS) - TAPS / 2 + 0.5
    sinc = np.kaiser(TAPS, 0.1102 * (attenuation - 8.7)) * np.sinc(2 * cutoff * time)
    taps: list[float] = (sinc / sinc.sum()).tolist()
    return taps


LOW_PASS = _kaiser_sinc()


def low_pass() -> Tensor:
    """The filter of both ways: (k,) float32."""
    return torch.tensor(LOW_PASS, dtype=torch.float32)


def _lost(dtype: torch.dtype) -> float:
    taps = torch.tensor(LOW_PASS, dtype=torch.float32, device="cpu").to(dtype)
    return 1 / float(taps.double().sum())


# Rounded taps no longer sum to one, and a level that is off by 0.02 % in each of a hundred filters is off by more than
# all else that half precision does. The factor that makes up for it costs nothing inside the snake.
MAKE_UP = {dtype: _lost(dtype) for dtype in (torch.float16, torch.bfloat16)}


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
        bent = snake(up, alpha, beta, MAKE_UP.get(x.dtype, 1.0))
        del up
        return conv1d(bent, taps, stride=2, groups=x.shape[1])


def upsampled(x: Tensor, taps: Tensor) -> Tensor:
    """(b, c, t) at twice the rate with edges repeated, 5 samples before and 6 after: (b, c, 2t + 11).

    taps: (c, 1, k). Repeating edges before a function of each sample is the same as after it, and saves a copy.
    """
    y = conv_transpose1d(pad(x, (5, 5), mode="replicate"), 2 * taps, stride=2, groups=x.shape[1])[..., 10:-9]
    y[..., :5] = y[..., 5:6]
    y[..., -6:] = y[..., -7:-6]
    return y


def snake(x: Tensor, alpha: Tensor, beta: Tensor, gain: float = 1.0) -> Tensor:
    """g (y + sin^2(y e^alpha) / (e^beta + 1e-9)) with y = g x, in float32 at least, returned in x's type.

    alpha, beta: (c,). gain: g, which makes up for a filter before and one after.
    """
    wide = torch.promote_types(x.dtype, torch.float32)
    a, b = alpha.to(wide).exp()[:, None], beta.to(wide).exp()[:, None]
    y = x * (gain * a)  # wide, since a is
    return y.sin_().square_().mul_(gain / (b + 1e-9)).add_(x, alpha=gain * gain).to(x.dtype)
