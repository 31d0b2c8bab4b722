"""The bar of a card's memory: its parts are as long as the report's figures, and its words are the verdict."""

from __future__ import annotations

import io

import matplotlib.image
import pytest

from tts_lab.experiments.vram import vram
from tts_lab.memory.summary import WORDS
from tts_lab.show.memory_bar import in_words, memory_bar
from tts_lab.show.memory_figure import GIB, VERDICT

CARDS = {"fits": "8gb", "tight": "0.6gb", "out_of_memory": "0.35gb"}


@pytest.fixture(scope="module")
def reports():
    return {verdict: vram("mini", card, "default", 4.0) for verdict, card in CARDS.items()}


@pytest.mark.parametrize("verdict", CARDS)
def test_parts_are_as_long_as_the_figures(reports, verdict):
    report = reports[verdict]
    assert report.verdict == verdict
    axes = memory_bar(report).axes[0]
    card, context, reserved, *band = axes.patches
    assert card.get_width() == pytest.approx(report.card.total_bytes / GIB)
    assert context.get_width() == pytest.approx(report.context / GIB)
    assert (reserved.get_x(), reserved.get_width()) == pytest.approx((report.context / GIB, report.peak_reserved / GIB))
    assert [part.get_width() for part in band] == pytest.approx([report.band / GIB], rel=0.02) or verdict != "fits"
    assert axes.lines[0].get_xdata()[0] == pytest.approx(report.card.total_bytes / GIB)


@pytest.mark.parametrize("verdict", CARDS)
def test_words_and_colour_say_the_verdict(reports, verdict):
    axes = memory_bar(reports[verdict]).axes[0]
    assert WORDS[verdict].capitalize() in axes.get_title(loc="left")
    assert "predicted" in axes.get_title(loc="left")
    red, green, blue, _ = axes.patches[2].get_facecolor()
    assert f"#{round(red * 255):02X}{round(green * 255):02X}{round(blue * 255):02X}" == VERDICT[verdict]


def test_what_is_far_too_much_is_drawn_broken_and_said():
    report = vram("mini", "0.3gb", "as-released", 4.0)
    axes = memory_bar(report).axes[0]
    assert axes.get_xlim()[1] <= 2.3 * report.card.total_bytes / GIB
    broken = report.context + report.peak_reserved > axes.get_xlim()[1] * GIB
    assert ("more than is drawn" in axes.get_xlabel()) == broken


def test_in_words(reports):
    report = reports["fits"]
    needs = (report.context + report.peak_reserved) / GIB
    assert in_words(report).startswith(f"mini with default takes {needs:.2f} GiB, and a card of 8gb has 7.45")


def test_is_a_picture(reports):
    image = matplotlib.image.imread(io.BytesIO(memory_bar(reports["fits"])._repr_png_()))
    assert image.shape[1] > 3 * image.shape[0]
