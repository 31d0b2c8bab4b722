"""ABX that stops as soon as it knows: the sequential probability ratio test (Wald, Ann. Math. Stat., 1945).

Looking at an ordinary ABX test after every trial, and stopping when p is below 0.05, is not this: a guesser then wins
far more often than in 5 % of all tests, and always in the end (`peeking`). Wald's test has boundaries that take the
looking into account. It asks whether the share of right answers is p0 (guessing) or p1 (what would matter), and on the
average needs about half the trials of a test of fixed length with the same errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tts_lab.errors import LabError

HEARD, NOT_HEARD, OPEN = "heard", "not heard", "undecided"


@dataclass(frozen=True)
class Sprt:
    """p0, p1: share of right answers of who hears nothing, and of who hears the difference. alpha: how often the first
    may be taken for the second; beta: the second for the first."""

    p0: float = 0.5
    p1: float = 0.8
    alpha: float = 0.05
    beta: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.p0 < self.p1 < 1:
            raise LabError(f"A sequential test needs 0 < p0 < p1 < 1, but p0 is {self.p0} and p1 is {self.p1}.")
        if not (0 < self.alpha < 0.5 and 0 < self.beta < 0.5):
            raise LabError(f"alpha and beta must lie between 0 and 0.5, but are {self.alpha} and {self.beta}.")

    @property
    def boundaries(self) -> tuple[float, float]:
        """Of the logarithm of the likelihood ratio: at or below the first "not heard", from the second on "heard"."""
        return math.log(self.beta / (1 - self.alpha)), math.log((1 - self.beta) / self.alpha)

    def evidence(self, right: int, trials: int) -> float:
        """Logarithm of the likelihood ratio of p1 to p0."""
        won, lost = math.log(self.p1 / self.p0), math.log((1 - self.p1) / (1 - self.p0))
        return right * won + (trials - right) * lost

    def verdict(self, right: int, trials: int) -> str:
        """heard, not heard or undecided, after so many trials."""
        low, high = self.boundaries
        evidence = self.evidence(right, trials)
        return HEARD if evidence >= high else NOT_HEARD if evidence <= low else OPEN

    def decided(self, answers: Sequence[bool]) -> str:
        """The verdict at the first trial that gave one; later answers change nothing."""
        right = 0
        for n, answer in enumerate(answers, 1):
            right += answer
            if (verdict := self.verdict(right, n)) != OPEN:
                return verdict
        return OPEN

    def lines(self, trials: int) -> tuple[float, float]:
        """Numbers of right answers at which the boundaries lie after so many trials; they need not be whole."""
        won, lost = math.log(self.p1 / self.p0), math.log((1 - self.p1) / (1 - self.p0))
        low, high = ((limit - trials * lost) / (won - lost) for limit in self.boundaries)
        return low, high


@dataclass(frozen=True)
class Course:
    """How a test that may stop early ends, exactly. heard, not_heard, undecided: probabilities. trials: expected."""

    heard: float
    not_heard: float
    undecided: float
    trials: float


def course(sprt: Sprt, share: float, most: int) -> Course:
    """Of a listener who is right with probability `share` in each of at most `most` trials."""
    return _course(sprt.verdict, share, most)


def peeking(most: int, alpha: float = 0.05) -> float:
    """How often a guesser reaches p <= alpha at some moment of `most` trials, when p is looked at after every one."""
    from tts_lab.experiments.listening.binomial import p_value

    return _course(lambda right, n: HEARD if p_value(right, n) <= alpha else OPEN, 0.5, most).heard


def _course(verdict: Callable[[int, int], str], share: float, most: int) -> Course:
    """Walk through all numbers of right answers at once; what reaches a verdict leaves the walk."""
    going, ended, expected = {0: 1.0}, {HEARD: 0.0, NOT_HEARD: 0.0}, 0.0
    for n in range(1, most + 1):
        expected += sum(going.values())
        after: dict[int, float] = {}
        for right, weight in going.items():
            for now, chance in ((right + 1, share), (right, 1 - share)):
                after[now] = after.get(now, 0.0) + weight * chance
        going = {}
        for right, weight in after.items():
            found = verdict(right, n)
            if found == OPEN:
                going[right] = weight
            else:
                ended[found] += weight
    return Course(ended[HEARD], ended[NOT_HEARD], sum(going.values()), expected)
