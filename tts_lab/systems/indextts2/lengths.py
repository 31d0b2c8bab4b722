"""IndexTTS-2 with explicit lengths and random weights: what a study of memory or time runs.

Axes: n text tokens, c semantic codes (50 a second), p frames of the reference's mel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tts_lab.audio.mel import MEL_22K_FULL
from tts_lab.errors import LabError
from tts_lab.levers.residency import Residency
from tts_lab.loops import alike
from tts_lab.memory.meter import DeviceMeter
from tts_lab.pipeline import speak
from tts_lab.recipe import Recipe
from tts_lab.systems.indextts2.features import FILTERS, POSITIONS_PER_SECOND
from tts_lab.systems.indextts2.hearing import MOST_SECONDS, Heard
from tts_lab.systems.indextts2.parts import AllSizes, Parts
from tts_lab.systems.indextts2.stages import MOST_TOKENS, RANDOM_NOTE, IndexTTS2
from tts_lab.systems.indextts2.writing import MOST_CODES
from tts_lab.types import Chunk, Request

CODES_PER_SECOND = 50
CODES_PER_TOKEN = 11  # Mandarin at 4.5 syllables a second, pauses included; a token is about a syllable
BANK_PER_SECOND = 100


@dataclass(frozen=True)
class Lengths:
    """Pieces of the speech as (n text tokens, c codes), and the seconds of the reference clip.

    Raises LabError where one cannot be.
    """

    pieces: tuple[tuple[int, int], ...]
    reference_seconds: float = 15.0

    def __post_init__(self) -> None:
        if not self.pieces:
            raise LabError("IndexTTS-2 needs explicit lengths here: give at least one piece as (tokens, codes).")
        for piece in self.pieces:
            if len(piece) != 2 or not all(isinstance(x, int) and x > 0 for x in piece):
                raise LabError(f"A piece is (text tokens, semantic codes), both at least 1, not {piece!r}.")
            if piece[0] > MOST_TOKENS or piece[1] > MOST_CODES:
                raise LabError(
                    f"A piece of {piece[0]} tokens and {piece[1]} codes is too long: {MOST_TOKENS} and {MOST_CODES} "
                    "are the most."
                )

    @classmethod
    def of(cls, seconds: float, reference_seconds: float, recipe: Recipe) -> Lengths:
        """Speech of `seconds` in the fewest pieces that the recipe's max_chars allows, all as long as can be.

        A clip of more than 15 s is cut to that, as for a real request.
        """
        codes = math.ceil(seconds * CODES_PER_SECOND)
        longest = min(MOST_CODES, CODES_PER_TOKEN * min(MOST_TOKENS, recipe.max_chars))
        count = math.ceil(codes / longest)
        each = math.ceil(codes / count)
        piece = (min(MOST_TOKENS, max(1, round(each / CODES_PER_TOKEN))), each)
        return cls((piece,) * count, min(reference_seconds, MOST_SECONDS))


class MeasuredIndexTTS2(IndexTTS2):
    """`IndexTTS2` whose clip, text and codes have the lengths that it is told. Build it before the meter begins."""

    def __init__(self, meter: DeviceMeter, parts: Parts, lengths: Lengths) -> None:
        super().__init__(parts, meter.device, {"made-up": (None, "no voice: lengths only")})
        self.lengths = lengths
        self._settle(meter)

    def _settle(self, meter: DeviceMeter) -> None:
        """Say where the networks are: in the computer's memory, from where copies are lent."""
        for module in self._modules.values():
            meter.host(module)
        names = {module: name for name, module in self._modules.items()}
        # A run on the CPU that is traced lends copies too, and so does what a card does.
        self.home = Residency(
            meter.device, lends=True, on_copy=lambda of, new, path: meter.place(new, f"{names[of]}.{path}".strip("."))
        )  # fmt: skip

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        """A piece for each pair of lengths. Pieces as long as each other are all alike."""
        pieces = self.lengths.pieces
        for i in alike(len(pieces)) if len(set(pieces)) == 1 else range(len(pieces)):
            yield Chunk("", i, request.seed + i, request.speed, ("一",) * pieces[i][0])

    def _hear(self, path: Any) -> Heard:
        seconds = self.lengths.reference_seconds
        frames = round(seconds * MEL_22K_FULL.sample_rate / MEL_22K_FULL.hop_length)
        return Heard(
            self._made(1, round(seconds * POSITIONS_PER_SECOND), FILTERS),
            self._made(1, round(seconds * BANK_PER_SECOND), 80),
            self._made(1, self.parts.s2mel.dit.sizes.mels, frames),
        )

    def _made(self, *shape: int) -> Tensor:
        """Noise in the computer's memory."""
        return torch.randn(shape, generator=torch.Generator().manual_seed(0))

    def _length(self, chunk: Chunk, tokens: int, longest: int) -> int | None:
        return self.lengths.pieces[chunk.index][1]


def run(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter,
        sizes: AllSizes | None = None) -> tuple[str, ...]:  # fmt: skip
    """Speech of `seconds` in the voice of a clip under a meter, for `tts_lab.systems.run_lengths`. Returns notes."""
    return run_pieces(recipe, Lengths.of(seconds, reference_seconds, recipe), meter, sizes)


def run_pieces(recipe: Recipe, lengths: Lengths, meter: DeviceMeter, sizes: AllSizes | None = None) -> tuple[str, ...]:
    """A whole request of given lengths under a meter. sizes: the released ones if None."""
    parts = _sizes_only(sizes) if meter.device == "meta" else Parts.build(sizes, "cpu")
    system = MeasuredIndexTTS2(meter, parts, lengths)
    with meter:
        for wave in speak(system, Request("。"), recipe, meter):
            wave.samples.cpu()
        del wave
    return (RANDOM_NOTE,)


@lru_cache(maxsize=2)
def _sizes_only(sizes: AllSizes | None) -> Parts:
    """Networks without weights, which no run changes: kept for the next trace."""
    return Parts.build(sizes, "meta")
