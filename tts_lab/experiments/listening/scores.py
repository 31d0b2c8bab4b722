"""The statistics of MUSHRA: means with bootstrap intervals, and comparisons by a mixed model or by ranks.

Axes: l listeners, i items, c conditions.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tts_lab.errors import LabError
from tts_lab.experiments.listening.corrected import holm
from tts_lab.experiments.listening.rows import Row

DRAWS = 2000  # of the bootstrap
MIXED_LISTENERS, MIXED_ITEMS = 8, 4  # fewer tell too little of how listeners and items differ
MIXED = "linear mixed model"
RANKS = "Friedman and Wilcoxon signed-rank"


@dataclass(frozen=True)
class Mean:
    """Mean score of a condition. low, high: 95 %, bootstrap over listeners and items."""

    condition: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Mean of first minus mean of second; corrected: its p-value after Holm, over all pairs."""

    first: str
    second: str
    value: float
    p: float
    corrected: float


@dataclass(frozen=True)
class Comparison:
    """How conditions were compared. overall: p-value of "all are equal" where the method gives one. note: what the
    p-values speak of, and how the fit went."""

    method: str
    differences: tuple[Difference, ...]
    overall: float | None
    note: str


def cube(rows: Sequence[Row], conditions: Sequence[str]) -> np.ndarray:
    """Scores as (l, i, c), the mean of the rounds. Raises LabError where one is missing."""
    axes = [sorted({row[name] for row in rows}) for name in ("listener", "item")] + [list(conditions)]
    total, count = np.zeros([*map(len, axes)]), np.zeros([*map(len, axes)])
    for row in rows:
        place = tuple(axis.index(row[name]) for axis, name in zip(axes, ("listener", "item", "condition"), strict=True))
        total[place] += row["score"]
        count[place] += 1
    if not count.all():
        raise LabError("Every listener must have scored every condition of every item, but a score is missing.")
    return total / count


def means(scores: np.ndarray, conditions: Sequence[str], seed: int = 0) -> tuple[Mean, ...]:
    """Means of (l, i, c) scores. Listeners and items are drawn again, both with replacement (Owen, 2007: pigeonhole
    bootstrap), so that the interval speaks of other listeners and other sentences. With fewer than ten of either it is
    rather short; with a single one it speaks of the other axis alone."""
    random = np.random.default_rng(seed)
    listeners, items, _ = scores.shape
    drawn = np.stack([
        scores[random.integers(listeners, size=listeners)][:, random.integers(items, size=items)].mean((0, 1))
        for _ in range(DRAWS)
    ])  # fmt: skip
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    columns = zip(conditions, scores.mean((0, 1)), low, high, strict=True)
    return tuple(Mean(name, *map(float, figures)) for name, *figures in columns)


def compare(scores: np.ndarray, conditions: Sequence[str]) -> Comparison:
    """Every two conditions of (l, i, c) scores: by a mixed model from 8 listeners and 4 items on, by ranks below."""
    listeners, items, _ = scores.shape
    if listeners >= MIXED_LISTENERS and items >= MIXED_ITEMS:
        return mixed(scores, conditions)
    return ranks(scores, conditions)


def mixed(scores: np.ndarray, conditions: Sequence[str]) -> Comparison:
    """Condition fixed; listener, item, and how each of them takes to each condition random. p-values speak of other
    listeners and items. They come from Student's t with one degree of freedom less than the fewer of both: the
    normal distribution, which statsmodels takes, rejects too often with so few."""
    from scipy.stats import t

    fit, warned = _fit(scores)
    free = min(scores.shape[:2]) - 1
    pairs = list(combinations(range(len(conditions)), 2))
    contrasts = np.zeros((len(pairs), len(conditions)))
    for row, (first, second) in enumerate(pairs):
        contrasts[row, first], contrasts[row, second] = 1, -1
    found = contrasts @ fit.fe_params.to_numpy()
    covariance = fit.cov_params().to_numpy()[: len(conditions), : len(conditions)]
    error = np.sqrt(np.einsum("ri,ij,rj->r", contrasts, covariance, contrasts))
    p_values = 2 * t.sf(np.abs(found) / error, free)
    note = f"of listeners and items in general; t with {free} degrees of freedom"
    return Comparison(MIXED, _differences(pairs, conditions, found, p_values), None, note + warned)


def ranks(scores: np.ndarray, conditions: Sequence[str]) -> Comparison:
    """Friedman's test of all conditions and Wilcoxon's of every two, over (listener, item) blocks: p-values speak of
    these listeners with these items, not of others."""
    from scipy.stats import friedmanchisquare

    blocks = scores.reshape(-1, scores.shape[2])
    pairs = list(combinations(range(len(conditions)), 2))
    found = [float((blocks[:, a] - blocks[:, b]).mean()) for a, b in pairs]
    p_values = [_wilcoxon(blocks[:, a] - blocks[:, b]) for a, b in pairs]
    overall = float(friedmanchisquare(*blocks.T).pvalue) if len(conditions) > 2 and blocks.std(1).any() else None
    note = "of these listeners and items only"
    return Comparison(RANKS, _differences(pairs, conditions, found, p_values), overall, note)


def _differences(pairs: Any, conditions: Sequence[str], found: Any, p_values: Any) -> tuple[Difference, ...]:
    columns = zip(pairs, found, p_values, holm(list(p_values)), strict=True)
    # Rounded, so that what is exactly half a digit is shown alike whatever order a processor adds in.
    return tuple(
        Difference(conditions[a], conditions[b], round(float(v), 9), float(p), c) for (a, b), v, p, c in columns
    )


def _wilcoxon(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def _fit(scores: np.ndarray) -> tuple[Any, str]:
    """The fitted model, and what it warned of.

    The likelier of two: where a variance is nearly zero L-BFGS may stop far from the likeliest variances, and whether
    it calls that converged depends on the processor; Powell's method follows no gradient.
    """
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    places = np.indices(scores.shape).reshape(3, -1)
    frame = pd.DataFrame({"listener": places[0], "item": places[1], "condition": places[2], "score": scores.ravel()})
    parts = {
        "listener": "0 + C(listener)", "item": "0 + C(item)", "listener_condition": "0 + C(listener):C(condition)",
        "item_condition": "0 + C(item):C(condition)",
    }  # fmt: skip
    model = MixedLM.from_formula("score ~ 0 + C(condition)", frame, groups=np.ones(len(frame)), vc_formula=parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a variance is estimated as zero is no fault; not converging is
        fit = model.fit(reml=True, method="lbfgs")
        with contextlib.suppress(np.linalg.LinAlgError):  # where its search ends at a singular matrix
            fit = max(fit, model.fit(reml=True, method="powell"), key=lambda found: found.llf)
    return fit, "" if fit.converged else "; the fit did not converge, so take these p-values for rough"
