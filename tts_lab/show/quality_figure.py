"""Figures of measured quality: what more evaluations of the model buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from tts_lab.experiments.quality_table import only_steps
from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Picture, quiet

Setting = Mapping[str, Any]
LINES = ("-", "--", "-.", ":")
JUDGED = (("leap", {}, BLUE), ("sway", {"schedule": "sway"}, ORANGE), ("leap, guided", {"guidance": 1.0}, GREEN))
COLOUR = {"euler": BLUE, "midpoint": ORANGE, "heun": PINK, "adams": GREEN}


def steps_figure(ways: Sequence[Setting], voice: Sequence[Setting]) -> Picture:
    """Left: distance of the sound from that of 64 evaluations, for each solver. Right: how much a recogniser mistakes.

    ways: `settings` of data/measured/steps_quality.json; voice: those of data/measured/quality-mini.json. Of these are
    drawn those that differ from the default recipe, from it with sway, and from it with guidance of 1, in the number of
    evaluations alone.
    """
    figure = Picture(figsize=(11, 4.4), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    _draw_ways(left, ways)
    _draw_errors(right, voice)
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
        axes.set_xlabel("evaluations of the model")
        quiet(axes)
    return figure


def _draw_ways(axes: Axes, ways: Sequence[Setting]) -> None:
    names = dict.fromkeys((w["solver"], w["schedule"], w["guidance_mode"]) for w in ways)
    for solver, schedule, mode in names:
        here = [w for w in ways if (w["solver"], w["schedule"], w["guidance_mode"]) == (solver, schedule, mode)]
        here.sort(key=lambda w: w["evaluations"])
        line = LINES[(schedule == "sway") + 2 * (mode == "alternate")]
        label = f"{solver}, {schedule}{', alternate' if mode == 'alternate' else ''}"
        axes.plot([w["evaluations"] for w in here], [w["mel_cepstral_distance"] for w in here], line, marker="o",
                  markersize=3.5, color=COLOUR[solver], label=label)  # fmt: skip
    axes.set(ylabel="mel-cepstral distance (dB)", ylim=(0, None), title="how near the sound is to its limit")
    axes.legend(frameon=False, fontsize=7.5, ncols=2)


def _draw_errors(axes: Axes, voice: Sequence[Setting]) -> None:
    for name, levers, colour in JUDGED:
        spoken = [s for s in only_steps(voice, **levers) if s.get("evaluations")]
        at = [s["evaluations"] for s in spoken]
        errors = [100 * s["figures"]["all"]["toneless"] for s in spoken]
        if not levers:
            low, high = zip(*((100 * e for e in s["figures"]["all"]["toneless_interval"]) for s in spoken), strict=True)
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0, label="95 % of resampled sentences")
        axes.plot(at, errors, marker="o", color=colour, label=f"the bundled voice, {name}")
    for name, colour in (("teacher", INK), ("copy synthesis", SOFT)):
        for setting in (s for s in voice if s["name"] == name):
            axes.axhline(100 * setting["figures"]["all"]["toneless"], color=colour, linestyle="--", label=name)
    axes.set(ylabel="syllables misheard by a recogniser (%)", ylim=(0, None), title="how well it is understood")
    axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower right")
