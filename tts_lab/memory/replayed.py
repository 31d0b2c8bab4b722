"""What a replay finds: peaks, what was alive, the time line, and whether the card is large enough. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.allocator_state import Statistics
from tts_lab.memory.cards import Card
from tts_lab.memory.profile import Profile

Verdict = Literal["fits", "tight", "out_of_memory"]


@dataclass(frozen=True)
class StagePeak:
    """Highest bytes while a stage ran, with what was held before it. by_category: what the allocated ones were."""

    allocated: int
    reserved: int
    requested: int
    by_category: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Holding:
    """A storage that was alive. bytes: asked for; block: what the allocator took for it."""

    bytes: int
    block: int
    operator: str
    module: str
    stage: str
    category: str


@dataclass(frozen=True)
class Alive:
    """What was alive at the peak of allocated memory; the sums are of blocks, and equal the peak.

    event: index of the event that made the peak (-1: there was none). by_stage, by_module: where a storage was
    allocated. largest: single storages, the largest first.
    """

    event: int
    by_stage: Mapping[str, int]
    by_module: Mapping[str, int]
    by_category: Mapping[str, int]
    largest: tuple[Holding, ...]


@dataclass(frozen=True)
class TimePoint:
    """The highest bytes within a short run of events, of which `event` is the first. by_category: of the allocated."""

    event: int
    stage: str
    allocated: int
    reserved: int
    by_category: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A request that the card could not serve.

    bytes: asked for; short: how many were missing at that moment; text: what PyTorch would print, and the place.
    """

    event: int
    stage: str
    module: str
    operator: str
    bytes: int
    short: int
    text: str


@dataclass(frozen=True)
class Replay:
    """A log run through the allocator of a card.

    Bytes everywhere. peak_requested: without rounding; peak_allocated, peak_reserved: what max_memory_allocated and
    max_memory_reserved of torch.cuda give; needed_reserved: the latter on a card without end.
    context: taken by CUDA beside the allocator; workspace: kept for cuBLAS, within the peaks.
    margin: what the card has beside context and needed_reserved; below zero where it ran out of memory.
    unmodelled: what may come on top, by name, at most; `tight` means that the margin does not cover it, or that the
    allocator had to empty its cache to go on. profile, reserved_after: event by event.
    """

    card: Card
    settings: Settings
    events: int
    peak_requested: int
    peak_allocated: int
    peak_reserved: int
    needed_reserved: int
    stages: Mapping[str, StagePeak]
    alive: Alive
    timeline: tuple[TimePoint, ...]
    statistics: Statistics
    context: int
    workspace: int
    verdict: Verdict
    margin: int
    unmodelled: Mapping[str, int]
    failures: tuple[Failure, ...]
    notes: tuple[str, ...]
    profile: Profile = field(compare=False, repr=False)
    reserved_after: Sequence[int] = field(compare=False, repr=False)

    def held(self, position: int) -> StagePeak:
        """What there was before the event at `position`."""
        kinds = self.profile.at(position - 1)
        reserved = self.reserved_after[position - 1] if 0 < position <= len(self.reserved_after) else 0
        return StagePeak(sum(kinds.values()), reserved, 0, kinds)

    @property
    def fragmentation(self) -> float:
        """Share of the reserved memory that was never in use at one time, 0 to 1."""
        return 1 - self.peak_allocated / self.peak_reserved if self.peak_reserved else 0.0

    @property
    def band(self) -> int:
        """All that may come on top of what is modelled."""
        return sum(self.unmodelled.values())

    @property
    def out_of_memory(self) -> Failure | None:
        """The first request that failed."""
        return self.failures[0] if self.failures else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        skipped = ("card", "settings", "stages", "unmodelled", "alive", "profile", "reserved_after")
        plain = {name: value for name, value in vars(self).items() if name not in skipped}
        plain["statistics"] = asdict(self.statistics)
        for name in ("timeline", "failures"):
            plain[name] = [asdict(each) for each in plain[name]]
        alive = vars(self.alive) | {"largest": [asdict(each) for each in self.alive.largest]}
        return plain | {
            "card": self.card.key,
            "settings": str(self.settings),
            "stages": {name: asdict(peak) for name, peak in self.stages.items()},
            "alive": {name: dict(value) if isinstance(value, Mapping) else value for name, value in alive.items()},
            "unmodelled": dict(self.unmodelled),
            "notes": list(self.notes),
            "fragmentation": self.fragmentation,
            "band": self.band,
        }
