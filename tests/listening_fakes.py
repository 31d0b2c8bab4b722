"""Sounds and tests of a listener that need no voice: hiss on a tone, each item and condition its own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from tts_lab.experiments.listening import Sounds, sounds

RATE, SECONDS = 22_050, 0.5


def hiss(seed: int, seconds: float = SECONDS, level: float = 0.1, rate: int = RATE) -> tuple[torch.Tensor, int]:
    count = int(seconds * rate)
    tone = torch.sin(2 * math.pi * (200 + seed) * torch.arange(count) / rate)
    return level * (tone + torch.randn(count, generator=torch.Generator().manual_seed(seed))) / 4, rate


def made(conditions: str = "good bad", items: int = 3) -> Sounds:
    """Sounds of conditions whose names are easily found where they must not be."""
    names = conditions.split()
    return sounds({
        f"sentence-{n}": {name: hiss(100 * n + m) for m, name in enumerate(names)} for n in range(items)
    })  # fmt: skip


def lines(path: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
