"""Semantic features at 50 a second -> content features at the mel's frame rate.

Axes: b batch, n semantic positions, t mel frames, c content width, d width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tts_lab.systems.indextts2.released import Layout, renamed
from tts_lab.systems.indextts2.sizes import LengthRegulatorSizes

FRAMES_PER_TOKEN = 1.72  # 22,050 Hz / 256 mel frames for 50 semantic tokens a second, as the public pipeline rounds it


def frames_of(tokens: int) -> int:
    """Mel frames of so many semantic tokens (indextts/infer_v2.py, which truncates)."""
    return int(FRAMES_PER_TOKEN * tokens)


def nearest(positions: int, frames: int, device: torch.device | str = "cpu") -> Tensor:
    """Which of `positions` each of `frames` takes: (t,) int64.

    floor(i x positions / frames) with the ratio and the product rounded to float32, as torch's nearest interpolation
    does; exact arithmetic gives other positions in places (26 -> 44).
    """
    ratio = float(np.float32(positions) / np.float32(frames))
    index = torch.arange(frames, dtype=torch.float32, device=device) * ratio
    return index.floor().long().clamp(max=positions - 1)


class LengthRegulator(nn.Module):
    """Projection, nearest neighbour in time, and convolutions that smooth what it repeats.

    forward(x (b, n, c), frames, lengths (b,) or None) -> (b, t, d) with t = frames. Positions are spread over all
    frames; those from an item's length on are then set to zero. Norms see them (indextts/s2mel/modules/
    length_regulator.py does it so). Released parameter names.
    """

    def __init__(self, sizes: LengthRegulatorSizes) -> None:
        super().__init__()
        self.sizes = sizes
        d = sizes.width
        self.content_in_proj = nn.Linear(sizes.content, d)
        smooth: list[nn.Module] = []
        for _ in range(sizes.convolutions):
            smooth += [nn.Conv1d(d, d, 3, padding=1), nn.GroupNorm(1, d), nn.Mish()]
        self.model = nn.Sequential(*smooth, nn.Conv1d(d, d, 1))

    def forward(self, x: Tensor, frames: int, lengths: Tensor | None = None) -> Tensor:
        index = nearest(x.shape[1], frames, x.device)
        y = self.content_in_proj(x).index_select(1, index)
        y = self.model(y.transpose(1, 2)).transpose(1, 2)
        if lengths is None:
            return y
        real = torch.arange(frames, device=x.device)[None] < lengths[:, None]
        return y * real[..., None].to(y.dtype)


def layout(sizes: LengthRegulatorSizes) -> Layout:
    """Of `length_regulator`: names are released as ours, and an embedding for discrete input is never read."""
    modules = ["content_in_proj"]
    for i in range(sizes.convolutions):
        modules += [f"model.{3 * i}", f"model.{3 * i + 1}"]
    modules.append(f"model.{3 * sizes.convolutions}")
    unused = {"embedding.weight": (sizes.codebook, sizes.width), "mask_token": (1, sizes.width)}
    return Layout(renamed((m, m) for m in modules), unused=unused)
