"""`mini` with explicit lengths: what a trace of memory runs, because on the meta device no text becomes a duration.

Axes: b batch (1), n phones, t mel frames, v voices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import nn

from tts_lab.audio.mel import MEL_22K
from tts_lab.errors import LabError
from tts_lab.levers.residency import Residency
from tts_lab.loops import alike
from tts_lab.memory.events import EventLog
from tts_lab.memory.meter import DeviceMeter
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.hifigan import HiFiGAN, HiFiGANSizes
from tts_lab.nn.source_filter import SourceFilter, SourceFilterSizes
from tts_lab.pipeline import speak
from tts_lab.recipe import Recipe
from tts_lab.systems.mini.checkpoint import MiniModel, Voice
from tts_lab.systems.mini.codes import DURATIONS
from tts_lab.systems.mini.config import MiniConfig
from tts_lab.systems.mini.semantic import TAUGHT_PHONES
from tts_lab.systems.mini.stages import TAUGHT_CHARS, Mini
from tts_lab.types import Chunk, Prompt, Request, Semantic

FRAMES_PER_PHONE = (
    6.18  # mean of the speech that mini was taught with: 372,181 frames for 60,253 phones, pauses included
)
REFERENCE_NOTE = "mini listens to a reference clip in the computer's memory: its length does not matter to the card."
VOICES = ("a", "b", "c", "d")  # their number matters for the size, their names do not


@dataclass(frozen=True)
class Lengths:
    """Lengths of the pieces of one request: for each (n phones, t mel frames). Raises LabError where one cannot be."""

    pieces: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.pieces:
            raise LabError("A trace of mini needs explicit lengths: give at least one piece as (phones, mel frames).")
        for piece in self.pieces:
            if len(piece) != 2 or not all(isinstance(x, int) for x in piece) or not 1 <= piece[0] <= piece[1]:
                raise LabError(f"A piece is (phones, mel frames) with at least a frame for each phone, not {piece!r}.")
            if piece[1] > piece[0] * (DURATIONS - 1):
                raise LabError(f"A phone of mini lasts {DURATIONS - 1} frames at most, so {piece!r} cannot be spoken.")

    @classmethod
    def of(cls, seconds: float, recipe: Recipe) -> Lengths:
        """Lengths of speech of `seconds` at the pace that mini was taught: the fewest pieces, all as long.

        A piece has at most as many phones as the longest taught sentence, fewer if the recipe's max_chars asks for it.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise LabError(f"The length of the speech must be a number of seconds above 0, but is {seconds!r}.")
        frames = math.ceil(seconds * MEL_22K.sample_rate / MEL_22K.hop_length)
        longest = math.ceil(TAUGHT_PHONES * min(recipe.max_chars, TAUGHT_CHARS) / TAUGHT_CHARS * FRAMES_PER_PHONE)
        count = math.ceil(frames / longest)
        each = math.ceil(frames / count)
        return cls(((max(1, round(each / FRAMES_PER_PHONE)), each),) * count)


@dataclass(frozen=True)
class VocoderSizes:
    """Of the two vocoders that the lever `vocoder` chooses between; as bundled by default."""

    small: SourceFilterSizes = field(default_factory=SourceFilterSizes)
    universal: HiFiGANSizes = field(default_factory=HiFiGANSizes)


class MeasuredMini(Mini):
    """`Mini` made of sizes alone, whose pieces have the lengths that it is told. Build it before the meter begins.

    As on a card, the trained originals wait in the computer's memory, the speaker stage runs there, and the stages that
    run on the card get copies.
    """

    def __init__(self, meter: DeviceMeter, config: MiniConfig, lengths: Lengths, sizes: VocoderSizes) -> None:
        with torch.device("meta" if meter.device == "meta" else "cpu"):
            model, small, universal = MiniModel(config), SourceFilter(sizes.small), HiFiGAN(sizes.universal)
        for original in (model, small, universal):
            original.eval().requires_grad_(False)
            meter.host(original)
        voices = tuple(Voice(name, "", "") for name in config.voices)
        super().__init__(model, small, universal, voices, meter.device)
        self.lengths = lengths
        names: dict[nn.Module, str] = {
            model.semantic: "semantic", model.acoustic: "acoustic", small: "vocoder", universal: "vocoder",
        }  # fmt: skip
        # A run on the CPU that is traced lends copies too, and so does what a card does.
        self.home = Residency(
            meter.device, lends=True, on_copy=lambda of, new, path: meter.place(new, f"{names[of]}.{path}".strip("."))
        )

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        """A piece for each pair of lengths. Pieces as long as each other are all alike."""
        pieces = self.lengths.pieces
        for i in alike(len(pieces)) if len(set(pieces)) == 1 else range(len(pieces)):
            yield Chunk("", i, request.seed + i, request.speed)

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic:
        """As `Mini.semantic`, with phones that mean nothing and durations that are given."""
        n, t = self.lengths.pieces[chunk.index]
        codes = {name: torch.ones((1, n), dtype=torch.long) for name in ("symbol", "tone", "place", "syllable")}
        _, pitch = self._write(codes, chunk, prompt, recipe)
        return Semantic(chunk, ("",) * n, _spread(t, n), t, codes | {"pitch": pitch.cpu()})


def _spread(total: int, parts: int) -> tuple[int, ...]:
    """Whole numbers as equal as can be, with the given sum."""
    ends = [total * i // parts for i in range(parts + 1)]
    return tuple(b - a for a, b in pairwise(ends))


def run_mini(recipe: Recipe, lengths: Lengths | Sequence[tuple[int, int]], meter: DeviceMeter,
             config: MiniConfig | None = None, sizes: VocoderSizes | None = None) -> None:  # fmt: skip
    """A whole request under a meter: all four stages of the spine as they run on a card, with random weights.

    meter: a tracer on meta or on the CPU, or the meter of a real card. config, sizes: of the models and the vocoders;
    as bundled if None. Raises LabError where the lengths cannot be.
    """
    lengths = lengths if isinstance(lengths, Lengths) else Lengths(tuple(lengths))
    system = MeasuredMini(meter, config or MiniConfig(voices=VOICES), lengths, sizes or VocoderSizes())
    with meter:
        for wave in speak(system, Request("。"), recipe, meter):
            wave.samples.cpu()
        del wave


def trace_mini(recipe: Recipe, lengths: Lengths | Sequence[tuple[int, int]], tracer: Tracer | None = None,
               config: MiniConfig | None = None, sizes: VocoderSizes | None = None) -> EventLog:  # fmt: skip
    """The event log of `run_mini`. tracer: on meta if None; on the CPU it is the oracle."""
    tracer = tracer or Tracer()
    lengths = lengths if isinstance(lengths, Lengths) else Lengths(tuple(lengths))
    run_mini(recipe, lengths, tracer, config, sizes)
    tracer.log.meta.update(system="mini", recipe=recipe.to_dict(), lengths=[list(p) for p in lengths.pieces])
    return tracer.log
