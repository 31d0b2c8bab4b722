"""What is known of a recipe's sound: measured figures, floors under them, and what has not been measured.

Only `mini` has figures (`data/measured/quality-mini.json`): for numbers of evaluations, solvers, guidance, number
formats and vocoders, with pieces as long as it was taught. Of every other lever the lab knows only whether it can touch
the sound.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError, RecipeError
from tts_lab.paths import data_dir
from tts_lab.recipe import PRESETS, Recipe

MEASURED = {"mini": "quality-mini.json"}
SOLVING = ("steps", "solver", "schedule", "guidance")  # how the acoustic model is run
MEASURED_LEVERS = (*SOLVING, "precision", "quantisation", "vocoder")  # in which the measured settings differ
SOUND = (
    *SOLVING,
    "temperature",
    "beams",
    "precision",
    "quantisation",
    "vocoder",
    "max_chars",
)  # all that can touch the sound
REFERENCES = {"mini": "default", "indextts2": "as-released", "indextts2-public": "as-released"}
_FLOOR = re.compile(r"(error|mos)\s*(<=|>=)\s*(\d+(?:\.\d+)?)\s*(%?)")
_FORM = "write error<=5%, mos>=4.2, both with a comma between, or the name of a preset"


@dataclass(frozen=True)
class Quality:
    """Measured figures of a setting. error: toneless-pinyin error of a recogniser, 0 to 1; mos: DistillMOS, 1 to 5."""

    error: float
    mos: float

    def __str__(self) -> str:
        return f"error {self.error:.1%}, DistillMOS {self.mos:.2f}"


@dataclass(frozen=True)
class Floors:
    """The least that is asked of the sound. None: nothing of that kind."""

    error: float | None = None
    mos: float | None = None

    @classmethod
    def parse(cls, text: str) -> Floors:
        """`error<=5%`, `mos>=4.2`, or both with a comma between. Raises RecipeError for anything else."""
        found: dict[str, float] = {}
        for part in text.split(","):
            match = _FLOOR.fullmatch(part.strip().lower())
            if not match or match[1] in found or match[2] != {"error": "<=", "mos": ">="}[match[1]]:
                raise RecipeError(f"A floor of quality cannot be {part.strip()!r}: {_FORM} ({', '.join(PRESETS)}).")
            name, value = match[1], float(match[3]) / (100 if match[4] else 1)
            if (name == "error" and value > 1) or (name == "mos" and (match[4] or not 1 <= value <= 5)):
                raise RecipeError(f"{part.strip()} is out of range: an error is at most 100%, a mos from 1 to 5.")
            found[name] = value
        return cls(**found)

    def met_by(self, quality: Quality) -> bool:
        return (self.error is None or quality.error <= self.error) and (self.mos is None or quality.mos >= self.mos)

    def __str__(self) -> str:
        parts = [] if self.error is None else [f"error<={self.error * 100:g}%"]
        return ", ".join(parts if self.mos is None else [*parts, f"mos>={self.mos:g}"])


@dataclass(frozen=True)
class Setting:
    """One way to run the acoustic model, or all models in one number format, and what is measured of it."""

    levers: tuple[tuple[str, Any], ...]
    quality: Quality | None = None

    @classmethod
    def of(cls, recipe: Recipe, quality: Quality | None = None, names: tuple[str, ...] = SOLVING) -> Setting:
        return cls(tuple((name, getattr(recipe, name)) for name in names), quality)

    def on(self, recipe: Recipe) -> Recipe:
        """The recipe, run this way."""
        return recipe.replace(**dict(self.levers))


def reference(system: str) -> Recipe:
    """The recipe against which a plan says what it gives up: as released, or the lab's default."""
    return Recipe.named(REFERENCES.get(system, "default"))


def told(system: str, recipe: Recipe) -> str:
    """A recipe in words: a preset's name, or how it differs from the system's reference recipe."""
    base = reference(system)
    if recipe in [known for known, _ in PRESETS.values()]:
        return recipe.name
    old = base.to_dict()
    return f"{base.name} with {', '.join(f'{k} {v}' for k, v in recipe.to_dict().items() if v != old[k])}"


def measured(system: str) -> tuple[Setting, ...]:
    """Settings with measured figures, fewest evaluations first; none where the lab has no figures."""
    return _measured(data_dir() / "measured" / MEASURED[system]) if system in MEASURED else ()


def quality_of(system: str, recipe: Recipe) -> Quality | None:
    """What was measured for this very recipe; None where any lever that touches the sound was another."""
    base = reference(system)
    if any(getattr(recipe, name) != getattr(base, name) for name in ("beams", "temperature")):
        return None
    if recipe.max_chars < base.max_chars or recipe.guidance_mode == "alternate" or recipe.cache == "int8":
        return None
    wanted = Setting.of(recipe, names=MEASURED_LEVERS).levers
    return next((each.quality for each in measured(system) if each.levers == wanted), None)


def meeting(system: str, floors: Floors) -> tuple[Setting, ...]:
    """The measured settings that meet the floors. Raises LabError where none does, or nothing is measured."""
    known = measured(system)
    if not known:
        raise LabError(
            f"The sound of {system} is not measured at any recipe, so no floor can be kept; name a preset whose sound "
            "is to stay as it is, such as --quality as-released."
        )
    found = tuple(each for each in known if each.quality and floors.met_by(each.quality))
    if not found:
        figures = [each.quality for each in known if each.quality]
        raise LabError(
            f"No measured setting of {system} meets {floors}: the lowest error is {min(q.error for q in figures):.1%}, "
            f"the highest mos {max(q.mos for q in figures):.2f}; ask for less."
        )
    return found


@lru_cache(maxsize=2)
def _measured(path: Path) -> tuple[Setting, ...]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["settings"]
        spoken = [row for row in rows if "recipe" in row]
        return tuple(sorted((_setting(row) for row in spoken), key=_evaluations))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"The measured figures {path} cannot be read ({error!r}); restore the lab's own file."
        ) from error


def _setting(row: Mapping[str, Any]) -> Setting:
    figures = row["figures"]["all"]
    recipe = Recipe(**{name: row["recipe"][name] for name in MEASURED_LEVERS if name in row["recipe"]})
    return Setting.of(recipe, Quality(figures["toneless"], figures["mos"]), MEASURED_LEVERS)


def _evaluations(setting: Setting) -> int:
    return setting.on(Recipe()).evaluations_per_chunk
