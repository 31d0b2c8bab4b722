"""What a visitor asks for, as plain values, turned into a request and a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError, RecipeError
from tts_lab.memory.cards import Card, find_card
from tts_lab.recipe import LEVERS, Recipe, choices
from tts_lab.types import Request
from tts_lab.web.limits import Limits

FIT = "fit"  # in the place of a preset's name: plan for the card
CARD = "rtx3070"
LEVERS_SHOWN = ("steps", "solver", "guidance", "precision", "quantisation")


@dataclass(frozen=True)
class Asked:
    """recipe: a preset's name, or FIT for the fastest that fits `card`. levers: to move in it; what is None or empty
    stays as the recipe says. Empty names of voice and emotion are the system's own choice."""

    text: str
    system: str = "mini"
    voice: str | None = None
    emotion: str | None = None
    emotion_strength: float = 1.0
    reference: Path | None = None
    recipe: str = "default"
    card: str = CARD
    levers: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    speed: float = 1.0

    def check(self, limits: Limits) -> None:
        """Raises LabError for what can be told without loading anything."""
        limits.check_text(self.text)
        limits.check_clip(self.reference)
        find_card(self.card)
        self.chosen()

    def request(self) -> Request:
        return Request(
            self.text, self.voice or None, self.reference, self.emotion or None, whole(self.seed), self.speed,
            emotion_strength=self.emotion_strength,
        )  # fmt: skip

    def chosen(self) -> Recipe | None:
        """The recipe; None where it is to be planned. Raises RecipeError for one that cannot be."""
        moved = {name: value for name, value in self.levers.items() if value not in (None, "")}
        if self.recipe != FIT:
            return Recipe.named(self.recipe).replace(**{name: _plain(name, value) for name, value in moved.items()})
        if moved:
            raise RecipeError(f"A plan chooses the recipe itself; leave {', '.join(moved)} as the recipe says.")
        return None

    def for_card(self) -> Card:
        return find_card(self.card)


def whole(value: Any) -> Any:
    """A number field of a browser gives 4.0 for 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(lever: str, value: Any) -> Any:
    """A lever's value as the recipe takes it; a number may come as text."""
    if not choices(lever) and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise RecipeError(f"{lever} must be a number, but is {value!r}; leave it empty for the recipe's.") from None
    return whole(value) if isinstance(getattr(Recipe, lever), int) else value


def levers(**values: Any) -> dict[str, Any]:
    """Levers by name. Raises LabError for one that the page does not show."""
    for name in values:
        if name not in LEVERS_SHOWN or name not in LEVERS:
            raise LabError(f"The page has no lever {name!r}; it has {', '.join(LEVERS_SHOWN)}.")
    return values
