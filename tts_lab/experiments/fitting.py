"""Fitting a request to the card that is here, with what is free on it now."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tts_lab.errors import LabError
from tts_lab.experiments.planner import SAFETY, Plan, plan
from tts_lab.memory.cards import Card, budget_card, cards, find_card
from tts_lab.recipe import Recipe
from tts_lab.types import Request

REFERENCE_SECONDS = 15.0  # a clip is cut to that, so no other needs more


@dataclass(frozen=True)
class Fitted:
    """Recipes to speak with: the first, then what to step down to where memory runs out. plan: None without a card."""

    recipes: tuple[Recipe, ...]
    sentence: str
    plan: Plan | None = None


def free_card(device: str = "cuda") -> Card:
    """The card of this machine, as large as what is free on it now."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    capability: tuple[int, int] = torch.cuda.get_device_capability(device)
    return with_free(torch.cuda.get_device_name(device), free, capability)


def with_free(name: str, free: int, capability: tuple[int, int]) -> Card:
    """A card of that name on which `free` bytes can still be taken; CUDA's own share is taken already.

    A card that the lab does not know is planned for with the rates of its budget cards.
    """
    try:
        card = find_card(name)
    except LabError:
        card = budget_card(name, max(known.total_bytes for known in cards().values()))
    return dataclasses.replace(
        card, name=f"{name} with {free / 2**20:,.0f} MiB free", total_bytes=free + card.context_bytes,
        compute_capability=capability,
    )  # fmt: skip


def fit(
    system: str, request: Request, device: str, *, card: Card | None = None, quality: str | None = None,
    safety: float = SAFETY,
) -> Fitted:  # fmt: skip
    """The recipes for a request on a device. card: instead of the one that is here, as `with_free` gives it.

    Raises LabError where nothing fits, with how much is missing.
    """
    if not device.startswith("cuda") and card is None:
        return Fitted((Recipe(),), f"There is no card to fit to: on {device} the default recipe speaks.")
    card = card or free_card(device)
    seconds = REFERENCE_SECONDS
    found = plan(system, card, text=request.text, reference_seconds=seconds, quality=quality, safety=safety)
    return Fitted((found.recipe, *(option.recipe for option in found.fallbacks)), found.sentence, found)
