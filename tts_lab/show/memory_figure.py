"""Figures of memory reports: what was held over the run, what each stage needs, what each card says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tts_lab.memory.allocator_state import format_size
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.summary import WORDS
from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Picture, quiet

MIB, GIB = 2**20, 2**30
KIND = {"weight": "#BBBBBB", "cache": ORANGE, "activation": BLUE, "workspace": PINK}
NAME = {"weight": "weights", "cache": "cache", "activation": "activations", "workspace": "workspace"}
VERDICT = {"fits": GREEN, "tight": "#B8860B", "out_of_memory": "#B00020"}
NEAR = 2.5  # a limit of more than so many peaks is told in words, not drawn: it would flatten all else


def memory_figure(report: MemoryReport) -> Picture:
    """Left: allocated memory over the run by category, the reserved above it, and the card's limit. Right: each stage's
    peak, and how little it could do with if weights were streamed.

    A measured report has no time line: only its stages are drawn.
    """
    figure = Picture(figsize=(11, 4.4), layout="constrained", facecolor="white")
    figure.suptitle(_title(report), color=VERDICT[report.verdict], fontweight="bold", x=0.01, ha="left")
    if report.timeline:
        left, right = figure.subplots(1, 2, width_ratios=(1.9, 1))
        _draw_timeline(left, report)
    else:
        right = figure.add_subplot()
    _draw_stages(right, report)
    return figure


def waterfall_figure(reports: Mapping[str, MemoryReport], limit: int | None = None) -> Picture:
    """One bar for each of several reports, in order: its allocated peak by category, and what was reserved above.

    limit: bytes to draw a line at, such as what a card has for PyTorch.
    """
    if not reports:
        raise ValueError("no reports to draw")
    figure = Picture(figsize=(10, 0.9 + 0.46 * len(reports)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    unit, name = _unit(max(r.peak_reserved for r in reports.values()))
    for row, report in enumerate(reports.values()):
        _bar(axes, row, report.alive.by_category, unit)
        axes.plot([report.peak_reserved / unit], [row], marker="|", color=INK, markersize=14, linestyle="none")
        axes.text(report.peak_reserved / unit, row, f"  {report.peak_allocated / unit:,.2f}", va="center", fontsize=9)
    axes.set_yticks(range(len(reports)), list(reports))
    axes.invert_yaxis()
    axes.set_xlabel(f"{name} allocated at the peak; the stroke is what PyTorch reserves")
    axes.set_xlim(0, 1.18 * max(r.peak_reserved for r in reports.values()) / unit)
    if limit is not None:
        axes.axvline(limit / unit, color=VERDICT["out_of_memory"], linestyle="--", linewidth=1.2)
    _legend(axes, [kind for kind in KIND if any(kind in r.alive.by_category for r in reports.values())])
    quiet(axes, "left")
    return figure


def cards_figure(reports: Sequence[MemoryReport]) -> Picture:
    """The same run on several cards: what it takes of each, and what is left. Colour and word give the verdict."""
    if not reports:
        raise ValueError("no reports to draw")
    figure = Picture(figsize=(10, 0.9 + 0.34 * len(reports)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for row, report in enumerate(reports):
        taken = (report.context + report.peak_reserved) / GIB
        axes.barh(row, report.card.total_bytes / GIB, color="#EEEEEE", height=0.7)
        axes.barh(row, report.context / GIB, color=SOFT, height=0.7)
        axes.barh(
            row, taken - report.context / GIB, left=report.context / GIB, color=VERDICT[report.verdict], height=0.7
        )
        axes.text(max(taken, report.card.total_bytes / GIB), row, f"  {WORDS[report.verdict]}", va="center", fontsize=9)
    axes.set_yticks(range(len(reports)), [report.card.key for report in reports])
    axes.invert_yaxis()
    axes.set_xlabel("GiB: taken by CUDA itself (dark grey), by PyTorch (colour), free (light grey)")
    axes.set_xlim(0, 1.12 * max(max(r.card.total_bytes, r.context + r.peak_reserved) for r in reports) / GIB)
    quiet(axes, "left")
    return figure


def _title(report: MemoryReport) -> str:
    run = ", ".join(filter(None, (report.system, report.recipe)))
    rest = f"{format_size(abs(report.margin))} {'left' if report.margin >= 0 else 'missing'}"
    return f"{WORDS[report.verdict].capitalize()}: {run or 'this run'} on {report.card.name}, {rest} ({report.source})"


def _draw_timeline(axes: Axes, report: MemoryReport) -> None:
    events = np.array([point.event for point in report.timeline])
    unit, name = _unit(report.peak_reserved)
    kinds = [kind for kind in KIND if any(kind in point.by_category for point in report.timeline)]
    stack = np.array([[point.by_category.get(kind, 0) / unit for point in report.timeline] for kind in kinds])
    axes.stackplot(events, stack, colors=[KIND[kind] for kind in kinds], step="post", linewidth=0)
    reserved = np.array([point.reserved / unit for point in report.timeline])
    axes.step(events, reserved, where="post", color=INK, linewidth=1, label="reserved")
    top = 1.22 * report.peak_reserved / unit
    limit = (report.card.total_bytes - report.context) / unit
    if limit < NEAR * report.peak_reserved / unit:
        top = max(top, 1.12 * limit)
        axes.axhline(limit, color=VERDICT["out_of_memory"], linestyle="--", linewidth=1.2)
        axes.text(
            events[-1], limit, "what the card has for PyTorch ", ha="right", va="bottom", fontsize=9,
            color=VERDICT["out_of_memory"], bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
        )  # fmt: skip
    axes.set(xlim=(0, max(int(events[-1]), 1)), ylim=(0, top), ylabel=f"{name} allocated")
    axes.set_xlabel("order of allocations, not time; a loop's equal passes are drawn once")
    _draw_stage_names(axes, report, top)
    _annotate_peak(axes, report, unit)
    if report.failure:
        at = (report.failure.event, limit)
        axes.plot(*at, marker="X", markersize=11, color=VERDICT["out_of_memory"], markeredgecolor="white", zorder=5)
    _legend(axes, kinds, reserved=True)
    quiet(axes)


def _draw_stage_names(axes: Axes, report: MemoryReport, top: float) -> None:
    """A name where there is room for it, a line where another stage begins."""
    runs: list[list[Any]] = []
    for point in report.timeline:
        if not runs or runs[-1][0] != point.stage:
            runs.append([point.stage, point.event, point.event])
        runs[-1][2] = point.event
    whole = max(report.timeline[-1].event, 1)
    for stage, start, end in runs:
        if (end - start) / whole > 0.035:
            axes.axvline(start, color="white", linewidth=0.8)
        if (end - start) / whole > 0.07 and stage:
            axes.text((start + end) / 2, 0.98 * top, stage, ha="center", va="top", fontsize=8.5, color=SOFT)


def _annotate_peak(axes: Axes, report: MemoryReport, unit: float) -> None:
    peak = max(report.timeline, key=lambda point: point.allocated)
    where = next((each for each in report.alive.largest if each.category != "weight"), None)
    what = f"\nlargest: {_short(where.module or where.operator)}" if where else ""
    label = f"peak {report.peak_allocated / unit:,.2f} in {peak.stage or 'the run'}{what}"
    beside = 0.03 if peak.event > 0.45 * report.timeline[-1].event else 0.42
    axes.annotate(
        label, (peak.event, peak.allocated / unit), xytext=(beside, 0.5), ha="left",
        textcoords="axes fraction", fontsize=9, va="top", arrowprops={"arrowstyle": "->", "color": INK},
        bbox={"facecolor": "white", "edgecolor": SOFT, "linewidth": 0.5, "alpha": 0.9, "pad": 2},
    )  # fmt: skip


def _short(path: str, most: int = 40) -> str:
    """The end of a dotted path, so long that it fits into the figure."""
    return path if len(path) <= most else "…" + path[-most:].partition(".")[2]


def _draw_stages(axes: Axes, report: MemoryReport) -> None:
    unit, name = _unit(max((stage.peak_allocated for stage in report.stages), default=1))
    stages = [stage for stage in report.stages if stage.peak_allocated]
    for row, stage in enumerate(stages):
        kinds = stage.by_category or {"activation": stage.peak_allocated}
        _bar(axes, row, kinds, unit)
        if stage.floor is not None:
            axes.plot([stage.floor / unit] * 2, [row - 0.42, row + 0.42], color=INK, linewidth=2)
    axes.set_yticks(range(len(stages)), [stage.name for stage in stages])
    axes.invert_yaxis()
    axes.set_xlabel(f"{name} at the stage's own peak\n(stroke: with streamed weights)")
    quiet(axes, "left")


def _bar(axes: Axes, row: int, kinds: Mapping[str, int], unit: float) -> None:
    left = 0.0
    for kind in KIND:
        if kinds.get(kind):
            axes.barh(row, kinds[kind] / unit, left=left, color=KIND[kind], height=0.7)
            left += kinds[kind] / unit


def _legend(axes: Axes, kinds: Sequence[str], reserved: bool = False) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=KIND[kind], label=NAME[kind]) for kind in kinds]
    if reserved:
        handles.append(Line2D([], [], color=INK, linewidth=1, label="reserved"))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=5, frameon=False, fontsize=8.5,
                borderaxespad=0.2, handlelength=1.2, columnspacing=1)  # fmt: skip


def _unit(size: int) -> tuple[float, str]:
    return (GIB, "GiB") if size >= GIB else (MIB, "MiB")
