"""Pace, loudness and pitch over a long text, and where its pieces meet, at one glance."""

from __future__ import annotations

from matplotlib.axes import Axes

from tts_lab.audio.clicks import CLICK_DB
from tts_lab.experiments.drift import THRESHOLDS, Drift
from tts_lab.experiments.trends import DRIFTS, NONE, UNSETTLED, Trend
from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, SOFT, Picture, quiet

LOOK = {NONE: (GREEN, "-"), DRIFTS: (ORANGE, "-"), UNSETTLED: (INK, "--")}
HEIGHT = 3.2  # of each row in either direction: standard deviations, or thresholds where these are more


def drift_figure(drift: Drift) -> Picture:
    """Three rows over time. A stroke is a piece, as long as it lasts; the band is too little to be heard; the line is
    the drift: green and whole where there is none, orange where it can be heard, dashed where it is not settled. Marks
    below: joints, with a triangle at each that clicks.

    Raises LabError where the text had fewer than six pieces.
    """
    figure = Picture(figsize=(10, 6.2), layout="constrained", facecolor="white")
    rows = figure.subplots(len(THRESHOLDS), 1, sharex=True)
    for axes, name in zip(rows, THRESHOLDS, strict=True):
        _draw(axes, drift, drift.trends[name])
    _draw_joints(rows[-1], drift)
    rows[-1].set_xlabel(f"seconds of {drift.voice}")
    return figure


def _draw(axes: Axes, drift: Drift, trend: Trend) -> None:
    pieces, levels = drift.levels(trend.name)
    colour, style = LOOK[trend.verdict]
    axes.axhspan(-trend.threshold, trend.threshold, color=SOFT, alpha=0.22, linewidth=0)
    axes.hlines(levels, [p.start for p in pieces], [p.start + p.seconds for p in pieces], color=BLUE, linewidth=2)
    first, last = (pieces[i].start + pieces[i].seconds / 2 for i in (0, -1))
    ends = [trend.centre + share * trend.change.value for share in (-0.5, 0.5)]
    axes.plot([first, last], ends, style, color=colour, linewidth=2.5)
    limit = HEIGHT * max(trend.spread, trend.threshold)
    axes.set(ylabel=f"{trend.name} ({trend.unit})", ylim=(-limit, limit))
    axes.set_title(
        f"{trend.name}: {trend.verdict} ({trend.change} {trend.unit} over the text)", loc="left", fontsize=10, color=INK
    )
    quiet(axes)


def _draw_joints(axes: Axes, drift: Drift) -> None:
    across = axes.get_xaxis_transform()  # x in seconds, y as a share of the axes
    joints = [piece for piece in drift.pieces if piece.click is not None]
    axes.plot([p.start for p in joints], [0.02] * len(joints), "|", color=SOFT, markersize=7, transform=across)
    loud = [p for p in joints if p.click is not None and p.click > CLICK_DB]
    axes.plot([p.start for p in loud], [0.06] * len(loud), "v", color=ORANGE, markersize=8, transform=across)
    axes.text(0.995, 0.06, f"{len(loud)} of {len(joints)} joints click", transform=axes.transAxes, ha="right",
              fontsize=9, color=INK)  # fmt: skip
