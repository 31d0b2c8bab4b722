"""Figures of linguistic units: how long each one lasts, under the mel, and one below the other for several readings.

Axes: m mel bands, t mel frames, n units.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from tts_lab.audio.mel import MEL_16K_SAMBERT, MelSpec
from tts_lab.show.labels import mels_to_hz_ticks
from tts_lab.show.plots import BLUE, FLOOR_DB, GREY, INK, ORANGE, Picture, decibels, level_label
from tts_lab.types import Mel, Semantic

KINDS = {"initial": ORANGE, "final": BLUE, "break": GREY}
INK_ON = {"initial": INK, "final": "white", "break": INK}
LEAST_WIDTH = 0.009  # of the figure, for a unit's name to be written in it


def unit_table(semantic: Semantic) -> pd.DataFrame:
    """A row for each unit: its name, its syllable in pinyin, its kind, and how long it lasts."""
    kinds = unit_kinds(semantic)
    numbers = semantic.codes["syllable"][0].tolist() if "syllable" in semantic.codes else [-1] * len(semantic.units)
    said = [semantic.syllables[k] if 0 <= k < len(semantic.syllables) else "" for k in numbers]
    columns = {"unit": semantic.units, "syllable": said, "kind": kinds, "frames": semantic.durations}
    return pd.DataFrame(columns)


def unit_kinds(semantic: Semantic) -> list[str]:
    """For each unit `initial` or `final`, the first and the second phone of a syllable, or `break`."""
    seen: set[int] = set()
    kinds = []
    for unit, number in zip(semantic.units, _numbers(semantic), strict=True):
        kinds.append("break" if unit.startswith("#") else "final" if number in seen else "initial")
        seen.add(number)
    return kinds


def units_figure(mel: Mel, spec: MelSpec = MEL_16K_SAMBERT) -> Picture:
    """The mel above, and below it a bar in which each unit is as wide as it is long."""
    figure = Picture(figsize=(11, 4.2), layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
    image = _draw_mel(upper, mel, spec)
    figure.colorbar(image, ax=upper, label=level_label(mel), pad=0.01, aspect=14)
    _draw_row(lower, 0, mel)
    lower.set(yticks=[], xlabel="seconds", ylim=(-0.5, 0.5))
    lower.spines[["top", "right", "left"]].set_visible(False)
    _legend(lower)
    return figure


def units_compared(mels: Mapping[str, Mel]) -> Picture:
    """A bar of units for each of several readings of one text. Raises ValueError where there is none."""
    if not mels:
        raise ValueError("no readings to draw")
    figure = Picture(figsize=(11, 0.9 + 0.5 * len(mels)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for row, mel in enumerate(mels.values()):
        _draw_row(axes, row, mel)
    axes.set_yticks(range(len(mels)), list(mels))
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(axes)
    return figure


def _numbers(semantic: Semantic) -> list[int]:
    if "syllable" in semantic.codes:
        return [int(k) for k in semantic.codes["syllable"][0].tolist()]
    return list(range(len(semantic.units)))


def _draw_mel(axes: Axes, mel: Mel, spec: MelSpec) -> Any:
    values = mel.values[0].float().cpu().numpy()
    end = values.shape[1] * mel.hop_length / mel.sample_rate
    shown = values if mel.decibels is None else decibels(values, float(values.max()), mel.decibels)
    low, high = (shown.min(), shown.max()) if mel.decibels is None else (FLOOR_DB, 0)
    image = axes.imshow(shown, origin="lower", aspect="auto", cmap="BuPu", vmin=low, vmax=high, interpolation="nearest",
                        extent=(0, end, 0, values.shape[0]))  # fmt: skip
    ticks = mels_to_hz_ticks(values.shape[0], spec)
    axes.set_yticks([band for band, _ in ticks], [f"{hertz:,}" for _, hertz in ticks])
    axes.set_ylabel("frequency (Hz, mel scale)")
    return image


def _draw_row(axes: Axes, row: int, mel: Mel) -> None:
    second = mel.hop_length / mel.sample_rate
    edges = [0.0, *(end * second for end in accumulate(mel.semantic.durations))]
    for number, kind in enumerate(unit_kinds(mel.semantic)):
        left, width = edges[number], edges[number + 1] - edges[number]
        axes.barh(row, width, left=left, color=KINDS[kind], edgecolor="white", linewidth=0.8, height=0.85)
        if width >= LEAST_WIDTH * edges[-1]:
            name = mel.semantic.units[number].removesuffix("_c")
            axes.text(left + width / 2, row, name, ha="center", va="center", fontsize=8, color=INK_ON[kind],
                      clip_on=True)  # fmt: skip
    axes.set_xlim(0, max(axes.get_xlim()[1] if row else 0, edges[-1]))


def _legend(axes: Axes) -> None:
    handles = [Patch(color=colour, label=kind) for kind, colour in KINDS.items()]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9)
