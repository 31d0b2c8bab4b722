"""Sambert-HiFiGAN with explicit lengths and random weights: what a study of memory or time runs.

Axes: n linguistic units (phones and breaks), t mel frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from tts_lab.errors import LabError
from tts_lab.levers.residency import Residency
from tts_lab.loops import alike
from tts_lab.memory.meter import DeviceMeter
from tts_lab.pipeline import speak
from tts_lab.recipe import Recipe
from tts_lab.systems.sambert.acoustic import Units
from tts_lab.systems.sambert.adaptor import Prosody
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.pieces import MAX_UNITS, SENTENCE_PAUSE
from tts_lab.systems.sambert.stages import RANDOM_NOTE, SambertHiFiGAN, as_semantic
from tts_lab.systems.sambert.voice_parts import VoiceParts
from tts_lab.types import Chunk, Prompt, Request, Semantic

SYLLABLES_PER_SECOND = 4.5  # Mandarin, pauses included
UNITS_PER_SYLLABLE = 2.6  # two phones, and a break after every word or two
LONGEST_UNIT = 26  # mel frames, 0.3 s: what the band of attention follows
REFERENCE_NOTE = "sambert hears no reference clip: its length does not matter."


@dataclass(frozen=True)
class Lengths:
    """Pieces of the speech as (n units, t mel frames). Raises LabError where one cannot be."""

    pieces: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise LabError("Sambert needs explicit lengths here: give at least one piece as (units, mel frames).")
        for piece in self.pieces:
            if len(piece) != 2 or not all(isinstance(x, int) for x in piece) or not 1 <= piece[0] <= piece[1]:
                raise LabError(f"A piece is (units, mel frames) with at least a frame for each unit, not {piece!r}.")

    @classmethod
    def of(cls, seconds: float, recipe: Recipe, frames_per_second: float = 80.0) -> Lengths:
        """Speech of `seconds` in the fewest pieces that the recipe's max_chars allows, all as long as can be."""
        per_unit = frames_per_second / (SYLLABLES_PER_SECOND * UNITS_PER_SYLLABLE)
        frames = math.ceil(seconds * frames_per_second)
        longest = math.ceil(min(MAX_UNITS, recipe.max_chars * UNITS_PER_SYLLABLE) * per_unit)
        count = math.ceil(frames / longest)
        each = math.ceil(frames / count)
        return cls(((min(each, max(1, round(each / per_unit))), each),) * count)

    @classmethod
    def whole(cls, seconds: float, frames_per_second: float = 80.0) -> Lengths:
        """The same in one piece, as a text without an end of a sentence."""
        frames = math.ceil(seconds * frames_per_second)
        per_unit = frames_per_second / (SYLLABLES_PER_SECOND * UNITS_PER_SYLLABLE)
        return cls(((min(frames, max(1, round(frames / per_unit))), frames),))


def durations(units: int, frames: int) -> tuple[int, ...]:
    """Mel frames of each unit: a long one first where there is room, the others as equal as can be."""
    first = min(LONGEST_UNIT, frames - units + 1)
    if units == 1:
        return (frames,)
    ends = [(frames - first) * i // (units - 1) for i in range(units)]
    return (first, *(b - a for a, b in pairwise(ends)))


class MeasuredSambert(SambertHiFiGAN):
    """`SambertHiFiGAN` whose pieces have the lengths that it is told. Build it before the meter begins."""

    def __init__(self, meter: DeviceMeter, parts: VoiceParts, lengths: Lengths) -> None:
        super().__init__({"random": lambda: parts}, meter.device)
        self.lengths = lengths
        self._settle(meter)

    def _settle(self, meter: DeviceMeter) -> None:
        """Say where the networks are: in the computer's memory, from where copies are lent."""
        names = {module: name for name, module in self.parts("random").modules().items()}
        for module in names:
            meter.host(module)
        # A run on the CPU that is traced lends copies too, and so does what a card does.
        self.home = Residency(
            meter.device, lends=True, on_copy=lambda of, new, path: meter.place(new, f"{names[of]}.{path}".strip("."))
        )  # fmt: skip

    def speaker(self, request: Request, recipe: Recipe) -> Prompt:
        return Prompt("random", torch.zeros(1, 1), {"voice": "random"})

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        """A piece for each pair of lengths. Pieces as long as each other are all alike."""
        pieces = self.lengths.pieces
        for i in alike(len(pieces)) if len(set(pieces)) == 1 else range(len(pieces)):
            yield Chunk("", i, request.seed + i, request.speed, pause=SENTENCE_PAUSE)

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic:
        """As the parent, with units that mean nothing and durations that are given."""
        n, t = self.lengths.pieces[chunk.index]
        with self._use("random", "sambert", recipe) as model:
            prosody = self._prosody(model, self._made_up(n))
            plan = Plan.of(prosody, model.config.outputs_per_step, (durations(n, t),))
        return as_semantic(chunk, ("a_c",) * n, plan, prosody)

    def _prosody(self, model: Any, units: Units) -> Prosody:
        prosody: Prosody = model.prosody(units)
        return prosody

    def _made_up(self, n: int) -> Units:
        parts = self.parts("random")
        units = Units.of([(1, 1, 1, 1)] * n, [1] * n, [0] * n, self.device)
        if parts.embedding is None:
            return units
        return Units(units.ling, units.emotion, parts.embedding[None].expand(1, n, -1).to(self.device))


def run(recipe: Recipe, seconds: float, meter: DeviceMeter) -> tuple[str, ...]:
    """Speech of `seconds` under a meter, for `tts_lab.systems.run_lengths`. Returns notes."""
    return run_pieces(recipe, Lengths.of(seconds, recipe), meter)


def run_pieces(recipe: Recipe, lengths: Lengths, meter: DeviceMeter, parts: VoiceParts | None = None,
               system: type[MeasuredSambert] = MeasuredSambert) -> tuple[str, ...]:  # fmt: skip
    """A whole request of given lengths under a meter. parts: at the released sizes if None."""
    parts = parts or VoiceParts.build(device="meta" if meter.device == "meta" else "cpu")
    measured = system(meter, parts, lengths)
    with meter:
        for wave in speak(measured, Request("。"), recipe, meter):
            wave.samples.cpu()
        del wave
    return (RANDOM_NOTE, REFERENCE_NOTE, *(note for note in measured.notes(recipe) if note != RANDOM_NOTE))
