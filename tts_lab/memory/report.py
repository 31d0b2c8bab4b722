"""The report: what a run needs of a card, predicted from an event log or measured on the card. One type for both."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.allocator_state import format_size
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.floor import Floor, streaming_floor
from tts_lab.memory.frames import Frames
from tts_lab.memory.holders import Holder, holders
from tts_lab.memory.replay import ENDLESS, replay
from tts_lab.memory.replayed import Alive, Failure, TimePoint, Verdict
from tts_lab.memory.roofline import Estimate, estimate, estimate_stages
from tts_lab.memory.schedule import overlapped
from tts_lab.memory.summary import summary_html

if TYPE_CHECKING:
    from tts_lab.memory.replayed import Replay

Source = Literal["predicted", "measured"]
BETWEEN, WHOLE = "between stages", "whole run"
NOBODY = Alive(-1, {}, {}, {}, ())


@dataclass(frozen=True)
class StageReport:
    """One stage. Bytes at its own peaks, with what was held before it.

    by_category: what the allocated ones were (empty where measured). floor: least bytes if weights were streamed.
    seconds: estimated where the report is predicted, else measured.
    """

    name: str
    peak_allocated: int
    peak_reserved: int
    by_category: Mapping[str, int] = field(default_factory=dict)
    floor: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class MemoryReport(Frames):
    """What a run needs of a card, in bytes.

    source: "predicted" from a trace, or "measured" on a card. peak_allocated, peak_reserved: as torch.cuda's
    max_memory_allocated and max_memory_reserved count them; where the card is too small, what the run would need on one
    that is not. context: taken by CUDA beside them. margin: what the card has left; below zero: what is missing.
    unmodelled: what may come on top by name, at most. failure: the request at which the run ends. floor: with streamed
    weights. holders: modules by what they hold. alive: what there was at the peak. estimate: of the time it takes, one
    thing after the other; overlapped: seconds with copies beside the computing, where layers are streamed so.
    about: system, recipe, lengths, versions.
    """

    source: Source
    card: Card
    verdict: Verdict
    peak_allocated: int
    peak_reserved: int
    context: int
    margin: int
    stages: tuple[StageReport, ...]
    unmodelled: Mapping[str, int] = field(default_factory=dict)
    workspace: int = 0
    peak_requested: int = 0
    floor: Floor | None = None
    failure: Failure | None = None
    alive: Alive = NOBODY
    holders: tuple[Holder, ...] = ()
    timeline: tuple[TimePoint, ...] = ()
    estimate: Estimate | None = None
    notes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    trace_seconds: float | None = None
    replay_seconds: float | None = None
    overlapped: float | None = None

    @classmethod
    def of(cls, log: EventLog, card: Card | str, settings: Settings | None = None, *, depth: int = 2) -> MemoryReport:
        """What the traced run needs of a card. depth: parts of a module's path that `holders` tells apart.

        Raises LabError where the card is unknown or the log damaged.
        """
        card, start = find_card(card), time.perf_counter()
        done = replay(log, card, settings)
        roomy = replay(log, dataclasses.replace(card, total_bytes=ENDLESS), settings) if done.failures else done
        seconds = time.perf_counter() - start
        floor, notes = streaming_floor(log), (*done.notes, *log.meta.get("notes", ()))
        return cls(
            "predicted", card, done.verdict, roomy.peak_allocated, roomy.peak_reserved, done.context, done.margin,
            _stages(log, roomy, floor, card), done.unmodelled, done.workspace, roomy.peak_requested, floor,
            done.out_of_memory, roomy.alive, holders(log, depth), roomy.timeline, estimate(log.work, card), notes,
            log.meta, log.meta.get("seconds"), round(seconds, 4), overlapped(log, card),
        )  # fmt: skip

    @property
    def system(self) -> str:
        return str(self.about.get("system", ""))

    @property
    def recipe(self) -> str:
        return str(self.about.get("recipe_name", ""))

    @property
    def band(self) -> int:
        """All that may come on top of what is modelled."""
        return sum(self.unmodelled.values())

    @property
    def fragmentation(self) -> float:
        """Share of the reserved memory that was never in use at one time, 0 to 1."""
        return 1 - self.peak_allocated / self.peak_reserved if self.peak_reserved else 0.0

    @property
    def sentence(self) -> str:
        """The verdict in words; where memory runs out, the sentence that PyTorch would print and its place."""
        needs = f"{format_size(self.peak_reserved)} and {format_size(self.context)} for CUDA itself"
        of = f"the {format_size(self.card.total_bytes)} of {self.card.name}"
        if self.failure:
            return self.failure.text
        rest = f"{format_size(self.margin)} are left"
        band = f"up to {format_size(self.band)} more may be taken by what is not modelled"
        if self.verdict == "fits":
            return f"Fits: {needs}, of {of}; {rest}, and {band}."
        if self.source == "predicted" and self.margin < self.band:
            return f"Tight: {needs}, of {of}; only {rest}, while {band}."
        return f"Tight: {needs}, of {of}; {rest}, but the allocator had to empty its cache to go on."

    def to_dict(self) -> dict[str, Any]:
        """Everything but the time line, as plain JSON values."""
        return {
            "system": self.system, "recipe": self.recipe, "card": self.card.key, "source": self.source,
            "verdict": self.verdict, "sentence": self.sentence, "margin_bytes": self.margin,
            "peak_allocated_bytes": self.peak_allocated, "peak_reserved_bytes": self.peak_reserved,
            "peak_requested_bytes": self.peak_requested, "context_bytes": self.context,
            "card_total_bytes": self.card.total_bytes, "cublas_workspace_bytes": self.workspace,
            "unmodelled_bytes": dict(self.unmodelled), "fragmentation": round(self.fragmentation, 6),
            "streaming_floor_bytes": self.floor.bytes if self.floor else None,
            "double_buffered_floor_bytes": self.floor.double_buffered if self.floor else None,
            "seconds_estimated": self.estimate.seconds if self.estimate else None,
            "seconds_overlapped": self.overlapped,
            "seconds_bound_by": dict(self.estimate.bound_by) if self.estimate else {},
            "trace_seconds": self.trace_seconds, "replay_seconds": self.replay_seconds,
            "operators": self.about.get("operators"), "stages": {s.name: _plain(s, self.source) for s in self.stages},
            "alive_at_peak": {"by_category": dict(self.alive.by_category), "by_stage": dict(self.alive.by_stage),
                              "largest": [asdict(each) for each in self.alive.largest]},
            "modules": [asdict(each) for each in self.holders],
            "out_of_memory": asdict(self.failure) if self.failure else None,
            "notes": list(self.notes), "about": dict(self.about),
        }  # fmt: skip

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __repr__(self) -> str:
        return f"MemoryReport({self.source}, {self.verdict}: {self.sentence})"

    def _repr_html_(self) -> str:
        return summary_html(self)


def _stages(log: EventLog, done: Replay, floor: Floor, card: Card) -> tuple[StageReport, ...]:
    """The stages in the order in which they began, then what was done between them."""
    times = estimate_stages(log.work, card)
    found = []
    for name, position in _began(log).items():
        peak = done.stages.get(name) or done.held(position)  # where nothing was allocated, it held what it held before
        seconds = times[name].seconds if name in times else 0.0
        shown = name or (BETWEEN if log.markers else WHOLE)
        found.append(
            StageReport(shown, peak.allocated, peak.reserved, peak.by_category, floor.stages.get(name), seconds)
        )
    return tuple(found)


def _began(log: EventLog) -> dict[str, int]:
    """Stages by the event before which they first began; "" for what has none, where there is any."""
    found: dict[str, int] = {}
    for marker in log.markers:
        if marker.begins:
            found.setdefault(marker.stage, marker.position)
    if not found or any(work.stage == "" for work in log.work):
        found[""] = 0
    return found


def _plain(stage: StageReport, source: Source) -> dict[str, Any]:
    seconds = "seconds_estimated" if source == "predicted" else "seconds_measured"
    return {
        "peak_allocated_bytes": stage.peak_allocated, "peak_reserved_bytes": stage.peak_reserved,
        "streaming_floor_bytes": stage.floor, seconds: stage.seconds, "by_category": dict(stage.by_category),
    }  # fmt: skip
