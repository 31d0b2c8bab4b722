"""What a system is said to lack changes nothing: the same events, to the byte."""

from __future__ import annotations

from functools import lru_cache

import pytest

from tts_lab.experiments.vram import traced
from tts_lab.memory.cards import find_card
from tts_lab.memory.roofline import estimate
from tts_lab.recipe import LEVERS, Recipe, choices
from tts_lab.systems import SYSTEMS, lacks

OTHER = {"steps": 9, "guidance": 1.0, "temperature": 0.5, "beams": 3}  # than the default


@lru_cache
def events(system, recipe):
    """Of memory, and the time that the work takes: a loop's steps are traced once."""
    log = traced(system, "8gb", recipe, 2, 2)
    return [(e.operator, e.bytes, e.storage) for e in log], estimate(log.work, find_card("8gb")).seconds


def moved(key):
    lever, _, value = key.partition(" ")
    if value:
        return {lever: value}
    others = [name for name in choices(lever) if name != getattr(Recipe(), lever)]
    return {lever: OTHER[lever] if lever in OTHER else others[-1]}


@pytest.mark.parametrize(("system", "key"), [(name, key) for name in SYSTEMS for key in lacks(name)])
def test_what_a_system_lacks_changes_nothing(system, key):
    alike = {"offload layers": "stage", "offload disk": "stage"} if system == "sambert" else {}
    same_as = Recipe(offload=alike.get(key, "none"))
    assert events(system, Recipe(**moved(key))) == events(system, same_as)


@pytest.mark.parametrize("lever", ["steps", "guidance", "precision", "offload", "tile"])
def test_what_it_does_not_lack_changes_something(lever):
    """The comparison above could see a difference."""
    assert lever in LEVERS
    other = {"precision": "fp16", "offload": "stage", "tile": 64}.get(lever, OTHER.get(lever))
    assert events("mini", Recipe(**{lever: other})) != events("mini", Recipe())
