"""A plan as a picture: what each option takes of a card, how long it takes, and where the cards' limits are."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from tts_lab.experiments.plan_result import Option, Plan
from tts_lab.memory.cards import Card
from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, SOFT, Picture, quiet

GIB = 2**30
KNOWN, SAME, UNKNOWN = "measured sound", "sound of the reference recipe", "sound not measured"
COLOUR = {KNOWN: GREEN, SAME: BLUE, UNKNOWN: ORANGE}
MARK = {KNOWN: "s", SAME: "o", UNKNOWN: "D"}  # beside the colour, for those who do not see it
LIMIT = "#B00020"
FAR = 1.6  # times the largest option: a limit beyond is told in words


def plan_figure(plan: Plan, cards: Sequence[Card] = ()) -> Picture:
    """Each option of the front at what it takes, all that may come on top included, and at its estimated seconds.

    cards: whose limits are drawn; none: that of the plan's card. A limit is the card without CUDA's own share and the
    margin: what lies left of it fits. The choice has a ring.
    """
    figure = Picture(figsize=(10, 4.4), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for kind in COLOUR:
        mine = [option for option in plan.pareto if _kind(option) == kind]
        if mine:
            axes.plot(
                [_taken(each) for each in mine], [each.seconds for each in mine], MARK[kind], color=COLOUR[kind],
                markersize=7, linestyle="none", label=kind,
            )  # fmt: skip
    _draw_choice(axes, plan)
    _draw_limits(axes, plan, cards or (plan.card,))
    axes.set_xlabel("GiB reserved, with what may come on top")
    axes.set_ylabel(f"seconds for {plan.lengths.seconds:g} s of speech (estimated)")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.02), ncols=4, frameon=False, fontsize=9)
    quiet(axes)
    return figure


def _draw_choice(axes: Axes, plan: Plan) -> None:
    if plan.choice is None:
        return
    at = _taken(plan.choice), plan.choice.seconds
    axes.plot(
        *at, "o", markersize=15, markerfacecolor="none", markeredgecolor=INK, linestyle="none", label="the choice"
    )
    axes.annotate(plan.choice.name, at, xytext=(12, 14), textcoords="offset points", fontsize=9, color=INK)


def _draw_limits(axes: Axes, plan: Plan, cards: Sequence[Card]) -> None:
    """Limits far to the right of every option are told in words: drawn, they would flatten all else."""
    rightmost = max(map(_taken, plan.pareto))
    limits = {card.key: (card.total_bytes * (1 - plan.safety) - card.context_bytes) / GIB for card in cards}
    near = {key: limit for key, limit in limits.items() if 0 < limit < FAR * rightmost}
    for key, limit in near.items():
        axes.axvline(limit, color=LIMIT, linestyle="--", linewidth=1)
        place = {"transform": axes.get_xaxis_transform(), "rotation": 90, "ha": "right", "va": "bottom"}
        axes.text(limit, 0.02, f" {key}", color=LIMIT, fontsize=9, **place)
    far = ", ".join(key for key, limit in limits.items() if limit >= FAR * rightmost)
    if far:
        axes.text(1, 1.03, f"far to the right: {far}", ha="right", transform=axes.transAxes, fontsize=9, color=SOFT)
    axes.set_xlim(0, 1.08 * max([rightmost, *near.values()]))


def _taken(option: Option) -> float:
    return (option.peak_reserved + option.band) / GIB


def _kind(option: Option) -> str:
    return KNOWN if option.quality else UNKNOWN if option.moved else SAME
