"""Figures of the article's statements: its tables beside the lab's, and what steps cost with and without autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tts_lab.show.plots import BLUE, GREEN, GREY, INK, ORANGE, Picture, quiet

RED, YELLOW = "#B00020", "#B8860B"
VERDICT = {"holds": GREEN, "holds only if": YELLOW, "does not hold": RED}


def claims_figure(claims: Sequence[Mapping[str, Any]]) -> Picture:
    """The article's memory rows (grey) beside ours (in the verdict's colour): its table of steps, its configurations.

    claims: as `Verdict.to_dict` gives them; rows without a size of memory are left out. Raises ValueError if all are.
    """
    groups = {"steps": _rows(claims, "steps-"), "configurations, each on top of the one above": _rows(claims, "row-")}
    if not any(groups.values()):
        raise ValueError("no claims of memory to draw")
    figure = Picture(figsize=(11, 3.6), layout="constrained", facecolor="white")
    for axes, (title, rows) in zip(figure.subplots(1, 2), groups.items(), strict=True):
        for y, row in enumerate(rows):
            ours = row["measured"][row["main"]]["value"]
            axes.barh(y - 0.2, row["article"]["value"], height=0.36, color=GREY)
            axes.barh(y + 0.2, ours, height=0.36, color=VERDICT[row["kind"]])
            axes.text(row["article"]["value"], y - 0.2, f" {row['article']['value']:g}", va="center", fontsize=8.5)
            axes.text(ours, y + 0.2, f" {ours:.2f}", va="center", fontsize=8.5)
        axes.set_yticks(range(len(rows)), [_label(row["id"]) for row in rows])
        axes.invert_yaxis()
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("GiB at the peak")
        axes.set_xlim(0, 10)
        quiet(axes, "left")
    _legend(figure)
    return figure


def autograd_figure(
    steps: Sequence[int], article: Sequence[float], off: Sequence[float], on: Sequence[float]
) -> Picture:
    """GiB at the peak by number of steps, logarithmic: the article's, and with autograd off and left on."""
    if not len(steps) == len(article) == len(off) == len(on) > 0:
        raise ValueError("each number of steps needs one figure of each kind")
    figure = Picture(figsize=(7.5, 3.6), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for values, colour, label in (
        (on, RED, "the diffusion stage, autograd left on"), (article, INK, "the article, everything"),
        (off, BLUE, "the diffusion stage, without autograd"),
    ):  # fmt: skip
        axes.plot(steps, values, marker="o", color=colour, label=label)
    axes.set_yscale("log")
    axes.set(xlabel="solver steps", ylabel="GiB at the peak", xticks=list(steps))
    axes.legend(frameon=False, fontsize=8.5, loc="center right", bbox_to_anchor=(1, 0.42))
    quiet(axes)
    return figure


def curve_figure(curve: Mapping[float, tuple[int, int]]) -> Picture:
    """Bytes beyond the weights by length of speech: in pieces as long as can be, and in short ones."""
    if not curve:
        raise ValueError("no lengths to draw")
    figure = Picture(figsize=(7.5, 3.2), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    sizes = np.array(list(curve.values())) / 2**20
    for column, colour, label in ((0, ORANGE, "longest pieces that the model takes"), (1, BLUE, "pieces of 60")):
        axes.plot(list(curve), sizes[:, column], marker="o", color=colour, label=label)
    axes.set(xlabel="seconds of speech", ylabel="MiB beyond the weights", ylim=(0, 1.15 * sizes.max()))
    axes.legend(frameon=False, fontsize=8.5)
    quiet(axes)
    return figure


def _rows(claims: Sequence[Mapping[str, Any]], begins: str) -> list[Mapping[str, Any]]:
    return [each for each in claims if each["id"].startswith(begins) and each["id"].endswith("-memory")]


def _label(name: str) -> str:
    kind, rest = name.removesuffix("-memory").split("-", 1)
    return f"{rest} steps" if kind == "steps" else rest


def _legend(figure: Picture) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=GREY, label="the article (GB)")]
    handles += [Patch(color=colour, label=f"ours: {kind}") for kind, colour in VERDICT.items()]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False, fontsize=8.5)
