"""The grid of a sweep as plain data: recipes x texts x voices x seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from tts_lab.audio.files import FORMATS
from tts_lab.errors import LabError, RecipeError
from tts_lab.experiments.grid_file import read_mapping
from tts_lab.experiments.sweep_cell import Cell
from tts_lab.nearest import did_you_mean
from tts_lab.pipeline import LAST_SEED
from tts_lab.recipe import CALLS_PER_STEP, LEVERS, Recipe, whole
from tts_lab.systems import SYSTEMS, resolve_device
from tts_lab.systems.digest import weights_digest

KEYS = {
    "system": "name of a speech system; mini if left out",
    "weights": "folder of its released weights, or random",
    "device": "auto (what this machine has), cpu, cuda, ...",
    "base": "recipe that the levers change: a preset, a YAML file, or levers",
    "levers": "lever -> values; every combination of them is a recipe",
    "recipes": "instead of levers: presets, YAML files, or levers over the base",
    "texts": "a list of texts, or a file with one a line",
    "voices": "a list of stored voices and sound files to imitate",
    "seeds": "a list of whole numbers",
    "reference": "levers over the base, of the sound that all others are measured against",
    "card": "GPU on which the memory of each recipe is predicted",
}
REFERENCE_EVALUATIONS = 64


@dataclass(frozen=True)
class Grid:
    """All cells of a sweep. Read one with `Grid.of` (data) or `Grid.load` (a YAML file).

    reference: recipe of the sound that cells of the same text, voice and seed are compared with. card: where the memory
    is predicted, None for nowhere. left_out: a sentence for each combination that would only repeat another.
    """

    recipes: tuple[Recipe, ...]
    texts: tuple[str, ...]
    reference: Recipe
    system: str = "mini"
    weights: str | None = None
    device: str = "cpu"
    voices: tuple[str | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    card: str | None = None
    left_out: tuple[str, ...] = ()

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell, recipes outermost, then texts, voices and seeds. Reads the files of the weights once."""
        digest = weights_digest(self.system, self.weights)
        every = product(self.recipes, self.texts, self.voices, self.seeds)
        return tuple(
            Cell(self.system, digest, self.device, recipe, text, voice, seed, _clip(voice))
            for recipe, text, voice, seed in every
        )

    def moved(self) -> tuple[str, ...]:
        """Levers in which its recipes differ."""
        return tuple(lever for lever in LEVERS if len({getattr(recipe, lever) for recipe in self.recipes}) > 1)

    @classmethod
    def load(cls, path: str | Path) -> Grid:
        """A grid from a YAML file. Raises LabError naming the file and what is wrong in it."""
        try:
            return cls.of(read_mapping(Path(path)), Path(path).parent)
        except LabError as error:
            raise type(error)(f"{path}: {error}") from None

    @classmethod
    def of(cls, data: Mapping[str, Any], folder: Path | None = None) -> Grid:
        """A grid from plain data with the keys of `KEYS`; only `texts` must be there.

        folder: to which names of files are relative; None is the current one. Raises LabError for anything else.
        """
        folder = folder or Path()
        for key in data:
            if key not in KEYS:
                raise LabError(f"A grid has no key {key!r}{did_you_mean(key, KEYS)}; it knows {', '.join(KEYS)}.")
        system, weights = _system(data.get("system", "mini")), data.get("weights")
        base = _recipe("base", data.get("base", {}), Recipe(), folder)
        recipes, left_out = _without_repeats(_recipes(data, base, folder))
        return cls(
            recipes, _texts(data, folder), _reference(data.get("reference"), base), system,
            None if weights is None else str(weights), _device(data.get("device", "auto")),
            _voices(data, folder), _seeds(data), _card(data.get("card")), left_out,
        )  # fmt: skip


