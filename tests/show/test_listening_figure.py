"""Figures of listening tests show the figures that the results hold."""

from __future__ import annotations

import numpy as np
import pytest

from listening_fakes import made
from tts_lab.experiments.listening import Sprt, abx, analyse, mushra, preference
from tts_lab.experiments.listening.simulated import Ears, panel
from tts_lab.show.listening_figure import abx_figure, mushra_figure, power_figure, preference_figure, sequential_figure
from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, PINK, SOFT

EARS = Ears(right=0.8, quality={"bad": 60, "anchor 7 kHz": 40, "anchor 3.5 kHz": 20}, strengths={"good": 2})


@pytest.fixture(scope="module")
def given():  # type: ignore[no-untyped-def]
    return made()


def drawn(axes, marker: str) -> list[tuple[float, float]]:  # type: ignore[no-untyped-def]
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == marker]


def test_mushra_means_stand_in_order_with_every_listener_behind(given) -> None:  # type: ignore[no-untyped-def]
    result = analyse(panel(mushra(given, "good"), 4, EARS))
    (axes,) = mushra_figure(result).axes
    means = sorted((m.value for m in result.means), reverse=True)
    assert [x for x, _ in drawn(axes, "D")] == pytest.approx(means)
    assert axes.get_yticklabels()[0].get_text() == "good\n(hidden reference)"
    points = [line for line in axes.lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in points] == [len(result.cube)] * 4
    assert {line.get_color() for line in points} == {GREEN, BLUE, ORANGE}


def test_abx_shows_shares_and_the_band_of_guessing(given) -> None:  # type: ignore[no-untyped-def]
    result = analyse(panel(abx(given, 16), 2, EARS))
    (axes,) = abx_figure(result).axes
    assert [x for x, _ in drawn(axes, "D")] == pytest.approx(
        [*(s.share for s in result.scores.values()), result.pooled.share]
    )
    assert [bar.get_width() for bar in axes.patches[:2]] == pytest.approx([11.5 / 16] * 2)  # 12 of 16 pass


def test_a_sequential_path_ends_where_it_crosses_a_boundary(given) -> None:  # type: ignore[no-untyped-def]
    result = analyse(panel(abx(given, 40, sequential=Sprt()), 1, EARS))
    (axes,) = sequential_figure(result).axes
    (answers,) = result.answers.values()
    path = next(
        line for line in axes.lines if len(line.get_xdata()) == len(answers) + 1 and line.get_marker() == "None"
    )
    assert list(path.get_ydata()) == [0, *np.cumsum(answers)]
    low, high = result.test.sequential.lines(len(answers))
    assert not low < path.get_ydata()[-1] < high
    with pytest.raises(ValueError, match="no boundaries"):
        sequential_figure(analyse(panel(abx(given, 4), 1, EARS)))


def test_preferences_of_two_and_of_three(given) -> None:  # type: ignore[no-untyped-def]
    two = preference_figure(analyse(panel(preference(given), 2, EARS)))
    three = preference_figure(analyse(panel(preference(made("good mean bad")), 2, EARS)))
    assert [len(figure.axes) for figure in (two, three)] == [1, 2]


def test_power_curves_and_nothing() -> None:
    (axes,) = power_figure({"80 % right": [(10, 0.4), (20, 0.8)]}).axes
    assert list(axes.lines[0].get_ydata()) == [0.4, 0.8]
    with pytest.raises(ValueError, match="no curves"):
        power_figure({})


def test_colours_are_those_of_okabe_and_ito() -> None:
    from tts_lab.show import listening_figure

    assert set(listening_figure.PATHS) <= {BLUE, ORANGE, GREEN, PINK, INK, SOFT}
