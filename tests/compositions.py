"""Every pair of levers on one system: what must not change the sound does not, whatever it is combined with.

The stages are lent as a card lends them, so precision, quantisation and offload really happen on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from tts_lab.levers.residency import Residency
from tts_lab.pipeline import say
from tts_lab.recipe import LEVERS, Recipe
from tts_lab.types import Request

Move = tuple[str, Any]  # lever, value
BASE = Recipe(steps=2, guidance=0.7, schedule="uniform", crossfade_ms=0)
# What moves memory and time only -> largest relative error; 0: bit for bit.
SILENT: dict[Move, float] = {
    ("offload", "voice"): 0, ("offload", "stage"): 0, ("offload", "layers"): 0, ("offload", "disk"): 0,
    ("checkpointing", True): 0,
    ("tile", 8): 1e-5, ("guidance_mode", "sequential"): 1e-4, ("cache", "growing"): 1e-4, ("attention", "math"): 1e-4,
}  # fmt: skip
# What changes the sound itself.
HEARD: tuple[Move, ...] = (
    ("steps", 3), ("solver", "midpoint"), ("solver", "heun"), ("schedule", "sway"), ("guidance", 0.0),
    ("temperature", 0.0), ("beams", 2), ("precision", "bf16"), ("precision", "fp16"), ("quantisation", "int8"),
    ("quantisation", "fp8"), ("cache", "int8"), ("vocoder", "small"), ("max_chars", 10), ("crossfade_ms", 5.0),
)  # fmt: skip
HALF = {"bf16": 0.1, "fp16": 0.01}  # relative error of what rounds in another order in these formats


def pairs(heard: tuple[Move, ...] = HEARD) -> list[tuple[Move, Move]]:
    """Each silent move with every other one, and with every one of `heard`."""
    found = combinations((*SILENT, *heard), 2)
    return [(one, other) for one, other in found if one in SILENT and one[0] != other[0]]


def heard_pairs() -> list[tuple[Move, Move]]:
    """Pairs of moves that both change the sound."""
    return [(one, other) for one, other in combinations(HEARD, 2) if one[0] != other[0]]


def name_of(pair: tuple[Move, ...]) -> str:
    return " x ".join(f"{lever} {value}" for lever, value in pair)


class Bench:
    """A system whose stages are lent, and what it said with each recipe."""

    def __init__(self, system: Any, request: Request, missing: Callable[[Move], bool] = lambda move: False) -> None:
        self.system, self.request, self.missing = system, request, missing
        system.home = Residency("cpu", lends=True)
        self.sound = lru_cache(maxsize=None)(self._sound)

    def _sound(self, recipe: Recipe) -> Tensor:
        return say(self.system, self.request, recipe).samples

    def check_silent(self, silent: Move, other: Move) -> None:
        """The sound with both is the sound with `other` alone, within what the silent move may change."""
        with_other = BASE.replace(**dict([other]))
        expected, found = self.sound(with_other), self.sound(with_other.replace(**dict([silent])))
        limit = SILENT[silent] + SILENT.get(other, 0)
        if limit == 0:
            assert torch.equal(found, expected)
            return
        limit = max(limit, HALF.get(with_other.precision, 0))
        assert found.shape == expected.shape
        assert float((found - expected).norm() / expected.norm()) <= limit

    def check_heard(self, one: Move, other: Move) -> None:
        """Both are in effect: the sound is neither that of one alone nor of the other, unless a move is not there."""
        both = self.sound(BASE.replace(**dict([one, other])))
        assert torch.isfinite(both).all()
        assert both.abs().max() > 1e-4
        for move in (one, other):
            alone = self.sound(BASE.replace(**dict([two for two in (one, other) if two is not move])))
            changed = both.shape != alone.shape or not torch.equal(both, alone)
            assert changed or self.missing(move) or self._without_effect(move, one, other), f"{move} did nothing"

    def _without_effect(self, move: Move, one: Move, other: Move) -> bool:
        """What the recipe itself says does nothing in this company."""
        return any(sentence.startswith(move[0]) for sentence in BASE.replace(**dict([one, other])).excludes())


def test_moves_cover_every_lever() -> None:
    assert {lever for lever, _ in (*SILENT, *HEARD)} == set(LEVERS)
