"""Figures of linguistic units and of memory against length: what is drawn is what is in the data."""

from __future__ import annotations

import pytest
import torch

from tts_lab.show.curves import memory_curves
from tts_lab.show.units import KINDS, unit_kinds, unit_table, units_compared, units_figure
from tts_lab.types import NEPER, Chunk, Mel, Semantic


def mel(durations: tuple[int, ...] = (8, 16, 4, 12, 20, 6), unit: float | None = None) -> Mel:
    names = ("xx_c", "ian_c", "#1", "t_c", "ian_c", "#4")
    codes = {"syllable": torch.tensor([[0, 0, -1, 1, 1, -1]])}
    semantic = Semantic(Chunk("先天", 0, 0), names, durations, sum(durations), codes, (), ("xian1", "tian1"))
    values = torch.linspace(-2, 3, 80 * semantic.frames).reshape(1, 80, -1)
    return Mel(values, 16_000, 200, 1, semantic, decibels=unit)


def widths(axes) -> list[float]:
    return [round(bar.get_width() * 80, 6) for bar in axes.patches]


def test_a_row_for_each_unit() -> None:
    table = unit_table(mel().semantic)
    assert list(table.columns) == ["unit", "syllable", "kind", "frames"]
    assert list(table.kind) == ["initial", "final", "break"] * 2
    assert list(table.syllable) == ["xian1", "xian1", "", "tian1", "tian1", ""]
    assert table.frames.sum() == 66


def test_units_without_syllables_are_initials_and_breaks() -> None:
    semantic = Semantic(Chunk("", 0, 0), ("a_c", "#1"), (1, 2), 3)
    assert unit_kinds(semantic) == ["initial", "break"]
    assert list(unit_table(semantic).syllable) == ["", ""]


@pytest.mark.parametrize(("unit", "limits"), [(None, (-2, 3)), (NEPER, (-70, 0))])
def test_the_bar_is_as_long_as_the_mel_and_each_unit_as_its_duration(unit, limits) -> None:
    figure = units_figure(mel(unit=unit))
    upper, lower = figure.axes[:2]
    image = upper.images[0]
    assert widths(lower) == [8, 16, 4, 12, 20, 6]
    assert image.get_extent()[1] == pytest.approx(66 / 80)
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx(limits)
    assert [text.get_text() for text in lower.texts] == ["xx", "ian", "#1", "t", "ian", "#4"]
    assert lower.get_xlim() == pytest.approx((0, 66 / 80))


def test_readings_stand_below_each_other() -> None:
    figure = units_compared({"short": mel((1, 2, 3, 4, 5, 6)), "long": mel()})
    (axes,) = figure.axes
    assert widths(axes) == [1, 2, 3, 4, 5, 6, 8, 16, 4, 12, 20, 6]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["short", "long"]
    assert axes.get_xlim()[1] == pytest.approx(66 / 80)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(KINDS)
    with pytest.raises(ValueError, match="no readings"):
        units_compared({})


def test_curves_are_drawn_in_mebibytes_on_logarithmic_axes() -> None:
    figure = memory_curves({"a": [(4, 2**20), (60, 2**30)], "b": [(4, 2**21)]}, {"a card": 8 * 2**30})
    (axes,) = figure.axes
    first, second, limit = axes.lines
    assert list(first.get_ydata()) == [1, 1024]
    assert list(second.get_ydata()) == [2]
    assert set(limit.get_ydata()) == {8192}
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "60"]
    low, high = axes.get_ylim()
    assert 0 < low <= 1  # the lowest point is in sight, and above the highest there is room
    assert 8192 < high < 10 * 16384
    with pytest.raises(ValueError, match="no curves"):
        memory_curves({})
