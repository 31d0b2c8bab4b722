from __future__ import annotations

import pytest

from tts_lab import Recipe, load_system
from tts_lab.audio.mel import MEL_22K, MEL_22K_FULL
from tts_lab.experiments.film import film
from tts_lab.show.film_figure import MOST, FilmPlayer, film_figure, frame_figure


@pytest.fixture(scope="module")
def filmed():
    return film(load_system("mini", "cpu"), "你好。", Recipe(steps=8, guidance=0))


def test_a_strip_has_the_first_and_the_last_step(filmed):
    figure = film_figure(filmed)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == MOST
    assert titles[0].startswith("step 1,")
    assert titles[-1] == "step 8, t = 1.00"


def test_the_curve_is_what_was_measured(filmed):
    (curve,) = (axes for axes in film_figure(filmed).axes if axes.get_xlabel() == "evaluations of the model")
    left, changes = (line.get_ydata() for line in curve.lines[:2])
    assert tuple(left) == filmed.left
    assert tuple(changes) == filmed.changes


def test_a_frame_marks_its_place_on_the_curve(filmed):
    figure = frame_figure(filmed, 2)
    assert "after step 3" in figure.axes[0].get_title()


def test_hertz_are_those_of_the_front_end(filmed):
    """A full-size system's mel goes up to 11 kHz in as many bands."""
    place = [frame_figure(filmed, 0, spec).axes[0].get_yticks()[-1] for spec in (MEL_22K, MEL_22K_FULL)]
    assert place[0] == pytest.approx(80)
    assert place[1] < 75


def test_scrubbing_shows_another_step(filmed):
    player = FilmPlayer(filmed)
    last = bytes(player.picture.value)
    player.step.value = 0
    first = bytes(player.picture.value)
    assert first != last
    assert first.startswith(b"\x89PNG")
    player.step.value = 7
    assert bytes(player.picture.value) == last
    assert repr(player) == "FilmPlayer(8 steps)"
