"""The statistics of preference: a sign test for every pair, and Bradley and Terry's strengths of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tts_lab.experiments.listening.corrected import holm
from tts_lab.experiments.listening.rows import Row

DRAWS = 1000  # of the bootstrap
IMAGINED = 0.5  # wins of either side of each pair added, so that who never lost has a finite strength


@dataclass(frozen=True)
class Pair:
    """How often each of two won. p: two-sided sign test of the decided answers; corrected: after Holm, over all pairs.
    low, high: interval of the share of `first` (95 %, Clopper and Pearson)."""

    first: str
    second: str
    wins: int
    losses: int
    ties: int
    p: float
    corrected: float
    low: float
    high: float


@dataclass(frozen=True)
class Strength:
    """Of a condition after Bradley and Terry, in logits above the mean of all: x more than another wins
    1 / (1 + exp(-x)) of the time. low, high: 95 %, bootstrap."""

    condition: str
    value: float
    low: float
    high: float


def pairs(rows: Sequence[Row], names: Sequence[tuple[str, str]]) -> tuple[Pair, ...]:
    """The result of every pair."""
    from scipy.stats import binomtest

    counts = [_count(rows, *pair) for pair in names]
    tests = [binomtest(wins, max(wins + losses, 1)) if wins + losses else None for wins, losses, _ in counts]
    p_values = [1.0 if test is None else float(test.pvalue) for test in tests]
    intervals = [(0.0, 1.0) if test is None else tuple(test.proportion_ci(0.95, method="exact")) for test in tests]
    columns = zip(names, counts, p_values, holm(p_values), intervals, strict=True)
    return tuple(Pair(*name, *count, p, corrected, *map(float, span)) for name, count, p, corrected, span in columns)


def strengths(rows: Sequence[Row], conditions: Sequence[str], seed: int = 0) -> tuple[Strength, ...]:
    """Bradley and Terry (Biometrika, 1952), a tie half a win for either. Resampled are whole listeners; of a single
    listener, answers."""
    by_listener: dict[Any, list[Row]] = {}
    for n, row in enumerate(rows):
        by_listener.setdefault(row["listener"], []).append({**row, "n": n})
    units = list(by_listener.values())
    if len(units) == 1:
        units = [[row] for row in units[0]]
    wins = np.stack([_wins(unit, conditions) for unit in units])
    draws = np.random.default_rng(seed).integers(len(units), size=(DRAWS, len(units)))
    drawn = np.stack([_fit(wins[draw].sum(0)) for draw in draws])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    columns = zip(conditions, _fit(wins.sum(0)), low, high, strict=True)
    return tuple(Strength(name, *map(float, figures)) for name, *figures in columns)


def _count(rows: Sequence[Row], first: str, second: str) -> tuple[int, int, int]:
    met = [row["winner"] for row in rows if {row["first"], row["second"]} == {first, second}]
    return met.count(first), met.count(second), met.count(None)


def _wins(rows: Sequence[Row], conditions: Sequence[str]) -> np.ndarray:
    """How often each (row) won against each (column)."""
    wins = np.zeros((len(conditions), len(conditions)))
    for row in rows:
        first, second = conditions.index(row["first"]), conditions.index(row["second"])
        share = 0.5 if row["winner"] is None else float(row["winner"] == row["first"])
        wins[first, second] += share
        wins[second, first] += 1 - share
    return wins


def _fit(wins: np.ndarray) -> np.ndarray:
    """Logits that sum to zero: the most likely ones, by Hunter's iteration (Annals of Statistics, 2004)."""
    met = wins + wins.T
    wins = np.where(met > 0, wins + IMAGINED, 0.0)
    met = wins + wins.T
    strength = np.ones(len(wins))
    for _ in range(1000):
        moved = wins.sum(1) / (met / (strength[:, None] + strength[None, :])).sum(1)
        moved /= np.exp(np.log(moved).mean())
        if np.abs(np.log(moved / strength)).max() < 1e-8:
            break
        strength = moved
    return np.log(moved)