def reference_recipe(base: Recipe) -> Recipe:
    """The base in fp32 with 64 evaluations of the acoustic model a chunk, by the solver that is nearest the limit."""
    each = CALLS_PER_STEP["midpoint"] * (2 if base.guidance > 0 else 1)
    return base.replace(precision="fp32", solver="midpoint", schedule="sway", steps=REFERENCE_EVALUATIONS // each)


def _system(name: Any) -> str:
    if name not in SYSTEMS:
        raise LabError(f"There is no system {name!r}{did_you_mean(name, SYSTEMS)}; the lab has {', '.join(SYSTEMS)}.")
    return str(name)


def _device(name: Any) -> str:
    """A CUDA card need not be here: the workers of a cluster may have one."""
    return str(name) if str(name).partition(":")[0] == "cuda" else resolve_device(name)


def _recipe(key: str, found: Any, base: Recipe, folder: Path) -> Recipe:
    """A preset, a YAML file, or levers over a base."""
    try:
        if isinstance(found, Mapping):
            return Recipe.from_dict(found) if "inference" in found else base.replace(**found)
        if not isinstance(found, str):
            raise RecipeError(f"expected a preset, a YAML file or levers, found {found!r}.")
        beside = folder / found
        return Recipe.find(beside if found.endswith((".yaml", ".yml")) else found)
    except RecipeError as error:
        raise RecipeError(f"{key}: {error}") from None


def _recipes(data: Mapping[str, Any], base: Recipe, folder: Path) -> list[Recipe]:
    if "recipes" in data and "levers" in data:
        raise LabError("The grid gives both levers and recipes; keep one of them (levers may stand inside recipes).")
    if "recipes" in data:
        return [_recipe("recipes", each, base, folder) for each in _list(data, "recipes")]
    levers = data.get("levers", {})
    if not isinstance(levers, Mapping):
        raise LabError(f"levers must hold lines of 'lever: [values]', such as 'steps: [1, 2, 4]', not {levers!r}.")
    values = [_list(levers, lever) for lever in levers]
    return [base.replace(**dict(zip(levers, chosen, strict=True))) for chosen in product(*values)]


def _without_repeats(recipes: list[Recipe]) -> tuple[tuple[Recipe, ...], tuple[str, ...]]:
    """Recipes that differ in what they do; of those that do the same, the one that says so plainly."""
    kept: dict[Recipe, Recipe] = {}
    left_out = []
    for recipe in recipes:
        same = _plain(recipe)
        if same in kept or (same != recipe and same in recipes):
            why = " ".join(recipe.excludes()) or "It is there already."
            left_out.append(f"Left out {recipe.name}: {why}")
        else:
            kept[same] = recipe
    return tuple(kept.values()), tuple(left_out)


def _plain(recipe: Recipe) -> Recipe:
    """The recipe with every lever at its default that another leaves without effect.

    The evaluations stay: that the exclusion vanishes when guidance is switched on does not make guidance idle.
    """
    for lever in LEVERS:
        default = recipe.replace(**{lever: getattr(Recipe(), lever)})
        if len(default.excludes()) < len(recipe.excludes()) and default.evaluations_per_chunk == (
            recipe.evaluations_per_chunk
        ):
            recipe = default
    return recipe


def _reference(levers: Any, base: Recipe) -> Recipe:
    return reference_recipe(base) if levers is None else _recipe("reference", levers, base, Path())


def _texts(data: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    if "texts" not in data:
        raise LabError("The grid has no texts; give a list of them, or a file with one a line.")
    found = data["texts"]
    lines = _lines(folder / found) if isinstance(found, str) else _list(data, "texts")
    for text in lines:
        if not isinstance(text, str) or not text.strip():
            raise LabError(f"texts must hold texts, but one is {text!r}; put it in quotes if it is meant to be spoken.")
    return _once("texts", lines)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise LabError(f"texts: {path} is not text in UTF-8; save it as UTF-8, one text a line.") from None
    except OSError as error:
        raise LabError(
            f"texts: {path} cannot be read ({error.strerror}); give an existing file, or a list of texts in brackets."
        ) from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise LabError(f"texts: {path} holds no text; write one a line.")
    return found


def _voices(data: Mapping[str, Any], folder: Path) -> tuple[str | None, ...]:
    voices = _list(data, "voices") if "voices" in data else [None]
    for voice in voices:
        if voice is not None and not isinstance(voice, str):
            raise LabError(f"voices must hold names of voices or sound files, but one is {voice!r}.")
    return _once("voices", [str(folder / voice) if _is_clip(voice) else voice for voice in voices])


def _is_clip(voice: str | None) -> bool:
    return voice is not None and Path(voice).suffix.lower() in FORMATS


@lru_cache(maxsize=64)
def _clip(voice: str | None) -> str:
    if voice is None or not _is_clip(voice):
        return ""
    try:
        return hashlib.sha256(Path(voice).read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise LabError(f"voices: the clip {voice} cannot be read ({error.strerror}); give an existing file.") from None


def _seeds(data: Mapping[str, Any]) -> tuple[int, ...]:
    check = whole(0, LAST_SEED)
    return _once("seeds", [check("seeds", seed) for seed in (_list(data, "seeds") if "seeds" in data else [0])])


def _card(name: Any) -> str | None:
    from tts_lab.memory.cards import find_card

    return None if name is None else find_card(str(name)).key


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    """The values of a key; a single value is a list of one."""
    found = data[key]
    if isinstance(found, Mapping) or (isinstance(found, Iterable) and not isinstance(found, str) and not list(found)):
        raise LabError(f"{key} must be a list of at least one value in brackets, but is {found!r}.")
    return list(found) if isinstance(found, Iterable) and not isinstance(found, str) else [found]


def _once(key: str, values: list[Any]) -> tuple[Any, ...]:
    twice = next((value for value in values if values.count(value) > 1), _NOTHING)
    if twice is not _NOTHING:
        raise LabError(f"{key} holds {twice!r} twice; keep one.")
    return tuple(values)


_NOTHING = object()
