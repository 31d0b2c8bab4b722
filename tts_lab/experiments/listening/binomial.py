"""The statistics of ABX with a fixed number of trials: exact binomial test, exact interval, and d'."""

from __future__ import annotations

import math
from dataclasses import dataclass

CHANCE = 0.5


@dataclass(frozen=True)
class Score:
    """right of trials. p: how often a guesser gets at least as many right. low, high: interval of the true share after
    Clopper and Pearson (95 %). d: sensitivity d', infinite where all are right."""

    right: int
    trials: int
    p: float
    low: float
    high: float
    d: float

    @property
    def share(self) -> float:
        return self.right / self.trials


def score(right: int, trials: int, confidence: float = 0.95) -> Score:
    """Everything about `right` of `trials`, whose number was fixed before they began."""
    from scipy.stats import binomtest

    interval = binomtest(right, trials, CHANCE).proportion_ci(confidence, method="exact")
    share = right / trials
    return Score(right, trials, p_value(right, trials), float(interval.low), float(interval.high), d_prime(share))


def p_value(right: int, trials: int) -> float:
    """How often a guesser gets at least `right` of `trials` right: one-sided, because nobody is right too rarely for a
    reason that matters here."""
    from scipy.stats import binom

    return float(binom.sf(right - 1, trials, CHANCE))


def d_prime(share: float) -> float:
    """d' of a share of right ABX answers, for who compares X with A and with B and answers the smaller difference.

    The differencing strategy (Macmillan and Creelman, Detection Theory, 2005, 9.2.3), which fits items that change from
    trial to trial: share = Phi(d/sqrt 2) Phi(d/sqrt 6) + Phi(-d/sqrt 2) Phi(-d/sqrt 6). 0 for chance and below.
    """
    from scipy.optimize import brentq

    if share <= CHANCE:
        return 0.0
    if share >= 1:
        return math.inf
    return float(brentq(lambda d: share_of(d) - share, 0, 60))


def share_of(d: float) -> float:
    """The share of right answers that belongs to d'; the inverse of `d_prime`."""
    from scipy.stats import norm

    near, far = d / math.sqrt(2), d / math.sqrt(6)
    return float(norm.cdf(near) * norm.cdf(far) + norm.cdf(-near) * norm.cdf(-far))


def needed_right(trials: int, alpha: float = 0.05) -> int:
    """The fewest right answers whose p is at most alpha; `trials` + 1 where even all would not do."""
    from scipy.stats import binom

    return int(binom.isf(alpha, trials, CHANCE)) + 1
