"""The largest number that fits: against trying every one, and by its neighbours."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from tts_lab.errors import LabError
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.largest import largest
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import trace

SIDE = 2048
MODEL = nn.Sequential(nn.Linear(SIDE, 4 * SIDE), nn.GELU(), nn.Linear(4 * SIDE, SIDE)).to("meta")


def make(n: int) -> tuple[nn.Module, torch.Tensor]:
    return MODEL, torch.zeros(n, 640, SIDE)


def verdict(n: int, card: Card) -> str:
    with torch.device("meta"):
        run, x = make(n)
    return MemoryReport.of(trace(run, x, card_capability=card.compute_capability), card).verdict


@pytest.mark.parametrize("size", [900, 1200])
def test_it_fits_and_the_next_one_does_not(size: int) -> None:
    card = find_card(f"{size}mib")
    found = largest(make, card)
    assert found.n > 0
    assert verdict(found.n, card) == "fits" == found.report.verdict
    assert found.beyond == found.n + 1
    assert verdict(found.n + 1, card) != "fits"


def test_every_smaller_one_fits_too_and_few_are_tried() -> None:
    card = find_card("1000mib")
    found = largest(make, card)
    assert all(verdict(n, card) == "fits" for n in range(1, found.n + 1))
    assert len(found.traced) <= 2 * (found.n.bit_length() + 1)


def test_a_tight_fit_may_be_asked_for_and_autograd_takes_its_share() -> None:
    card = find_card("1200mib")
    plain = largest(make, card).n
    assert largest(make, card, tight=True).n > plain
    assert largest(make, card, grad=True).n < plain


def test_borders() -> None:
    card = find_card("8gb")
    assert largest(make, card, most=5).n == 5
    assert largest(make, card, most=5).beyond is None
    small = replace(card, total_bytes=card.context_bytes + 2**26)
    found = largest(make, small)
    assert (found.n, found.beyond, found.traced) == (0, 1, (1,))
    assert "Largest(0 on" in repr(found)
    for bad in (0, -1, 2.5, True):
        with pytest.raises(LabError, match="whole number from 1"):
            largest(make, card, most=bad)  # type: ignore[arg-type]
