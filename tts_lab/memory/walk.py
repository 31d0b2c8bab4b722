"""One pass of an event log through a simulated allocator."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from tts_lab.errors import LabError
from tts_lab.memory.allocator import Allocator
from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.allocator_state import OutOfMemoryError, Statistics
from tts_lab.memory.blocks import Block
from tts_lab.memory.cards import Card
from tts_lab.memory.events import Event
from tts_lab.memory.replayed import Alive, Failure, Holding, StagePeak

# Operators that call cuBLAS: the first one on a stream makes PyTorch take that stream's workspace, for good.
PRODUCT = re.compile(
    r"^aten\._?(mm|addmm|addmm_activation|bmm|baddbmm|addbmm|mv|addmv|dot|vdot|matmul|linear|int_mm|scaled_mm)_?(\.|$)"
)
LARGEST = 20  # storages that a replay names


@dataclass
class Walk:
    """What happened, event by event, as far as it went.

    allocated, reserved, stage_of: after each event; changes: by how much the event changed the allocated bytes, without
    workspaces: the block that it got or, below zero, gave back; 0 where it failed; workspaces: (event that made cuBLAS
    take one, bytes of its block).
    """

    allocated: list[int] = field(default_factory=list)
    reserved: list[int] = field(default_factory=list)
    stage_of: list[str] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    workspaces: list[tuple[int, int]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    stages: Mapping[str, StagePeak] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=lambda: Allocator(1).statistics())

    @property
    def workspace(self) -> int:
        return sum(size for _, size in self.workspaces)


class _Peaks:
    """Peaks per stage and overall: they start anew at each border, as a meter on a real card does it."""

    def __init__(self, allocator: Allocator) -> None:
        self.allocator, self.stage = allocator, ""
        self.stages: dict[str, StagePeak] = {}
        self.overall = allocator.statistics()

    def enter(self, stage: str) -> None:
        self.close()
        self.allocator.reset_peaks()
        self.stage = stage
        self.stages.setdefault(stage, StagePeak(0, 0, 0))

    def close(self) -> None:
        now = self.allocator.statistics()
        peaks = {f.name for f in fields(now) if f.name.endswith("_peak")}
        self.overall = replace(now, **{name: max(getattr(now, name), getattr(self.overall, name)) for name in peaks})
        if self.stage in self.stages:
            old = self.stages[self.stage]
            self.stages[self.stage] = StagePeak(
                max(old.allocated, now.allocated_peak),
                max(old.reserved, now.reserved_peak),
                max(old.requested, now.requested_peak),
            )


def walk(
    events: Sequence[Event],
    card: Card,
    settings: Settings,
    total: int,
    *,
    flushes: Sequence[int] = (),
    after_failure: bool = False,
    cublas: bool = True,
) -> Walk:
    """Run the events on a card with `total` bytes. flushes: events before which the cache is emptied.

    Raises LabError where the log contradicts itself.
    """
    allocator = Allocator(total, card.context_bytes, settings)
    done, peaks = Walk(), _Peaks(allocator)
    held: dict[int, Block | None] = {}  # by storage; None: its request failed
    streams: set[int] = set()  # that have a workspace
    products: dict[str, bool] = {}
    stage: str | None = None
    emptied = frozenset(flushes)
    for index, event in enumerate(events):
        if index in emptied:
            allocator.empty_cache()
        if event.stage != stage:
            stage = event.stage
            peaks.enter(stage)
        change = 0
        try:
            if event.bytes <= 0:
                change = -_free(allocator, held, event, index)
            else:
                _check_new(held, event, index)
                new = held[event.storage] = allocator.malloc(event.bytes, event.stream)
                change = new.size
                if cublas and event.stream not in streams and _is_product(event.operator, products):
                    size = allocator.malloc(card.cublas_workspace_bytes, event.stream).size
                    done.workspaces.append((index, size))
                    streams.add(event.stream)
        except OutOfMemoryError as error:
            held.setdefault(event.storage, None)
            done.failures.append(_failure(index, event, error))
            if not after_failure:
                break
        done.allocated.append(allocator.allocated)
        done.reserved.append(allocator.device.reserved)
        done.stage_of.append(event.stage)
        done.changes.append(change)
    peaks.close()
    done.stages, done.statistics = peaks.stages, peaks.overall
    return done


def alive_at_peak(events: Sequence[Event], done: Walk) -> Alive:
    """What was alive when the allocated bytes were highest."""
    if not done.allocated:
        return Alive(-1, {}, {}, {}, ())
    peak = done.allocated.index(max(done.allocated))
    held: dict[int, Holding] = {}
    for event, change in zip(events[: peak + 1], done.changes, strict=False):
        if change > 0:
            held[event.storage] = Holding(
                event.bytes, change, event.operator, event.module, event.stage, event.category
            )
        else:
            held.pop(event.storage, None)
    found = list(held.values())
    for index, size in done.workspaces:
        if index <= peak:
            found.append(Holding(size, size, "cuBLAS workspace", "", events[index].stage, "workspace"))
    found.sort(key=lambda each: -each.block)
    return Alive(
        event=peak,
        by_stage=_sums((each.stage, each.block) for each in found),
        by_module=_sums((each.module, each.block) for each in found),
        by_category=_sums((each.category, each.block) for each in found),
        largest=tuple(found[:LARGEST]),
    )


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for name, size in pairs:
        total[name] += size
    return dict(total.most_common())


def _is_product(operator: str, known: dict[str, bool]) -> bool:
    if operator not in known:
        known[operator] = bool(PRODUCT.search(operator))
    return known[operator]


def _check_new(held: dict[int, Block | None], event: Event, index: int) -> None:
    if event.storage in held:
        raise LabError(_damaged(index, f"storage {event.storage} is allocated while it is alive"))


def _free(allocator: Allocator, held: dict[int, Block | None], event: Event, index: int) -> int:
    """Bytes of the block that was given back."""
    if event.storage not in held:
        raise LabError(_damaged(index, f"storage {event.storage} is freed without being alive"))
    block = held.pop(event.storage)
    if block is None:
        return 0
    if block.requested != -event.bytes:
        raise LabError(_damaged(index, f"{-event.bytes} bytes are freed of a storage of {block.requested}"))
    size = block.size
    allocator.free(block)
    return size


def _damaged(index: int, what: str) -> str:
    return f"The event log contradicts itself at event {index}: {what}; trace the run again."


def _failure(index: int, event: Event, error: OutOfMemoryError) -> Failure:
    place = f"[stage {event.stage or 'none'}, module {event.module or 'none'}, operator {event.operator or 'none'}]"
    return Failure(
        event=index,
        stage=event.stage,
        module=event.module,
        operator=event.operator,
        bytes=event.bytes,
        short=error.short,
        text=f"{error} {place}",
    )
