"""A schedule as a picture: what is computed and what is copied when, over a whole request and in a few layers of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tts_lab.memory.schedule import COMPUTING, COPYING, LANES, READING, WAITING, Interval, Schedule
from tts_lab.show.plots import COLOUR, GREY, INK, SOFT, Picture, quiet

NAME = {COMPUTING: "computing", COPYING: "copies", READING: "disk"}
GIB = 2**30
PARTS = 500  # into which the time of a request is cut
MIXED = "several pieces"
OTHER = "#56B4E9"  # what is no stage of ours; the sky blue of Okabe and Ito, 2008
HEIGHT = 0.8
LINE = 125  # characters across the figure
LIMIT = {COMPUTING: "computing is the limit", COPYING: "copies are the limit", READING: "the disk is the limit"}


def timeline_figure(found: Schedule, zoom: Sequence[str] = (), layers: int = 4) -> Picture:
    """Above: the whole request, how busy each lane is at each moment, coloured by stage; what is white waits.

    Below, for each stage in `zoom` whose weights come layer by layer: a few layers one by one, with their copies. A
    stage without such copies is left out. layers: how many.
    """
    windows = {name: window for name in zoom if (window := _window(found, name, layers))}
    lanes = [lane for lane in LANES if found.busy[lane]]
    figure = Picture(figsize=(11, 2.5 + 1.9 * len(windows)), layout="constrained", facecolor="white")
    rows = figure.subplots(1 + len(windows), 1, height_ratios=[1.25, *[1] * len(windows)], squeeze=False)[:, 0]
    _draw_whole(rows[0], found, lanes)
    for axes, (name, window) in zip(rows[1:], windows.items(), strict=True):
        _draw_window(axes, found, name, window, lanes)
    figure.suptitle(fill(found.sentence, LINE), x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def compare_figure(schedules: Mapping[str, Schedule]) -> Picture:
    """The whole of several schedules, one above the other on one time axis."""
    if not schedules:
        raise ValueError("no schedules to draw")
    figure = Picture(figsize=(11, 0.8 + 1.35 * len(schedules)), layout="constrained", facecolor="white")
    rows = figure.subplots(len(schedules), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, found) in zip(rows, schedules.items(), strict=True):
        _draw_whole(axes, found, [lane for lane in LANES if found.busy[lane]], name, legend=axes is rows[0])
        axes.set_xlabel("")
    rows[-1].set_xlabel("seconds (estimated)")
    rows[-1].set_xlim(0, max(found.seconds for found in schedules.values()))
    return figure


def shares(found: Schedule, lane: str, edges: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """For each stage the share of each stretch of time, 0 to 1, in which the lane works for it: (stretches,)."""
    by_stage: dict[str, list[Interval]] = {}
    for each in found.lane(lane):
        by_stage.setdefault(each.stage if each.stage or each.passes == 1 else MIXED, []).append(each)
    return {stage: _share(mine, edges) for stage, mine in by_stage.items() if any(each.busy for each in mine)}


def _share(mine: Sequence[Interval], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Work done until each edge, by straight lines between beginnings and ends; then the differences."""
    at = np.array([[each.start, each.end] for each in mine]).ravel()
    busy = np.array([each.busy for each in mine])
    done = np.stack([np.cumsum(busy) - busy, np.cumsum(busy)], 1).ravel()
    return np.diff(np.interp(edges, at, done, left=0.0)) / np.diff(edges)


def _draw_whole(axes: Axes, found: Schedule, lanes: Sequence[str], title: str = "", legend: bool = True) -> None:
    edges = np.linspace(0, found.seconds or 1.0, PARTS + 1)
    stages: dict[str, None] = {}
    for row, lane in enumerate(lanes):
        base = np.full(PARTS, row + HEIGHT / 2)
        axes.axhspan(row - HEIGHT / 2, row + HEIGHT / 2, color="#F4F4F4", zorder=0)
        for stage, share in shares(found, lane, edges).items():
            stages[stage] = None
            top = base - HEIGHT * share
            axes.fill_between(np.repeat(edges, 2)[1:-1], np.repeat(base, 2), np.repeat(top, 2), color=_colour(stage),
                              linewidth=0)  # fmt: skip
            base = top
    _lanes(axes, lanes)
    axes.set_xlim(0, found.seconds or 1.0)
    axes.set_xlabel("seconds (estimated); the height of the colour is the share of the time in which the lane works")
    if title:
        axes.set_title(f"{title}: {found.seconds:,.1f} s", loc="left", fontsize=9.5)
    if legend:
        handles = [Patch(color=_colour(stage), label=stage or "between stages") for stage in stages if stage]
        axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=5, frameon=False, fontsize=8.5,
                    borderaxespad=0.1, handlelength=1.2)  # fmt: skip


