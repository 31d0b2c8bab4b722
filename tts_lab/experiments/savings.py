"""From the public program's memory to the lab's, one saving at a time: each row is the row above and one thing more."""

from __future__ import annotations

from dataclasses import dataclass

from tts_lab.experiments.vram import CALLS
from tts_lab.memory.attention_route import family
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import Tracer
from tts_lab.recipe import Recipe
from tts_lab.systems.indextts2 import public
from tts_lab.systems.indextts2.lengths import run
from tts_lab.systems.indextts2.public import Held


@dataclass(frozen=True)
class Saving:
    """One row: what was saved, why it costs nothing or what it costs, and the memory that is left."""

    name: str
    price: str
    report: MemoryReport


PUBLIC: tuple[tuple[str, str, Held], ...] = (
    ("as the public program", "", Held()),
    ("emotion model only when asked for", "a load when an emotion is given as text", Held(emotion_model=False)),
    ("unread parts left out", "nothing", Held(emotion_model=False, unread=False)),
    ("reference without autograd", "nothing", Held(emotion_model=False, unread=False, graph=False)),
)
OURS: tuple[tuple[str, str, dict[str, object]], ...] = (
    ("prefix once, caches reordered in place", "nothing", {}),
    ("one beam, cache of the length needed", "the search of three beams", {"beams": 1, "cache": "static"}),
    ("float16", "rounding", {"precision": "fp16"}),
    ("what only the voice needs leaves", "a transfer for each new voice", {"offload": "voice"}),
    ("one stage at a time", "transfers for each piece", {"offload": "stage"}),
    ("vocoder and conditioners in tiles", "overlaps computed twice", {"tile": 256}),
    ("guidance one half after the other", "smaller kernels", {"guidance_mode": "sequential"}),
    (
        "one layer at a time, small tiles",
        "every weight crosses the bus at every use",
        {"offload": "layers", "tile": 64},
    ),
    ("weights in eight bits", "rounding, and a pass over the weights at each use", {"quantisation": "int8"}),
)


def savings(card: Card | str = "rtx3070", seconds: float = 30.0, reference_seconds: float = 15.0) -> list[Saving]:
    """Every row, predicted for `card`: IndexTTS-2 with its released settings, and what is left after each saving."""
    card, recipe = find_card(card), Recipe.named("as-released")
    capability = family(card.compute_capability)
    found = []
    for name, price, held in PUBLIC:
        tracer = Tracer("meta", capability, memory=CALLS)
        public.run_lengths(recipe, seconds, reference_seconds, tracer, held=held)
        found.append(Saving(name, price, MemoryReport.of(tracer.log, card)))
    for name, price, levers in OURS:
        recipe = recipe.replace(**levers)
        tracer = Tracer("meta", capability, memory=CALLS)
        run(recipe, seconds, reference_seconds, tracer)
        found.append(Saving(name, price, MemoryReport.of(tracer.log, card)))
    return found
