"""Whether something drifts over a long text: slopes, differences and their intervals, each against what can be heard.

Axes: p pieces of the text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

LEVEL = 0.95
FEWEST = 6  # pieces: two in each third
NONE, DRIFTS, UNSETTLED = "no drift", "drifts", "not settled"


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Estimate:
        return Estimate(self.value * factor, self.low * factor, self.high * factor)

    def verdict(self, threshold: float) -> str:
        """`no drift`: all of the interval is too little to be heard (a test of equivalence, Schuirmann 1987); `drifts`:
        all of it can be heard; else `not settled`."""
        if -threshold < self.low and self.high < threshold:
            return NONE
        return DRIFTS if self.low > threshold or self.high < -threshold else UNSETTLED

    def __str__(self) -> str:
        return f"{self.value:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


@dataclass(frozen=True)
class Trend:
    """How one thing moves over a text.

    unit: of all figures; threshold: the smallest change that is noticed; per_minute: slope; change: what the slope
    comes to from the first piece to the last; thirds: the last third of the pieces against the first; spread: standard
    deviation of the pieces around the slope; centre: level at the middle of the text, where 0 is the mean; chance:
    standard deviation of one piece spoken several times, None where each was spoken once.
    """

    name: str
    unit: str
    threshold: float
    per_minute: Estimate
    change: Estimate
    thirds: Estimate
    spread: float
    centre: float
    chance: float | None = None

    @property
    def verdict(self) -> str:
        """Of the change over the whole text."""
        return self.change.verdict(self.threshold)

    @property
    def sentences(self) -> tuple[str, str, str]:
        """Slope, thirds and spread, each with its verdict."""
        apart = "can" if self.spread >= self.threshold else "cannot"
        chance = "" if self.chance is None else f"; the same piece spoken again: {self.chance:.2f}"
        return (
            f"{self.name}: {self.verdict}; {self.change} {self.unit} from the first piece to the last, "
            f"{self.per_minute.value:+.2f} a minute; just noticeable: {self.threshold:g} {self.unit}.",
            f"{self.name}, last third against first: {self.thirds.verdict(self.threshold)}; {self.thirds} {self.unit}.",
            f"{self.name}, piece by piece: {self.spread:.2f} {self.unit} (standard deviation), which {apart} be noticed"
            f"{chance}.",
        )

    @property
    def row(self) -> tuple[str, ...]:
        """Cells of a table: name, change, slope, thirds, spread, chance."""
        return (
            f"{self.name} ({self.unit})", f"{self.change}: {self.verdict}", f"{self.per_minute.value:+.2f}",
            f"{self.thirds}: {self.thirds.verdict(self.threshold)}", f"{self.spread:.2f}",
            "" if self.chance is None else f"{self.chance:.2f}",
        )  # fmt: skip


def trend(
    name: str, unit: str, threshold: float, seconds: Sequence[float], levels: Sequence[float], weights: Sequence[float]
) -> Trend:
    """The trend of levels (p,) that were measured at seconds (p,), each as sure as its weight (p,), such as its length.

    Raises ValueError for fewer than six pieces.
    """
    at, level, sure = (np.asarray(each, float) for each in (seconds, levels, weights))
    if len(at) < FEWEST:
        raise ValueError(f"a trend needs {FEWEST} pieces or more, not {len(at)}")
    minutes = (at - at.mean()) / 60
    slope, centre, spread = line(minutes, level, sure)
    return Trend(
        name, unit, threshold, slope, slope.times(float(np.ptp(minutes))), _thirds(level, sure), spread, centre
    )


def paired(alone: Trend, pairs: Sequence[tuple[float, float, float, float, float]]) -> Trend:
    """The same trend from pieces that were spoken twice, in opposite orders.

    pairs: (seconds, level, seconds of the other time, level of the other time, weight), in the first order. Half the
    difference of both levels holds nothing of the piece itself, and half the difference of both times is how far it
    moved, so their line has the slope of the drift.
    """
    at, level, other_at, other, sure = np.asarray(pairs, float).T
    minutes, half = (at - other_at) / 120, (level - other) / 2
    slope, _, spread = line(minutes, half, sure)
    length = float(np.ptp(at)) / 60
    return replace(
        alone, per_minute=slope, change=slope.times(length), thirds=_thirds(half, sure), chance=spread * math.sqrt(2)
    )


def line(x: Any, y: Any, weights: Any) -> tuple[Estimate, float, float]:
    """Weighted least squares of y on x (p,): the slope with its interval (Student's t), the level at x = 0, and the
    weighted standard deviation around the line. With x of 0 and 1 the slope is a difference of two weighted means."""
    share = weights / weights.sum()
    middle = float(share @ x)
    width = float(share @ (x - middle) ** 2)
    slope = float(share @ ((x - middle) * y)) / width
    level = float(share @ y) - slope * middle
    free = len(x) - 2
    spread = math.sqrt(float(share @ (y - level - slope * x) ** 2) * len(x) / free)
    half = float(stats.t.ppf((1 + LEVEL) / 2, free)) * spread / math.sqrt(len(x) * width)
    return Estimate(slope, slope - half, slope + half), level, spread


def _thirds(level: Any, weights: Any) -> Estimate:
    third = len(level) // 3
    ends = np.r_[:third, len(level) - third : len(level)]
    return line(np.repeat([0.0, 1.0], third), level[ends], weights[ends])[0]