def _window(found: Schedule, stage: str, layers: int) -> tuple[float, float] | None:
    """From the copy of a layer to the end of the kernels of so many further on, where all has settled."""
    kernels = [i for i in found.lane(COMPUTING) if i.stage == stage and i.part and i.what == "kernels"]
    copies = [i for i in found.lane(COPYING) if i.stage == stage and i.part]
    if not kernels or not copies:
        return None
    several = range(1, len(kernels) - layers + 1)
    inside = [i for i in several if _neighbours(kernels[i - 1 : i + layers])] or [0]
    first = min(inside, key=lambda i: abs(i - len(kernels) // 2))
    chosen = kernels[first : first + layers]
    return chosen[0].start - 0.35 * (chosen[-1].end - chosen[0].start) / layers, chosen[-1].end


def _neighbours(kernels: Sequence[Interval]) -> bool:
    """Whether these are layers of one list, one after the other."""
    lists = {each.part.rpartition(".")[0] for each in kernels}
    numbers = [_number(each.part) for each in kernels]
    return len(lists) == 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _draw_window(axes: Axes, found: Schedule, stage: str, window: tuple[float, float], lanes: Sequence[str]) -> None:
    start, end = window
    for each in found.intervals:
        if each.end > start and each.start < end and each.lane in lanes:
            _draw_interval(axes, each, lanes.index(each.lane), start, end)
    _lanes(axes, lanes)
    axes.set_xlim(0, 1000 * (end - start))
    axes.set_xlabel("milliseconds; the shade changes with the layer, hatched is waiting")
    inside = np.array([start, end])
    work = {lane: sum(share[0] for share in shares(found, lane, inside).values()) for lane in lanes}
    axes.set_title(
        f"A few layers of {stage or 'the run'}: {LIMIT[max(lanes, key=work.__getitem__)]}", loc="left", fontsize=9.5
    )


def _draw_interval(axes: Axes, each: Interval, row: int, start: float, end: float) -> None:
    left, right = max(each.start, start), min(each.end, end)
    style: dict[str, Any] = {"color": _colour(each.stage), "alpha": 1.0 if _number(each.part) % 2 else 0.55}
    if each.what == WAITING:
        style = {"facecolor": "white", "edgecolor": SOFT, "hatch": "////", "linewidth": 0.4}
    elif each.what == "launching copies":
        style = {"color": GREY}
    axes.barh(row, 1000 * (right - left), left=1000 * (left - start), height=HEIGHT, **style)
    if each.part and each.what in ("kernels", "copy", "read") and right - left > 0.045 * (end - start):
        middle = 1000 * ((left + right) / 2 - start)
        colour = "white" if _number(each.part) % 2 else INK
        axes.text(middle, row, _short(each.part), ha="center", va="center", fontsize=8.5, color=colour, clip_on=True)


def _lanes(axes: Axes, lanes: Sequence[str]) -> None:
    axes.set_yticks(range(len(lanes)), [NAME[lane] for lane in lanes])
    axes.set_ylim(len(lanes) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    quiet(axes, "left")


def _colour(stage: str) -> str:
    return COLOUR.get(stage, GREY if stage == MIXED else OTHER)


def _number(part: str) -> int:
    """The last number of a path: which layer of its list it is."""
    numbers = [int(word) for word in part.split(".") if word.isdigit()]
    return numbers[-1] if numbers else 0


def _short(part: str) -> str:
    return part if len(part) < 12 else ".".join(part.split(".")[-2:])


def tradeoff_figure(found: Mapping[str, tuple[int, float]], before: Mapping[str, float] | None = None) -> Picture:
    """Reserved bytes and seconds of several ways to run one request. before: seconds of the same without overlap.

    Raises ValueError where there is nothing to draw.
    """
    if not found:
        raise ValueError("no ways to draw")
    figure = Picture(figsize=(8, 3.8), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for name, (size, seconds) in found.items():
        if before and before[name] > 1.01 * seconds:
            axes.plot([size / GIB] * 2, [seconds, before[name]], color=SOFT, linewidth=1, marker="_", zorder=1)
        axes.plot([size / GIB], [seconds], "o", color=COLOUR["acoustic"], markersize=7)
        axes.annotate(name, (size / GIB, seconds), xytext=(8, 6), textcoords="offset points", fontsize=9)
    axes.set(xlabel="GiB reserved", ylabel="seconds (estimated)")
    axes.set_xlim(0, 1.2 * max(size for size, _ in found.values()) / GIB)
    axes.set_ylim(0, 1.15 * max([*(seconds for _, seconds in found.values()), *(before or {}).values()]))
    quiet(axes)
    return figure
