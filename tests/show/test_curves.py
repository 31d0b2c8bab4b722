from __future__ import annotations

import pytest

from tts_lab.show.curves import memory_curves

MIB = 2**20
CURVES = {"short": [(4, 10 * MIB), (120, 20 * MIB)], "long": [(4, 12 * MIB), (120, 8000 * MIB)]}


def test_every_point_lies_inside_the_picture_and_apart() -> None:
    axes = memory_curves(CURVES, {"a card": 8 * 1024 * MIB}).axes[0]
    bottom, top = axes.get_ylim()
    assert 0 < bottom < 10
    assert top > 8192
    height = axes.bbox.height
    ends = [axes.transData.transform((120, points[-1][1] / MIB))[1] - axes.bbox.y0 for points in CURVES.values()]
    assert 0.05 * height < ends[0] < ends[1] - 0.3 * height
    assert ends[1] < height
    assert axes.get_yscale() == axes.get_xscale() == "log"


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no curves"):
        memory_curves({})
