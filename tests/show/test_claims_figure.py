"""Figures of the claims, as a reader sees them."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.colors import to_hex

from tts_lab.show.claims_figure import VERDICT, autograd_figure, claims_figure, curve_figure


def claim(name: str, article: float, ours: float, kind: str) -> dict[str, Any]:
    return {
        "id": name,
        "article": {"value": article},
        "main": "peak",
        "measured": {"peak": {"value": ours}},
        "kind": kind,
    }


ROWS = [
    claim("steps-50-memory", 6.8, 8.125, "does not hold"),
    claim("steps-50-time", 1.0, 1.0, "holds"),
    claim("row-fp16-memory", 3.1, 2.97, "holds only if"),
]


def test_bars_are_the_article_s_and_ours_in_the_verdict_s_colour() -> None:
    figure = claims_figure(ROWS)
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [6.8, 8.125]
    assert [bar.get_width() for bar in right.patches] == [3.1, 2.97]
    assert to_hex(left.patches[1].get_facecolor()).upper() == VERDICT["does not hold"].upper()
    assert to_hex(right.patches[1].get_facecolor()).upper() == VERDICT["holds only if"].upper()
    assert [text.get_text() for text in left.get_yticklabels()] == ["50 steps"]
    assert [text.get_text() for text in right.get_yticklabels()] == ["fp16"]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_nothing_to_draw_is_refused() -> None:
    for empty in (lambda: claims_figure(ROWS[1:2]), lambda: autograd_figure([], [], [], []), lambda: curve_figure({})):
        with pytest.raises(ValueError):
            empty()
    with pytest.raises(ValueError, match="one figure of each kind"):
        autograd_figure([1, 2], [1.0], [1.0, 2.0], [1.0, 2.0])


def test_lines_carry_the_figures() -> None:
    (axes,) = autograd_figure([20, 100], [4.9, 7.9], [0.4, 0.4], [11.0, 56.0]).axes
    assert axes.get_yscale() == "log"
    assert [list(line.get_ydata()) for line in axes.lines] == [[11.0, 56.0], [4.9, 7.9], [0.4, 0.4]]
    (axes,) = curve_figure({5.0: (2**20, 2**20), 60.0: (4 * 2**20, 2 * 2**20)}).axes
    assert [list(line.get_ydata()) for line in axes.lines] == [[1.0, 4.0], [1.0, 2.0]]
