"""Fitting a request to what is free on a card; the free bytes are made up."""

from __future__ import annotations

import pytest

from tts_lab.errors import LabError
from tts_lab.experiments import fitting
from tts_lab.experiments.fitting import fit, with_free
from tts_lab.experiments.ladder import Lengths
from tts_lab.memory.cards import find_card
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.types import Request

TEXT = Request("今天天气真好，我们去公园。")  # 3 s of speech
LONG = Request(TEXT.text * 3)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lengths of test_planner.py, whose traces are kept."""
    monkeypatch.setattr(fitting, "REFERENCE_SECONDS", 3.0)


def test_without_a_card_the_default_recipe_speaks() -> None:
    found = fit("mini", TEXT, "cpu")
    assert found.recipes == (Recipe(),)
    assert found.plan is None
    assert "There is no card to fit to" in found.sentence


def test_what_is_free_is_planned_for() -> None:
    card = with_free("NVIDIA GeForce RTX 3070", 900 * 2**20, (8, 6))
    assert card.key == "rtx3070"
    assert card.total_bytes - card.context_bytes == 900 * 2**20
    found = fit("mini", TEXT, "cuda", card=card)
    assert found.plan is not None
    assert found.plan.verdict == "fits"
    assert found.plan.lengths == Lengths(3.0, fitting.REFERENCE_SECONDS)
    assert len(found.recipes) == 1 + len(found.plan.fallbacks) > 1
    assert "with 900 MiB free" in found.sentence


def test_a_card_that_is_not_known_is_planned_for_too() -> None:
    card = with_free("NVIDIA Something 9999", 2**30, (9, 0))
    assert card.compute_capability == (9, 0)
    assert card.total_bytes == 2**30 + card.context_bytes
    assert card.rates == find_card("8gb").rates


def test_a_card_that_is_full_is_refused() -> None:
    with pytest.raises(LabError, match="Nothing fits NVIDIA GeForce RTX 3070 with 50 MiB free"):
        fit("mini", TEXT, "cuda", card=with_free("NVIDIA GeForce RTX 3070", 50 * 2**20, (8, 6)))


def test_the_recipes_speak() -> None:
    found = fit("mini", TEXT, "cuda", card=with_free("NVIDIA GeForce RTX 3070", 2**30, (8, 6)))
    speech = say(load_system("mini", "cpu"), LONG, found.recipes[0], fallbacks=found.recipes[1:])
    assert speech.samples.shape[-1] > 10_000
    assert [part.recipe for part in speech.receipt.spoken] == [found.recipes[0]]
