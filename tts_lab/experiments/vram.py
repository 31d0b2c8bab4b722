"""What a system needs of a card: traced once, replayed for any number of cards."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from tts_lab.experiments.kept import kept_log
from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.attention_route import Capability, family
from tts_lab.memory.calls import Memory
from tts_lab.memory.cards import Card, cards, find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import Tracer
from tts_lab.recipe import Recipe
from tts_lab.systems import run_lengths

SECONDS, REFERENCE_SECONDS = 30.0, 15.0
KEPT_TRACES = 32
KEPT_REPORTS = 256
CALLS = Memory()  # of module calls: the second recipe of a system is traced several times as fast as the first


def vram(
    system: str, card: Card | str, recipe: Recipe | str = "default", seconds: float = SECONDS,
    reference_seconds: float = REFERENCE_SECONDS, settings: Settings | None = None, *, depth: int = 2,
) -> MemoryReport:  # fmt: skip
    """The memory report of a request, predicted without a card and without weights.

    seconds: of speech; reference_seconds: of the clip whose voice is imitated; settings: of PyTorch's allocator; depth:
    parts of module paths that are told apart. Raises LabError where one of them cannot be.
    """
    recipe = Recipe.find(recipe) if isinstance(recipe, str) else recipe
    report = (
        _reported if isinstance(card, Card) else _kept_report
    )  # a card of the caller's own has no name to keep it by
    return report(system, card, recipe, seconds, reference_seconds, settings, depth)


def _reported(
    system: str, card: Card | str, recipe: Recipe, seconds: float, reference_seconds: float,
    settings: Settings | None, depth: int,
) -> MemoryReport:  # fmt: skip
    log = traced(system, card, recipe, seconds, reference_seconds)
    return MemoryReport.of(log, card, settings, depth=depth)


_kept_report = lru_cache(maxsize=KEPT_REPORTS)(_reported)


def vram_cards(
    system: str, names: Iterable[Card | str] | None = None, recipe: Recipe | str = "default",
    seconds: float = SECONDS, reference_seconds: float = REFERENCE_SECONDS,
) -> list[MemoryReport]:  # fmt: skip
    """`vram` for several cards; None: for all that the lab knows."""
    return [vram(system, card, recipe, seconds, reference_seconds) for card in names or cards().values()]


def traced(
    system: str, card: Card | str = "8gb", recipe: Recipe | str = "default", seconds: float = SECONDS,
    reference_seconds: float = REFERENCE_SECONDS,
) -> EventLog:  # fmt: skip
    """The event log of a request; kept, so that cards that take the same attention kernels share one trace."""
    recipe = Recipe.find(recipe) if isinstance(recipe, str) else recipe
    return _traced(system, recipe, seconds, reference_seconds, family(find_card(card).compute_capability))


@lru_cache(maxsize=KEPT_TRACES)
def _traced(system: str, recipe: Recipe, seconds: float, reference_seconds: float, capability: Capability) -> EventLog:
    key = (system, recipe.to_dict(), seconds, reference_seconds, capability)
    return kept_log(key, lambda: _trace(system, recipe, seconds, reference_seconds, capability))


def _trace(system: str, recipe: Recipe, seconds: float, reference_seconds: float, capability: Capability) -> EventLog:
    tracer = Tracer("meta", capability, memory=CALLS)
    notes = run_lengths(system, recipe, seconds, reference_seconds, tracer)
    tracer.log.meta.update(
        system=system, recipe=recipe.to_dict(), recipe_name=recipe.name, speech_seconds=seconds,
        reference_seconds=reference_seconds, weights="none: sizes only", notes=[*recipe.notes("cuda"), *notes],
    )  # fmt: skip
    return tracer.log
