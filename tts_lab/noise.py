"""Random draws that are the same on every device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def noise(shape: Sequence[int], seed: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal noise of `shape`, float32, drawn on the CPU and then moved to `device`.

    The generators of CPU and CUDA differ: drawn on the device itself, one seed would give two voices.
    """
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32).to(device)
