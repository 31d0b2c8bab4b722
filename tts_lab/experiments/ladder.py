"""The recipes that a plan is chosen from, and what each needs: few traces answer for many recipes.

What is assumed, and where a test checks it:

- Solver steps after the second change no peak and add the same time each: of settings that differ in steps alone the
  fewest and the most are traced, and those between take the peak of the most (`tests/experiments/test_planner.py`).
- Each value of a lever is smaller and not faster than the one before it (`ways`); fp16 is smaller and not slower than
  fp32. So short pieces, tiles and the like are searched in the smallest number format alone.
- Where one way to offload is smaller than another and not slower, it is so for shorter pieces and tiles too.
- A lever that acts on one stage lowers the peak only where that stage is at the peak, so `_deeper` tries no other. What
  is left out for this could at most be smaller by a rounding of segments; what is recommended was always traced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from tts_lab.experiments.kept import kept_data
from tts_lab.experiments.sound import Setting
from tts_lab.experiments.vram import traced
from tts_lab.memory.cards import Card
from tts_lab.memory.events import Work
from tts_lab.memory.replay import ENDLESS, replay
from tts_lab.memory.roofline import estimate
from tts_lab.recipe import Recipe, choices

PRECISIONS = ("fp32", "fp16")  # bf16 takes the bytes of fp16, and not every card computes it
PIECES = {"mini": (12,)}  # characters; mini speaks pieces of 24 at most
SHORTER_PIECES = (60, 30)
SAME_SOUND = ("batched", "sequential")  # ways of guidance that differ in memory only
SLOWER = "disk"  # the way to offload that takes of the card what layers takes, and more time
EXACT = ("static", "growing")  # caches that do not round
TILES = (256, 64)  # mel frames
NOT_THERE = {"mini": {("offload", "voice")}}  # what would change nothing in the system
TOUCHES = {  # what leaves the sound alone, then what rounds, then what may change how it is spoken
    "tile": ("speaker", "vocoder"), "cache": ("semantic",), "guidance_mode": ("acoustic",),
    "quantisation": ("speaker", "semantic", "acoustic", "vocoder"), "max_chars": ("semantic", "acoustic", "vocoder"),
}  # fmt: skip
MOVED = ("precision", "offload", *TOUCHES)  # levers that a plan may move, besides the measured settings


@dataclass(frozen=True)
class Lengths:
    """Seconds of speech and of the reference clip."""

    seconds: float
    reference_seconds: float


@dataclass(frozen=True)
class Need:
    """What a recipe needs of any card of a kind, in bytes. stages: allocated at the peak of each; work: of kernels."""

    reserved: int
    allocated: int
    band: int
    stages: Mapping[str, int]
    work: tuple[Work, ...] = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """A recipe, its need and its estimated seconds on a card. traced: whether by a trace of its own."""

    recipe: Recipe
    setting: Setting
    need: Need
    seconds: float
    traced: bool = True


@dataclass(frozen=True)
class Space:
    """The recipes in question. start: the fastest end of the memory-only levers; values: of each lever, in order."""

    system: str
    settings: tuple[Setting, ...]
    values: Mapping[str, tuple[object, ...]]
    start: Recipe

    @property
    def size(self) -> int:
        """How many recipes it holds."""
        count = len(self.settings)
        for values in self.values.values():
            count *= len(values)
        return count


def ways(system: str, base: Recipe, levers: Sequence[str]) -> dict[str, tuple[object, ...]]:
    """The values of each lever, from large and fast to small; one alone where the lever is not in `levers`."""
    offered: dict[str, tuple[object, ...]] = {
        "precision": PRECISIONS, "offload": tuple(name for name in choices("offload") if name != SLOWER),
        "max_chars": (base.max_chars, *(n for n in PIECES.get(system, SHORTER_PIECES) if n < base.max_chars)),
        "tile": (0, *TILES), "guidance_mode": SAME_SOUND if base.guidance else ("batched",),
        "cache": (base.cache, *(name for name in EXACT if name != base.cache)),
        "quantisation": ("none", "int8"),  # fp8 rounds more and is slower
    }  # fmt: skip
    missing = NOT_THERE.get(system, set())
    kept = {name: tuple(v for v in values if (name, v) not in missing) for name, values in offered.items()}
    return {name: kept[name] if name in levers else (getattr(base, name),) for name in MOVED}


def explore(space: Space, lengths: Lengths, card: Card) -> list[Answer]:
    """Answers for the recipes worth looking at, the same for every card of the kind but for the seconds."""
    found: list[Answer] = []
    for precision in space.values["precision"]:
        tops = [space.start.replace(precision=precision, offload=offload) for offload in space.values["offload"]]
        for top in tops:
            found += _settings(space, top, lengths, card)
    firsts = [_answer(space, top, space.settings[0], lengths, card) for top in tops]
    for top, first in zip(tops, firsts, strict=True):
        if not any(_beats(other, first) for other in firsts):
            found += _deeper(space, top, lengths, card)
    return found


def _beats(one: Answer, other: Answer) -> bool:
    """Whether one is smaller and not slower: then so it is after the same moves."""
    return one.need.reserved < other.need.reserved and one.seconds <= other.seconds


def need(system: str, recipe: Recipe, lengths: Lengths, card: Card) -> Need:
    """What one recipe needs, by a trace and a replay on a card without end; kept for every card of the kind."""
    return _need(system, recipe, lengths, card.compute_capability, card.context_bytes)


@lru_cache(maxsize=2048)
def _need(system: str, recipe: Recipe, lengths: Lengths, capability: tuple[int, int], context: int) -> Need:
    key = ("need", system, recipe.to_dict(), lengths, capability, context)
    found = kept_data(key, lambda: asdict(_traced_need(system, recipe, lengths, capability, context)))
    return Need(**{**found, "work": tuple(Work(**each) for each in found["work"])})


def _traced_need(system: str, recipe: Recipe, lengths: Lengths, capability: tuple[int, int], context: int) -> Need:
    # Nothing else of a card plays a part in its memory.
    roomy = Card("roomy", "a card without end", ENDLESS, context, capability, 1.0, {"fp32": 1.0}, (4, 16))
    log = traced(system, roomy, recipe, lengths.seconds, lengths.reference_seconds)
    done = replay(log, roomy, points=1)
    stages = {name: peak.allocated for name, peak in done.stages.items() if name}
    return Need(done.peak_reserved, done.peak_allocated, done.band, stages, log.work)


def _settings(space: Space, recipe: Recipe, lengths: Lengths, card: Card) -> Iterator[Answer]:
    """The recipe in every setting; of those that differ in steps alone, the fewest and the most are traced."""
    groups: dict[tuple[object, ...], list[Setting]] = {}
    for setting in space.settings:
        groups.setdefault(tuple(pair for pair in setting.levers if pair[0] != "steps"), []).append(setting)
    for group in groups.values():
        group.sort(key=lambda setting: setting.on(recipe).steps)
        ends = [_answer(space, recipe, setting, lengths, card) for setting in (*group[:1], *group[1:][-1:])]
        yield from ends
        yield from (_between(*ends, setting) for setting in group[1:-1])


def _answer(space: Space, recipe: Recipe, setting: Setting, lengths: Lengths, card: Card) -> Answer:
    recipe = setting.on(recipe)
    found = need(space.system, recipe, lengths, card)
    return Answer(recipe, setting, found, estimate(found.work, card).seconds)


def _between(few: Answer, many: Answer, setting: Setting) -> Answer:
    """A number of steps between two that were traced: the peak of the most, the time in proportion."""
    recipe = setting.on(many.recipe)
    share = (recipe.steps - few.recipe.steps) / (many.recipe.steps - few.recipe.steps)
    return Answer(recipe, setting, many.need, few.seconds + share * (many.seconds - few.seconds), traced=False)


def _deeper(space: Space, top: Recipe, lengths: Lengths, card: Card) -> Iterator[Answer]:
    """Smaller and smaller: each time the first lever that acts on the stage at the peak goes to its next value.

    The first tile is taken in any case: it also lowers what a convolution may take on top. The first setting stands for
    all.
    """
    setting, recipe = space.settings[0], top
    while True:
        found = _answer(space, recipe, setting, lengths, card)
        stages = found.need.stages
        peak = max(stages, key=lambda name: stages[name]) if stages else ""
        move = _next(space, recipe, peak)
        if move is None:
            return
        recipe = recipe.replace(**{move[0]: move[1]})
        yield _answer(space, recipe, setting, lengths, card)


def _next(space: Space, recipe: Recipe, peak: str) -> tuple[str, object] | None:
    """The cheapest move that can lower the peak: levers in order, first values before second ones."""
    moves: list[tuple[int, str, object]] = []
    for lever, stages in TOUCHES.items():
        values = space.values[lever]
        at = values.index(getattr(recipe, lever)) + 1
        if at < len(values) and (peak in stages or (lever == "tile" and at == 1)):
            moves.append((at, lever, values[at]))
    return min(moves, key=lambda move: move[0])[1:] if moves else None
