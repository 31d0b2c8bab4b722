"""The picture of a schedule, as a reader sees it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from tts_lab.memory.schedule import COMPUTING, COPYING, LANES, Schedule, schedule
from tts_lab.memory.tracer import Tracer
from tts_lab.recipe import Recipe
from tts_lab.show.plots import COLOUR
from tts_lab.show.timeline_figure import compare_figure, shares, timeline_figure, tradeoff_figure
from tts_lab.systems import run_lengths


def found(offload: str, disk: float | None = None) -> Schedule:
    tracer = Tracer()
    run_lengths("mini", Recipe(offload=offload), 6.0, 3.0, tracer)
    return schedule(tracer.log, "rtx3070", disk)


@pytest.fixture(scope="module")
def layers() -> Schedule:
    return found("layers")


def names(axes) -> list[str]:  # type: ignore[no-untyped-def]
    return [label.get_text() for label in axes.get_yticklabels()]


def test_all_the_work_of_every_lane_is_drawn_whatever_the_grid(layers: Schedule) -> None:
    for parts in (7, 400):
        edges = np.linspace(0, layers.seconds, parts + 1)
        for lane in LANES:
            drawn = list(shares(layers, lane, edges).values())
            assert sum((share * np.diff(edges)).sum() for share in drawn) == pytest.approx(layers.busy[lane])
            assert all(share.min() >= -1e-9 for share in drawn)
            assert sum(drawn, np.zeros(parts)).max() <= 1 + 1e-6


def test_lanes_have_names_and_stages_their_colours(layers: Schedule) -> None:
    figure = timeline_figure(layers, ("acoustic",))
    whole, zoom = figure.axes
    assert names(whole) == names(zoom) == ["computing", "copies"]
    legend = {text.get_text(): to_hex(patch.get_facecolor()) for text, patch in
              zip(whole.get_legend().get_texts(), whole.get_legend().get_patches(), strict=True)}  # fmt: skip
    assert legend.items() >= {stage: COLOUR[stage].lower() for stage in ("semantic", "acoustic", "vocoder")}.items()
    assert figure.get_suptitle().replace("\n", " ") == layers.sentence


def test_a_window_shows_some_layers_with_the_copies_of_their_neighbours(layers: Schedule) -> None:
    axes = timeline_figure(layers, ("acoustic",), layers=3).axes[1]
    left, right = axes.get_xlim()
    bars = {row: [bar for bar in axes.patches if round(bar.get_y() + bar.get_height() / 2) == row] for row in (0, 1)}
    assert len(bars[0]) >= 3
    assert len(bars[1]) >= 2
    for row in bars.values():
        assert all(left - 1e-6 <= bar.get_x() and bar.get_x() + bar.get_width() <= right + 1e-6 for bar in row)
    limit = max((COMPUTING, COPYING), key=lambda lane: sum(b.get_width() for b in bars[LANES.index(lane)]))
    assert axes.get_title(loc="left").startswith("A few layers of acoustic: ")
    assert limit == COMPUTING or "copies are" in axes.get_title(loc="left")


def test_a_stage_without_copies_of_its_own_has_no_window() -> None:
    assert len(timeline_figure(found("stage"), ("semantic", "nothing")).axes) == 1


def test_reading_from_a_disk_is_a_third_lane() -> None:
    figure = timeline_figure(found("disk", 1e9), ("semantic",))
    assert names(figure.axes[0]) == ["computing", "copies", "disk"]
    assert figure.axes[1].get_title(loc="left").endswith("the disk is the limit")


def test_several_on_one_axis_of_time(layers: Schedule) -> None:
    other = found("none")
    figure = compare_figure({"none": other, "layers": layers})
    assert len(figure.axes) == 2
    assert {axes.get_xlim() for axes in figure.axes} == {(0, max(other.seconds, layers.seconds))}
    assert figure.axes[1].get_title(loc="left") == f"layers: {layers.seconds:,.1f} s"
    with pytest.raises(ValueError, match="no schedules"):
        compare_figure({})


def test_ways_against_each_other() -> None:
    figure = tradeoff_figure({"a": (2**30, 2.0), "b": (2**29, 8.0)}, {"a": 2.0, "b": 10.0})
    axes = figure.axes[0]
    assert {text.get_text() for text in axes.texts} == {"a", "b"}
    points = [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert points == [(1.0, 2.0), (0.5, 8.0)]
    (bar,) = [line for line in axes.lines if line.get_marker() == "_"]  # only where overlap gains something
    assert list(bar.get_ydata()) == [8.0, 10.0]
    with pytest.raises(ValueError, match="no ways"):
        tradeoff_figure({})
