"""Jobs that predict: the memory of a request on a card, and the recipe that fits one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_lab.audio.files import open_sound
from tts_lab.experiments.fitting import REFERENCE_SECONDS
from tts_lab.experiments.plan_result import Plan
from tts_lab.experiments.planner import plan, speech_seconds
from tts_lab.experiments.vram import vram
from tts_lab.memory.allocator_state import format_size
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import Recipe
from tts_lab.show.memory_bar import in_words, memory_bar
from tts_lab.show.plots import save
from tts_lab.web.asking import Asked
from tts_lab.web.jobs import Job


@dataclass(frozen=True)
class Predicted:
    """sentence: the verdict; picture: a file in the job's folder; facts: the same as plain data."""

    sentence: str
    picture: Path
    facts: dict[str, Any]


def predict(job: Job[Any], asked: Asked, recipe: Recipe, folder: Path) -> Predicted:
    """What the request needs of the card, by trace and replay: no card and no weights are touched.

    Raises LabError for a card or a length that cannot be, StoppedError.
    """
    job.tell(f"Predicting the memory on {asked.for_card().name} …")
    seconds, clip = speech_seconds(asked.text), clip_seconds(asked.reference)
    report = vram(asked.system, asked.for_card(), recipe, seconds, clip)
    job.tell("Drawing …")
    save(memory_bar(report), folder / "memory.png")
    return Predicted(verdict(report), folder / "memory.png", facts(report, seconds))


def clip_seconds(clip: Path | None) -> float:
    """Length of the clip that a system listens to, in whole seconds: a longer one is cut. No clip: the longest."""
    if clip is None:
        return REFERENCE_SECONDS
    with open_sound(clip) as file:
        return float(min(REFERENCE_SECONDS, max(1, math.ceil(file.frames / file.samplerate))))


def planned(job: Job[Any], asked: Asked, quality: str | None) -> Plan:
    """The fastest recipe that fits the card. Raises LabError for what cannot be planned, StoppedError."""
    job.tell(f"Planning for {asked.for_card().name}; the first time this takes up to some minutes …")
    return plan(
        asked.system, asked.for_card(), text=asked.text, reference_seconds=clip_seconds(asked.reference),
        quality=quality or None,
    )  # fmt: skip


def verdict(report: MemoryReport) -> str:
    """The verdict in a sentence or two; where memory runs out, with the place, in words that need no PyTorch."""
    if report.failure is None:
        return report.sentence
    missing, stage = format_size(-report.margin), report.failure.stage or "run"
    return (
        f"Out of memory: {in_words(report)} {missing} are missing, and the {stage} would be the first to notice. "
        "Choose a smaller recipe, or let the lab plan one for the card."
    )


def facts(report: MemoryReport, seconds: float) -> dict[str, Any]:
    """The report in a few figures; bytes, and seconds of speech."""
    return {
        "verdict": report.verdict, "system": report.system, "recipe": report.recipe, "card": report.card.name,
        "source": report.source, "speech_seconds": seconds, "card_total_bytes": report.card.total_bytes,
        "context_bytes": report.context, "peak_reserved_bytes": report.peak_reserved,
        "peak_allocated_bytes": report.peak_allocated, "margin_bytes": report.margin, "unmodelled_bytes": report.band,
        "notes": list(report.notes),
    }  # fmt: skip
