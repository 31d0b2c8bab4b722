"""Figures of listening tests: scores with intervals, right answers beside what guessing gives, a test that stops early.

Where programs listened instead of people, the title of every figure says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from tts_lab.experiments.listening.binomial import needed_right
from tts_lab.experiments.listening.result import Result
from tts_lab.experiments.listening.results import ALPHA, AbxResult, MushraResult, PreferenceResult
from tts_lab.experiments.listening.sequential import HEARD, NOT_HEARD, OPEN
from tts_lab.show.plots import BLUE, GREEN, GREY, INK, ORANGE, PINK, SOFT, Picture, quiet

BANDS = ("bad", "poor", "fair", "good", "excellent")  # of twenty points each: ITU-R BS.1534-3, 5.4
MARKS = {HEARD: "o", NOT_HEARD: "s", OPEN: "D"}
PATHS = (BLUE, ORANGE, GREEN, PINK, INK)


def listening_figure(result: Result) -> Picture:
    """The figure that suits a result: scores, right answers, a sequential course, or preferences."""
    if isinstance(result, MushraResult):
        return mushra_figure(result)
    if isinstance(result, PreferenceResult):
        return preference_figure(result)
    assert isinstance(result, AbxResult)
    return sequential_figure(result) if result.test.sequential else abx_figure(result)


def mushra_figure(result: MushraResult) -> Picture:
    """Mean scores with 95 % intervals, the best first; behind them every listener's mean of each condition.

    Raises ValueError where screening leaves nobody.
    """
    if not any(s.kept for s in result.screened):
        raise ValueError("screening leaves no scores to draw")
    figure, axes = _figure(1.6 + 0.5 * len(result.means), result.headed("scores, mean and 95 %"))
    best = sorted(range(len(result.means)), key=lambda n: -result.means[n].value)
    for y, n in enumerate(best):
        mean, colour = result.means[n], _colour_of(result, result.means[n].condition)
        own = result.cube[:, :, n].mean(1)
        axes.plot(
            own, y + _spread(len(own)), "o", color=colour, alpha=0.35, markersize=4, markeredgewidth=0, clip_on=False
        )
        _interval(axes, y, mean.value, mean.low, mean.high, colour)
    axes.set_yticks(range(len(best)), [_named(result, result.means[n].condition) for n in best])
    axes.set(xlim=(0, 100), ylim=(len(best) - 0.5, -0.5), xlabel=f"score: how near to {result.test.reference}")
    for n, word in enumerate(BANDS):
        axes.axvline(20 * n, color=GREY, linewidth=0.6, zorder=0)
        axes.annotate(word, (20 * n + 10, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom",
                      fontsize=8, color=SOFT)  # fmt: skip
    quiet(axes, "left")
    return figure


def abx_figure(result: AbxResult) -> Picture:
    """Share of right answers of each listener, and of all, with exact 95 % intervals. Grey: what guessing explains."""
    scores = dict(result.scores)
    if len(scores) > 1:
        scores["all"] = result.pooled
    figure, axes = _figure(1.5 + 0.4 * len(scores), result.headed(f"{' or '.join(result.test.conditions)}?"))
    for y, (name, score) in enumerate(scores.items()):
        limit = (needed_right(score.trials, ALPHA) - 0.5) / score.trials
        axes.barh(y, min(limit, 1), height=0.8, color=GREY, alpha=0.45, linewidth=0)
        _interval(axes, y, score.share, score.low, score.high, INK if name == "all" else BLUE)
        axes.annotate(f"{score.right} of {score.trials}", (1.02, y), xycoords=("axes fraction", "data"), va="center",
                      fontsize=8.5, annotation_clip=False)  # fmt: skip
    axes.axvline(0.5, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set(xlim=(0, 1), ylim=(len(scores) - 0.5, -0.5))
    axes.set_xlabel(f"share of right answers (grey: what guessing explains, p > {ALPHA:g}; dashed: the mean guess)")
    axes.xaxis.set_major_formatter("{x:.0%}")
    quiet(axes, "left")
    return figure


def sequential_figure(result: AbxResult) -> Picture:
    """Right answers against trials, a path for each listener, between the boundaries of Wald's test.

    Raises ValueError for a test of fixed length.
    """
    if result.test.sequential is None:
        raise ValueError("a test of fixed length has no boundaries")
    longest = max(map(len, result.answers.values())) + 2
    figure, axes = _figure(3.6, result.headed(f"{' or '.join(result.test.conditions)}?"))
    trials = np.arange(longest + 1)
    low, high = np.array([result.test.sequential.lines(int(n)) for n in trials]).T
    axes.fill_between(trials, high, longest + 1, color=GREEN, alpha=0.15, linewidth=0, label="difference heard")
    axes.fill_between(trials, -1, low, color=ORANGE, alpha=0.2, linewidth=0, label="not heard")
    axes.plot(trials, trials / 2, color=SOFT, linestyle="--", linewidth=1, label="mean guess")
    for n, (name, answers) in enumerate(result.answers.items()):
        aside = 0.06 * (n - (len(result.answers) - 1) / 2)  # equal paths would hide each other
        _path(axes, name, answers, result.verdicts[name], PATHS[n % len(PATHS)], aside)
    axes.set(xlim=(0, longest), ylim=(0, longest), xlabel="trials", ylabel="right answers")
    axes.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1, 1))
    quiet(axes)
    return figure


def preference_figure(result: PreferenceResult) -> Picture:
    """Share of answers that name the first of each pair, with exact 95 % intervals; beside it the strengths, where
    there are more than two conditions."""
    several = len(result.test.conditions) > 2
    figure = Picture(figsize=(9, 1.5 + 0.45 * len(result.pairs)), layout="constrained", facecolor="white")
    figure.suptitle(result.headed("preferences, 95 %"), fontsize=10, x=0.01, ha="left")
    left = figure.add_subplot(1, 2 if several else 1, 1)
    for y, pair in enumerate(result.pairs):
        decided = pair.wins + pair.losses
        _interval(left, y, pair.wins / decided if decided else 0.5, pair.low, pair.high, BLUE)
    left.axvline(0.5, color=INK, linestyle="--", linewidth=1)
    left.set_yticks(range(len(result.pairs)), [f"{p.first} over\n{p.second}" for p in result.pairs])
    left.set(xlim=(0, 1), ylim=(len(result.pairs) - 0.5, -0.5), xlabel="share of the decided answers")
    left.xaxis.set_major_formatter("{x:.0%}")
    quiet(left, "left")
    if several:
        _strengths(figure.add_subplot(1, 2, 2), result)
    return figure


def power_figure(curves: dict[str, Sequence[tuple[int, float]]], power: float = 0.8) -> Picture:
    """Power against the number of trials or listeners. curves: name -> (number, power)."""
    if not curves:
        raise ValueError("no curves to draw")
    figure, axes = _figure(3.2, "")
    for (name, points), colour in zip(curves.items(), PATHS * len(curves), strict=False):
        axes.plot(*zip(*points, strict=True), color=colour, label=name)
    axes.axhline(power, color=SOFT, linestyle="--", linewidth=1)
    axes.set(ylim=(0, 1), xlabel="trials", ylabel="power")
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
    quiet(axes)
    return figure


def _figure(height: float, title: str) -> tuple[Picture, Axes]:
    figure = Picture(figsize=(9, height), layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure, figure.add_subplot()


def _interval(axes: Axes, y: float, value: float, low: float, high: float, colour: str) -> None:
    axes.plot([low, high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot(value, y, "D", color=colour, markeredgecolor="white", markersize=7, clip_on=False, zorder=5)


def _spread(count: int) -> np.ndarray:
    """Heights that keep points apart, the same on every run."""
    return np.linspace(-0.24, 0.24, count) if count > 1 else np.zeros(1)


def _path(axes: Axes, name: str, answers: Sequence[bool], verdict: str, colour: str, aside: float) -> None:
    right = np.concatenate([[0], np.cumsum(answers)]) + aside
    axes.plot(range(len(right)), right, color=colour, linewidth=1.5, label=f"{name}: {verdict}")
    axes.plot(len(answers), right[-1], MARKS[verdict], color=colour, markersize=8, markeredgecolor="white")


def _strengths(axes: Axes, result: PreferenceResult) -> None:
    best = sorted(result.strengths, key=lambda s: -s.value)
    for y, strength in enumerate(best):
        _interval(axes, y, strength.value, strength.low, strength.high, BLUE)
    axes.axvline(0, color=INK, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(best)), [s.condition for s in best])
    axes.set(ylim=(len(best) - 0.5, -0.5), xlabel="strength in logits (Bradley and Terry)")
    quiet(axes, "left")


def _colour_of(result: MushraResult, condition: str) -> str:
    if condition == result.test.reference:
        return GREEN
    return ORANGE if condition in (result.test.low, result.test.mid) else BLUE


def _named(result: MushraResult, condition: str) -> str:
    return f"{condition}\n(hidden reference)" if condition == result.test.reference else condition
