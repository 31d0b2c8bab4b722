"""A figure of what something costs as speech gets longer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Picture

MIB = 2**20
COLOURS = (ORANGE, BLUE, PINK, GREEN, INK)
Points = Sequence[tuple[float, float]]


def memory_curves(curves: Mapping[str, Points], limits: Mapping[str, float] | None = None) -> Picture:
    """Bytes against seconds of speech, both logarithmic.

    curves: name -> (seconds, bytes) in order; limits: name -> bytes to draw a line at, such as a card's. Raises
    ValueError where there is nothing to draw.
    """
    if not curves:
        raise ValueError("no curves to draw")
    figure = Picture(figsize=(9, 4.6), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    # Scales before limits: a linear axis would begin below zero, which a logarithmic one cannot show.
    axes.set(xscale="log", yscale="log", xlabel="seconds of speech", ylabel="MiB at the peak")
    for (name, points), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        axes.plot(
            [s for s, _ in points],
            [size / MIB for _, size in points],
            marker="o",
            markersize=4,
            color=colour,
            label=name,
        )
    sizes = [size for points in curves.values() for _, size in points]
    highest = max([*sizes, *(limits or {}).values()])
    axes.set_ylim(0.5 * min(sizes) / MIB, 12 * highest / MIB)  # room for the names
    for name, size in (limits or {}).items():
        axes.axhline(size / MIB, color=SOFT, linestyle="--", linewidth=1)
        axes.annotate(name, (axes.get_xlim()[1], size / MIB), ha="right", va="bottom", fontsize=9, color=SOFT)
    longest = max(curves.values(), key=len)
    axes.set_xticks([s for s, _ in longest], [f"{s:g}" for s, _ in longest], minor=False)
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    return figure
