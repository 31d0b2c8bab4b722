"""Every lever alone: what it saves and what it costs, moved from one recipe in one run.

Memory and time are those of the full-size system, predicted for a card. The sound is that of `mini`, spoken on the CPU
with stages lent as a card lends them, against the same recipe with the lever where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tts_lab.experiments.distances import distance, features
from tts_lab.experiments.lent import as_on_a_card
from tts_lab.experiments.vram import REFERENCE_SECONDS, SECONDS, vram
from tts_lab.memory.report import MemoryReport
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.types import Request, Speech

SYSTEM, CARD = "indextts2", "rtx3070"
FULL = Recipe.named("as-released")  # from where the full-size system's levers are moved
SPOKEN = Recipe(steps=8, guidance=1.0, max_chars=24)  # from where mini's are
TEXT = "今天天气真好，我们一起去公园吧！晚上我想吃面条，你呢？"  # two pieces
STAGES = ("speaker", "semantic", "acoustic", "vocoder")
MOVES: tuple[tuple[str, Any], ...] = (
    ("precision", "fp16"), ("precision", "bf16"), ("quantisation", "int8"), ("quantisation", "fp8"),
    ("offload", "voice"), ("offload", "stage"), ("offload", "layers"),
    ("tile", 256), ("tile", 64), ("cache", "static"), ("cache", "int8"), ("beams", 1), ("attention", "math"),
    ("max_chars", 60), ("max_chars", 30), ("guidance_mode", "sequential"), ("guidance_mode", "alternate"),
    ("guidance", 0.0), ("steps", 100), ("steps", 8), ("solver", "midpoint"), ("solver", "heun"), ("solver", "adams"),
    ("schedule", "sway"), ("schedule", "leap"), ("temperature", 0.0), ("checkpointing", True), ("crossfade_ms", 50.0),
    ("vocoder", "small"),
)  # fmt: skip
# What is moved on mini instead, whose pieces are shorter and whose default is another.
ON_MINI = {
    ("tile", 256): ("tile", 64), ("tile", 64): ("tile", 16), ("steps", 8): ("steps", 2), ("steps", 100): ("steps", 32),
    ("max_chars", 60): ("max_chars", 12), ("max_chars", 30): ("max_chars", 10),
    ("cache", "static"): ("cache", "growing"),
    ("beams", 1): ("beams", 2),
    ("schedule", "sway"): ("schedule", "uniform"), ("schedule", "leap"): ("schedule", "sway"),
}  # fmt: skip


@dataclass(frozen=True)
class Moved:
    """One lever, moved. Bytes and seconds of the whole request; stages: allocated peak of each, bytes.

    sound: None where mini has no such lever, else how far its sound is from that with the lever where it was.
    """

    lever: str
    before: Any
    value: Any
    allocated: int
    reserved: int
    seconds: float
    stages: dict[str, int]
    sound: Sound | None = None


@dataclass(frozen=True)
class Sound:
    """Of mini's sound. change: the move that was made there, in words; equal: bit for bit.

    cepstral: mel-cepstral distance in dB, over warped frames where lengths differ; f0_cents: root mean square error of
    the fundamental frequency.
    """

    change: str
    equal: bool
    cepstral: float | None
    f0_cents: float | None


def lever_table(
    card: str = CARD, seconds: float = SECONDS, reference_seconds: float = REFERENCE_SECONDS, *, listen: bool = True,
    moves: Sequence[tuple[str, Any]] = MOVES, watched: Callable[[Sequence[tuple[str, Any]]], Any] = iter,
) -> tuple[Moved, ...]:  # fmt: skip
    """The recipe that levers are moved from (lever "", first), then each of `moves`. listen: also what mini says.

    watched: wraps the moves, for a progress bar. Raises LabError for a card that is unknown.
    """
    voice = _Voice() if listen else None
    first = _moved("", None, None, FULL, card, seconds, reference_seconds, None)
    return (first, *_rows(voice, card, seconds, reference_seconds, watched(moves)))


def _rows(voice: _Voice | None, card: str, seconds: float, reference: float, moves: Any) -> Iterator[Moved]:
    for lever, value in moves:
        sound = voice.sound(*ON_MINI.get((lever, value), (lever, value))) if voice else None
        recipe = FULL.replace(**{lever: value})
        yield _moved(lever, getattr(FULL, lever), value, recipe, card, seconds, reference, sound)


def _moved(
    lever: str, before: Any, value: Any, recipe: Recipe, card: str, seconds: float, reference: float,
    sound: Sound | None,
) -> Moved:  # fmt: skip
    report: MemoryReport = vram(SYSTEM, card, recipe, seconds, reference)
    estimated = report.estimate.seconds if report.estimate else 0.0
    stages = {stage.name: stage.peak_allocated for stage in report.stages if stage.name in STAGES}
    return Moved(lever, before, value, report.peak_allocated, report.peak_reserved, estimated, stages, sound)


class _Voice:
    """mini, with its stages lent."""

    def __init__(self) -> None:
        self.system: Any = as_on_a_card(load_system("mini", "cpu"))
        self.said = self._say(SPOKEN)
        self.found = features(self.said.samples, self.said.sample_rate)

    def _say(self, recipe: Recipe) -> Speech:
        return say(self.system, Request(TEXT, seed=7), recipe)

    def sound(self, lever: str, value: Any) -> Sound | None:
        recipe, before = SPOKEN.replace(**{lever: value}), getattr(SPOKEN, lever)
        if self.system.notes(recipe):  # that mini has no such lever
            return None
        said = self._say(recipe)
        same = said.samples.shape == self.said.samples.shape and bool((said.samples == self.said.samples).all())
        apart = distance(features(said.samples, said.sample_rate), self.found)
        return Sound(f"{lever} {before} -> {value}", same, apart.mel_cepstral, apart.f0_cents)
