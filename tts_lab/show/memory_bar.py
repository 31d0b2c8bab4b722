"""One bar: what a run takes of a card, and what is left of it. Small enough for a telephone."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from tts_lab.memory.report import MemoryReport
from tts_lab.memory.summary import SIGNS, WORDS
from tts_lab.show.memory_figure import GIB, VERDICT
from tts_lab.show.plots import INK, SOFT, Picture, quiet

FREE, CONTEXT = "#EEEEEE", "#9A9A9A"
MOST = 2.2  # cards: a run that needs more than that is drawn with a broken bar


def memory_bar(report: MemoryReport) -> Picture:
    """CUDA's own share, PyTorch's reserved peak in the colour of the verdict, what may come on top hatched, the rest
    of the card, and a line where the card ends."""
    figure = Picture(figsize=(6.4, 1.75), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    card, context = report.card.total_bytes / GIB, report.context / GIB
    taken, band = context + report.peak_reserved / GIB, report.band / GIB
    end = min(max(card, taken + band) * 1.02, card * MOST)
    axes.barh(0, card, color=FREE, height=0.8)
    axes.barh(0, context, color=CONTEXT, height=0.8)
    axes.barh(0, min(taken, end) - context, left=context, color=VERDICT[report.verdict], height=0.8)
    if taken < end:
        axes.barh(0, min(band, end - taken), left=taken, color="none", edgecolor=SOFT, hatch="////", height=0.8,
                  linewidth=0)  # fmt: skip
    axes.axvline(card, color=INK, linewidth=1.6)
    axes.set(xlim=(0, end), ylim=(-0.45, 0.45), yticks=[], xlabel=_label(report, taken > end))
    quiet(axes, "left")
    _title(axes, report)
    _legend(axes, report)
    return figure


def in_words(report: MemoryReport) -> str:
    """What the bar shows, for those who do not see it."""
    needs = (report.context + report.peak_reserved) / GIB
    return (
        f"{report.system} with {report.recipe} takes {needs:.2f} GiB, and {report.card.name} has "
        f"{report.card.total_bytes / GIB:.2f} ({report.source})."
    )


def _title(axes: Axes, report: MemoryReport) -> None:
    verdict = f"{SIGNS[report.verdict]} {WORDS[report.verdict].capitalize()}"
    axes.set_title(f"{verdict} on {report.card.name} ({report.source})", loc="left", fontsize=11, fontweight="bold",
                   color=VERDICT[report.verdict], pad=22)  # fmt: skip


def _label(report: MemoryReport, broken: bool) -> str:
    needs = (report.context + report.peak_reserved) / GIB
    more = ", more than is drawn" if broken else ""
    return f"GiB: {needs:.2f} of {report.card.total_bytes / GIB:.2f}{more}; the line is where the card ends"


def _legend(axes: Axes, report: MemoryReport) -> None:
    handles = [
        Patch(color=CONTEXT, label="CUDA itself"),
        Patch(color=VERDICT[report.verdict], label="reserved at the peak"),
        Patch(facecolor="white", edgecolor=SOFT, hatch="////", label="not modelled"),
        Patch(color=FREE, label="free"),
    ]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 1), ncols=4, frameon=False, fontsize=8.5,
                borderaxespad=0.2, handlelength=1.2, columnspacing=1.2)  # fmt: skip
