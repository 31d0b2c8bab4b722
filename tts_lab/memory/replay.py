"""Replay: event log + card + allocator settings -> what the run needs. A pure function in plain Python.

One trace answers every card, budget and setting. The cost is linear in the number of events.
"""

from __future__ import annotations

import dataclasses
import gc
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np

from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.cards import EAGER_CONTEXT_BYTES, Card
from tts_lab.memory.events import Event, EventLog
from tts_lab.memory.profile import Profile
from tts_lab.memory.replayed import Alive, Replay, StagePeak, TimePoint, Verdict
from tts_lab.memory.walk import Walk, alive_at_peak, walk

ENDLESS = 1 << 50  # bytes of a card that no log fills
TIMELINE_POINTS = 1000
CONVOLUTION = re.compile(r"convolution|conv_?(transpose)?\d?d|conv_tbc")


def replay(
    log: EventLog | Iterable[Event],
    card: Card,
    settings: Settings | None = None,
    *,
    after_failure: bool = False,
    cublas: bool = True,
    points: int = TIMELINE_POINTS,
) -> Replay:
    """What the run in `log` does to the memory of `card`.

    after_failure: go on after a request that the card cannot serve, as a program would that catches the error; else
    the replay ends there, as a run does. cublas: count its workspace. points: of the time line, at most.
    Raises LabError where the log is damaged.
    """
    with _collector_off():
        return _replay(log, card, settings or Settings(), after_failure, cublas, points)


