"""The panel: what its controls say is what it predicts, and what cannot be is a sentence."""

from __future__ import annotations

import pytest

from tts_lab.experiments.vram import vram
from tts_lab.recipe import Recipe
from tts_lab.show.memory_panel import MemoryPanel


@pytest.fixture
def panel() -> MemoryPanel:
    made = MemoryPanel("mini")
    made.seconds.value = 5
    return made


def test_it_shows_what_the_library_predicts(panel: MemoryPanel) -> None:
    assert panel.report is not None
    assert panel.report.peak_allocated == vram("mini", "rtx3070", seconds=5).peak_allocated
    assert panel.verdict.value.startswith("Fits:")
    assert bytes(panel.picture.value).startswith(b"\x89PNG")


def test_a_lever_changes_the_prediction(panel: MemoryPanel) -> None:
    before = panel.report.peak_allocated  # type: ignore[union-attr]
    panel.levers.boxes["precision"].value = "fp16"
    assert panel.report.peak_allocated < 0.6 * before  # type: ignore[union-attr]
    assert panel.chosen == Recipe(precision="fp16")


def test_a_preset_sets_all_levers_at_once(panel: MemoryPanel) -> None:
    drawn = []
    panel.draw, draw = lambda: drawn.append(draw()), panel.draw  # type: ignore[method-assign]
    panel.levers.start.value = "fits-2gb"
    assert len(drawn) == 1
    assert (panel.levers.boxes["precision"].value, panel.levers.boxes["offload"].value) == ("fp16", "stage")


def test_a_card_that_does_not_exist_is_answered_and_leaves_no_picture(panel: MemoryPanel) -> None:
    panel.card.value = "rtx3o70"
    assert "Did you mean rtx3070" in panel.verdict.value
    assert panel.report is None
    assert panel.picture.layout.display == "none"
    panel.card.value = "8gb"
    assert panel.report is not None
    assert panel.picture.layout.display == "block"


def test_its_repr_is_the_same_on_every_run(panel: MemoryPanel) -> None:
    assert repr(panel) == repr(panel)
    assert "0x" not in repr(panel)
