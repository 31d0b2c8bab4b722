"""The picture of a plan, as a reader sees it."""

from __future__ import annotations

import pytest

from tts_lab.experiments.plan_result import Plan
from tts_lab.experiments.planner import plan
from tts_lab.memory.cards import find_card
from tts_lab.show.plan_figure import KNOWN, UNKNOWN, plan_figure


@pytest.fixture(scope="module")
def found() -> Plan:
    return plan("mini", "1gb", seconds=3.0, reference_seconds=3.0)


def texts(figure) -> list[str]:  # type: ignore[no-untyped-def]
    return [text.get_text() for text in figure.axes[0].texts]


def test_every_option_of_the_front_is_a_point_and_the_choice_has_a_ring(found: Plan) -> None:
    figure = plan_figure(found)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    points = sum(len(lines[name].get_xdata()) for name in (KNOWN, UNKNOWN))
    assert points == len(found.pareto)
    assert found.choice is not None
    assert lines["the choice"].get_ydata()[0] == found.choice.seconds
    assert found.choice.name in texts(figure)


def test_what_lies_left_of_a_limit_fits(found: Plan) -> None:
    figure = plan_figure(found)
    limit = next(line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--")
    for option in found.pareto:
        left = (option.peak_reserved + option.band) / 2**30 <= limit
        assert left == (option.missing(found.card, found.safety) <= 0)


def test_limits_far_away_are_told(found: Plan) -> None:
    shown = texts(plan_figure(found, [find_card("800mb"), find_card("rtx3070"), find_card("h100")]))
    assert " 800mb" in shown
    assert "far to the right: rtx3070, h100" in shown


def test_a_plan_without_a_choice(found: Plan) -> None:
    nothing = plan("mini", "400mb", seconds=3.0, reference_seconds=3.0)
    assert plan_figure(nothing)._repr_png_().startswith(b"\x89PNG")