@contextmanager
def _collector_off() -> Iterator[None]:
    """Python's collector would look through every block that was made, again and again: half of the time at worst."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _replay(
    log: EventLog | Iterable[Event], card: Card, settings: Settings, after_failure: bool, cublas: bool, points: int
) -> Replay:
    events = list(log)
    run = partial(walk, events, card, settings, flushes=_flushes(log), cublas=cublas)
    done = run(card.total_bytes, after_failure=after_failure)
    endless = run(ENDLESS) if done.failures else done
    return _replayed(events, done, endless, card, settings, _Told.of(events, done, points))


def replay_cards(
    log: EventLog | Iterable[Event],
    cards: Iterable[Card],
    settings: Settings | None = None,
    *,
    points: int = TIMELINE_POINTS,
) -> list[Replay]:
    """`replay` for each card: the same results in less time.

    As long as memory is left, every card's allocator does the same, so one walk on a card without end serves all that
    are large enough for it.
    """
    settings, events = settings or Settings(), list(log)
    shared: dict[int, tuple[Walk, _Told]] = {}  # by all that the allocator sees of a card that is large enough
    flushes, found = _flushes(log), []
    for card in cards:
        key = card.cublas_workspace_bytes
        if key not in shared:
            done = walk(events, card, settings, ENDLESS, flushes=flushes)
            shared[key] = done, _Told.of(events, done, points)
        endless, told = shared[key]
        done = endless
        if not _same_on(card, endless, settings):
            done = walk(events, card, settings, card.total_bytes, flushes=flushes)
            told = _Told.of(events, done, points)
        found.append(_replayed(events, done, endless, card, settings, told))
    return found


@dataclass(frozen=True)
class _Told:
    """What a walk tells whatever the card is called: found once for all cards that share it."""

    profile: Profile
    stages: Mapping[str, StagePeak]
    alive: Alive
    timeline: tuple[TimePoint, ...]
    convolution: int  # bytes of the largest result of a convolution

    @classmethod
    def of(cls, events: Sequence[Event], done: Walk, points: int) -> _Told:
        profile = Profile.of(events, done.changes, done.workspaces)
        alive, timeline = alive_at_peak(events, done), _timeline(done, profile, points)
        return cls(profile, _stages(done, profile), alive, timeline, _largest_convolution(events))


def _flushes(log: EventLog | Iterable[Event]) -> Sequence[int]:
    return log.flushes if isinstance(log, EventLog) else ()


def _same_on(card: Card, endless: Walk, settings: Settings) -> bool:
    """Whether the card's size played no part; it sets the room of expandable segments and a fraction's limit."""
    if settings.expandable_segments or settings.per_process_memory_fraction < 1:
        return False
    return card.context_bytes + endless.statistics.reserved_peak <= card.total_bytes


def _replayed(
    events: Sequence[Event], done: Walk, endless: Walk, card: Card, settings: Settings, told: _Told
) -> Replay:
    statistics = done.statistics
    needed = endless.statistics.reserved_peak if done.failures else statistics.reserved_peak
    margin = _limit(card, settings) - needed
    if done.failures:
        margin = min(margin, -max(failure.short for failure in done.failures))
    unmodelled = _unmodelled(told.convolution, card)
    return Replay(
        card=card,
        settings=settings,
        events=len(events),
        peak_requested=statistics.requested_peak,
        peak_allocated=statistics.allocated_peak,
        peak_reserved=statistics.reserved_peak,
        needed_reserved=needed,
        stages=told.stages,
        alive=told.alive,
        timeline=told.timeline,
        statistics=statistics,
        context=card.context_bytes,
        workspace=done.workspace,
        verdict=_verdict(done, margin, sum(unmodelled.values())),
        margin=margin,
        unmodelled=unmodelled,
        failures=tuple(done.failures),
        notes=_notes(settings),
        profile=told.profile,
        reserved_after=done.reserved,
    )


def _limit(card: Card, settings: Settings) -> int:
    """Bytes that the allocator may reserve."""
    beside_context = card.total_bytes - card.context_bytes
    fraction = settings.per_process_memory_fraction
    return beside_context if fraction == 1 else min(beside_context, int(fraction * card.total_bytes))


def _verdict(done: Walk, margin: int, band: int) -> Verdict:
    if done.failures:
        return "out_of_memory"
    return "tight" if margin < band or done.statistics.retries else "fits"


def _unmodelled(convolution: int, card: Card) -> dict[str, int]:
    """What a replay cannot know, at most; an estimate.

    The context grows as kernels are loaded. cuDNN chooses among algorithms; those with a workspace take about the size
    of the convolution's result, so the largest result stands for it.
    """
    return {"context": max(EAGER_CONTEXT_BYTES - card.context_bytes, 0), "convolution_workspace": convolution}


def _largest_convolution(events: Sequence[Event]) -> int:
    results: dict[str, int] = {}  # the largest result by operator, so that each name is searched once
    for event in events:
        if event.bytes > results.get(event.operator, 0):
            results[event.operator] = event.bytes
    return max((size for operator, size in results.items() if CONVOLUTION.search(operator)), default=0)


def _stages(done: Walk, profile: Profile) -> dict[str, StagePeak]:
    at = profile.stage_peaks(done.stage_of)
    return {name: dataclasses.replace(peak, by_category=profile.at(at.get(name, -1))) for name, peak in
            done.stages.items()}  # fmt: skip


def _timeline(done: Walk, profile: Profile, points: int) -> tuple[TimePoint, ...]:
    """The highest values of each run of events, so that no peak is lost."""
    allocated, reserved = np.array(done.allocated, np.int64), np.array(done.reserved, np.int64)
    width = max(-(-len(allocated) // max(points, 1)), 1)
    found = []
    for start in range(0, len(allocated), width):
        peak = start + int(allocated[start : start + width].argmax())
        top = int(reserved[start : start + width].max())
        found.append(TimePoint(start, done.stage_of[start], int(allocated[peak]), top, profile.at(peak)))
    return tuple(found)


def _notes(settings: Settings) -> tuple[str, ...]:
    if settings.garbage_collection_threshold and settings.per_process_memory_fraction == 1:
        return ("garbage_collection_threshold does nothing unless per_process_memory_fraction is below 1.",)
    return ()
