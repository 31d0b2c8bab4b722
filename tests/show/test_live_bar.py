from __future__ import annotations

import re

import pytest

from tts_lab.experiments.vram import vram
from tts_lab.recipe import Recipe
from tts_lab.show.live_bar import bar_html


def shares(page):
    return [float(share) for share in re.findall(r"flex:0 0 ([\d.]+)%", page)]


@pytest.fixture(scope="module")
def report():
    return vram("sambert", "rtx3070", "default", 2, 2)


def test_parts_add_up_to_what_the_card_gives(report):
    taken = (report.context + report.peak_reserved) / report.card.total_bytes
    assert sum(shares(bar_html(report))) == pytest.approx(100 * taken, abs=0.1)


def test_the_verdict_is_told_in_words_and_to_those_who_do_not_see_it(report):
    page = bar_html(report, "for <2> s")
    assert "✓ fits" in page
    assert "for &lt;2&gt; s" in page
    assert f'aria-label="{report.sentence}"' in page


def test_what_does_not_fit_goes_past_the_mark():
    report = vram("indextts2", "4gb", Recipe(), 5, 3)
    page = bar_html(report)
    assert "✗ out of memory" in page
    edge = float(re.search(r"left:calc\(([\d.]+)%", page)[1])
    assert edge < 100
    assert sum(shares(page)) > edge


def test_every_stage_has_its_peak(report):
    page = bar_html(report)
    for stage in report.stages:
        assert f"{stage.peak_allocated / 2**20:,.1f} MiB" in page
