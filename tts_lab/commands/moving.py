"""Levers of a recipe moved on the command line: `--set lever=value`."""

from __future__ import annotations

from collections.abc import Sequence

from tts_lab.errors import RecipeError
from tts_lab.recipe import Recipe


def moved(recipe: Recipe, levers: Sequence[str]) -> Recipe:
    """The recipe with `lever=value` pairs applied, values read as YAML does. Raises RecipeError for a bad one."""
    import yaml

    pairs = {}
    for text in levers:
        name, sign, value = text.partition("=")
        if not sign:
            raise RecipeError(f"--set wants lever=value, such as precision=fp16, but got {text!r}.")
        pairs[name.strip()] = yaml.safe_load(value)
    return recipe.replace(**pairs)
