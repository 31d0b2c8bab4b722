"""The picture of a drift, as a reader sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from matplotlib.colors import to_hex

from tts_lab.errors import LabError
from tts_lab.experiments.drift import THRESHOLDS, Drift
from tts_lab.experiments.pieces import Piece
from tts_lab.show.drift_figure import drift_figure
from tts_lab.show.plots import GREEN, INK, ORANGE


def text(**moves: float) -> Drift:
    """Twelve pieces of 3 s; each of `pace`, `loudness`, `pitch` moves by so much a piece, over a little unevenness."""
    moved = {"pace": 0.0, "loudness": 0.0, "pitch": 0.0, **moves}
    pieces = [
        Piece(
            "好", 3.0 * i, 3.0, 12, 2.5 * (1 + 0.01 * (-1) ** i + moved["pace"] * i),
            -23 + 0.1 * (-1) ** i + moved["loudness"] * i, 200.0 * 2 ** ((0.1 * (-1) ** i + moved["pitch"] * i) / 12),
            8.0, None if not i else 2.0, 15.0,
        )
        for i in range(12)
    ]  # fmt: skip
    return Drift("yunxi", tuple(pieces))


def trend_line(axes):
    return next(line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_linewidth() > 2)


def test_one_glance_says_no_drift() -> None:
    rows = drift_figure(text()).axes
    assert len(rows) == 3
    for axes, name in zip(rows, THRESHOLDS, strict=True):
        assert axes.get_title(loc="left").startswith(f"{name}: no drift")
        assert to_hex(trend_line(axes).get_color()) == GREEN.lower()
        assert trend_line(axes).get_linestyle() == "-"
    assert "0 of 11 joints click" in [found.get_text() for found in rows[-1].texts]
    assert rows[-1].get_xlabel() == "seconds of yunxi"


def test_what_drifts_looks_otherwise_and_says_so() -> None:
    pace, loudness, pitch = drift_figure(text(loudness=-0.5)).axes
    assert to_hex(trend_line(loudness).get_color()) == ORANGE.lower()
    assert loudness.get_title(loc="left").startswith("loudness: drifts (-5.")
    assert {to_hex(trend_line(axes).get_color()) for axes in (pace, pitch)} == {GREEN.lower()}


def test_what_is_not_settled_is_dashed() -> None:
    _, loudness, _ = drift_figure(text(loudness=0.09)).axes
    assert "not settled" in loudness.get_title(loc="left")
    assert to_hex(trend_line(loudness).get_color()) == INK.lower()
    assert trend_line(loudness).get_linestyle() == "--"


def test_every_piece_is_seen_where_it_was_spoken() -> None:
    found = text(pitch=0.5)
    for axes, name in zip(drift_figure(found).axes, THRESHOLDS, strict=True):
        (strokes,) = [each for each in axes.collections if len(each.get_segments()) == 12]
        low, high = axes.get_ylim()
        for stroke, piece, level in zip(strokes.get_segments(), *found.levels(name), strict=True):
            assert stroke[:, 0].tolist() == [piece.start, piece.start + piece.seconds]
            assert stroke[:, 1].tolist() == pytest.approx([level, level])
            assert low < level < high


def test_a_click_is_marked_at_its_joint() -> None:
    found = text()
    pieces = list(found.pieces)
    pieces[5] = replace(pieces[5], click=40.0)
    axes = drift_figure(replace(found, pieces=tuple(pieces))).axes[-1]
    (marks,) = [line for line in axes.lines if line.get_marker() == "v"]
    assert list(marks.get_xdata()) == [pieces[5].start]
    assert "1 of 11 joints click" in [each.get_text() for each in axes.texts]


def test_too_short_a_text_has_no_picture() -> None:
    with pytest.raises(LabError, match="longer text"):
        drift_figure(replace(text(), pieces=text().pieces[:5]))
