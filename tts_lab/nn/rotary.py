"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864), interleaved pairs.

Axes: b batch, h heads, t positions, k width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rotary_angles(length: int, width: int, device: torch.device, start: int = 0, base: float = 10000.0) -> Tensor:
    """Angles of positions `start .. start + length`. Returns (t, k/2) float32, radians."""
    frequencies = base ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    positions = torch.arange(start, start + length, device=device, dtype=torch.float32)
    return positions[:, None] * frequencies[None, :]


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn each pair (x[2i], x[2i+1]) by its position's angle, in float32. x: (b, h, t, k); angles: (t, k/2)."""
    cos, sin = angles.cos(), angles.sin()
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)
