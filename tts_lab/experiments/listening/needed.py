"""How many trials and listeners a test needs, asked before it begins."""

from __future__ import annotations

import math
from collections.abc import Callable

from tts_lab.errors import LabError
from tts_lab.experiments.listening.binomial import needed_right

MOST = 2000  # trials or listeners; beyond that the question is another one


def abx_trials(share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Trials after which ABX finds, with probability `power`, who answers right in `share` of them.

    The smallest number from which on the exact binomial test has that power: power rises in saw-teeth, because right
    answers are whole. Raises LabError where more than 2,000 would be needed.
    """
    _check(power, alpha)
    if not 0.5 < share <= 1:
        raise LabError(f"share must lie above 0.5, which is guessing, and not above 1, but is {share}.")
    return _smallest(lambda n: abx_power(n, share, alpha), power, f"a share of {share}")


def abx_power(trials: int, share: float, alpha: float = 0.05) -> float:
    """How often ABX of so many trials finds who answers right in `share` of them."""
    from scipy.stats import binom

    return float(binom.sf(needed_right(trials, alpha) - 1, trials, share))


def preference_trials(share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Decided answers after which a two-sided sign test finds, with probability `power`, a preference of `share`."""
    _check(power, alpha)
    if not 0.5 < share <= 1:
        raise LabError(f"share must lie above 0.5, which is no preference, and not above 1, but is {share}.")
    return _smallest(lambda n: preference_power(n, share, alpha), power, f"a preference of {share}")


def preference_power(trials: int, share: float, alpha: float = 0.05) -> float:
    """How often a two-sided sign test of so many decided answers finds a preference of `share`."""
    from scipy.stats import binom

    wins = needed_right(trials, alpha / 2)
    return float(binom.sf(wins - 1, trials, share) + binom.cdf(trials - wins, trials, share))


def mushra_listeners(
    difference: float, spread: float, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1
) -> int:
    """Listeners with whom a paired t test finds, with probability `power`, a difference of two mean scores.

    spread: standard deviation over listeners of the difference (`spread_of` makes it of its parts). comparisons: alpha
    is divided by it, so that the answer holds for the first step of Holm's correction.
    """
    _check(power, alpha)
    if difference <= 0 or spread <= 0:
        raise LabError(f"difference and spread must be above 0, but are {difference} and {spread}.")
    effect, alpha = difference / spread, alpha / comparisons
    found = next((n for n in range(2, MOST + 1) if _t_power(effect, n, alpha) >= power), None)
    if found is None:
        raise LabError(
            f"For {difference:g} points more than {MOST:,} listeners are needed; ask for a larger difference."
        )
    return found


def spread_of(listener_condition: float, noise: float, items: int) -> float:
    """Standard deviation over listeners of a difference of two conditions, each a mean over `items`.

    listener_condition: how far listeners differ in what they think of one condition. noise: of a single score. Both
    are standard deviations on the scale of 0 to 100.
    """
    return math.sqrt(2 * (listener_condition**2 + noise**2 / items))


def _check(power: float, alpha: float) -> None:
    if not (0 < power < 1 and 0 < alpha < 1):
        raise LabError(f"power and alpha must lie between 0 and 1, but are {power} and {alpha}.")


def _smallest(power_of: Callable[[int], float], power: float, what: str) -> int:
    """The number of trials from which on the power is never below `power` again."""
    below = [n for n in range(1, MOST + 1) if power_of(n) < power]
    if below and below[-1] == MOST:
        raise LabError(f"For {what} more than {MOST:,} trials are needed; ask for a larger difference.")
    return below[-1] + 1 if below else 1


def _t_power(effect: float, count: int, alpha: float) -> float:
    from statsmodels.stats.power import TTestPower

    found = float(TTestPower().power(effect, count, alpha))
    return 1.0 if math.isnan(found) else found  # scipy has no tail of so far away a noncentral t
