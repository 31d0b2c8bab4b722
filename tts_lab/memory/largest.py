"""The largest number that fits a card: a batch, a length, a number of beams. Found by traces, on no card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tts_lab.errors import LabError
from tts_lab.memory.attention_route import family
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import trace

MOST = 1 << 16
FITS = ("fits", "tight")


@dataclass(frozen=True)
class Largest:
    """n: the largest that was found to fit, 0 where not even 1 does. report: of n (of 1 where n is 0).

    beyond: the smallest that was found not to fit; None where `most` fits. traced: the numbers that were tried.
    """

    n: int
    report: MemoryReport
    beyond: int | None
    traced: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Largest({self.n} on {self.report.card.name}: {self.report.sentence})"


def largest(
    make: Callable[[int], Sequence[Any]], card: Card | str, *, most: int = MOST, tight: bool = False,
    grad: bool = False,
) -> Largest:  # fmt: skip
    """The largest n up to `most` whose run fits the card; memory is taken to grow with n.

    make: n -> what `trace` takes, a function or module and its arguments; it is called on the meta device. tight:
    whether the verdict "tight" will do. grad: leave autograd on. Doubles n until it no longer fits, then halves the
    gap: about 2 log2(n) traces. Raises LabError for a `most` below 1.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise LabError(f"The largest number to try must be a whole number from 1 on, not {most!r}.")
    card, wanted = find_card(card), FITS if tight else FITS[:1]
    reports: dict[int, MemoryReport] = {}

    def fits(n: int) -> bool:
        with torch.device("meta"):
            run, *given = make(n)
        log = trace(run, *given, card_capability=family(card.compute_capability), grad=grad)
        reports[n] = MemoryReport.of(log, card)
        return reports[n].verdict in wanted

    low, high = _doubled(fits, most)
    while high is not None and high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return Largest(low, reports[max(low, 1)], high, tuple(reports))


def _doubled(fits: Callable[[int], bool], most: int) -> tuple[int, int | None]:
    """A number that fits (or 0), and a larger one that does not (or None), at most twice as large."""
    low, n = 0, 1
    while fits(n):
        if n == most:
            return n, None
        low, n = n, min(2 * n, most)
    return low, n
