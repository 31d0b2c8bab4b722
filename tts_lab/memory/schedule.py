"""When each part of a run is computed and copied on a card that is not there: two lanes, and one more for a disk.

The estimate of `tts_lab.memory.roofline` adds all kernels and copies up. Here each has its place in time: copies ahead
run beside the computing, and computing waits for those that it needs. An estimate with the same assumptions.

Rules, which are those of `tts_lab.levers.streaming` on CUDA:
- Kernels run one after the other, and so do copies; each direction of the bus counts as one and the same.
- A copy ahead begins when it is asked for and the copy before it is done. To ask takes the computer the time of a
  launch, in which it launches no kernels.
- The computer asks for a copy when what was computed before is done: two layers' memory is all there is.
- Kernels wait for the copies of their own part. A copy that is not ahead, or comes out of a file, holds all up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tts_lab.errors import LabError
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.flow import AHEAD, COPY, KERNELS, READ, Loop
from tts_lab.memory.roofline import LAUNCH_SECONDS, launch

COMPUTING, COPYING, READING = LANES = ("computing", "copying", "reading")
WAITING = "waiting"
DISK = 2e9  # bytes a second out of mapped files on an NVMe disk; assumed, not measured. Data sheets say 3.5e9 and more.
SPELLED_OUT = 8  # passes of a loop that are put into the schedule one by one; of longer ones the first and the sum


@dataclass(frozen=True)
class Interval:
    """Seconds from the start. busy: how much of it the lane works, all but where `passes` stands for several passes.

    lane: of LANES. stage: of the pipeline, "" where there is none or several. part: the path of the layer that is
    computed or brought, "" for what is between. what: "kernels", "launching copies", "copy", "read" or WAITING.
    """

    lane: str
    start: float
    end: float
    stage: str
    part: str
    what: str
    busy: float
    passes: float = 1.0

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class StageTime:
    """Seconds of the lane of computing in one stage: at work, and waiting for what is brought."""

    stage: str
    computing: float
    waiting: float

    @property
    def seconds(self) -> float:
        return self.computing + self.waiting

    @property
    def bound_by(self) -> str:
        """What decides how long the stage takes: weights that it waits for most of the time, or computing."""
        return "weights" if self.waiting > self.computing else "computing"


@dataclass(frozen=True)
class Schedule:
    """seconds: with overlap; serial: one thing after the other. busy: seconds of work of each lane.

    intervals: in order of their steps; of one lane they do not overlap. stages: in the order in which they came.
    """

    card: Card
    seconds: float
    serial: float
    busy: Mapping[str, float]
    intervals: tuple[Interval, ...]
    stages: tuple[StageTime, ...]

    def lane(self, name: str) -> tuple[Interval, ...]:
        """The intervals of one lane."""
        return tuple(each for each in self.intervals if each.lane == name)

    @property
    def sentence(self) -> str:
        """Where the run waits for weights and where it computes."""
        told = "; ".join(filter(None, (self._bound("weights", "wait"), self._bound("computing", "compute"))))
        waits = sum(stage.waiting for stage in self.stages)
        return (
            f"{_shown(self.seconds)} on {self.card.name} (estimated; {_shown(self.serial)} without overlap), of which "
            f"{_shown(waits)} wait for weights: {told}."
        )

    def _bound(self, by: str, verb: str) -> str:
        """The stages that one of both decides, of those that take a hundredth of the time."""
        names = [s.stage or "the run" for s in self.stages if s.bound_by == by and s.seconds > self.seconds / 100]
        several = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
        return f"{several} mostly {verb if len(names) > 1 else verb + 's'}" if names else ""

    def __repr__(self) -> str:
        return f"Schedule({self.sentence})"


def schedule(log: EventLog, card: Card | str, disk: float | None = None) -> Schedule:
    """The schedule of a traced run on a card. Linear in the number of steps.

    disk: bytes a second at which weights are read that lie in files (`DISK` is an assumption); None: what was read is
    still in the computer's memory. Raises LabError where the log holds no order of its work.
    """
    card = find_card(card)
    if not len(log.flow) and log.work:
        raise LabError("This event log was saved before the order of copies was written down: trace the run again.")
    run = _Run(log, card, disk)
    run.steps(0, len(log.flow))
    now = run.now
    serial = run.serial + sum(work.count * launch(work, card)[1] for work in log.work)
    stages = tuple(StageTime(name, now.spent[name, COMPUTING], now.spent[name, WAITING]) for name in run.stages)
    return Schedule(card, now.end, serial, dict(now.busy), tuple(run.intervals), stages)


def _shown(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"


def overlapped(log: EventLog, card: Card) -> float | None:
    """Seconds with copies beside the computing; None for a log that does not tell."""
    return schedule(log, card).seconds if len(log.flow) else None


@dataclass
class _Clock:
    """Until when each lane is taken, and when the copies of each part are there."""

    lanes: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LANES, 0.0))
    arrived: dict[str, float] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LANES, 0.0))
    spent: dict[tuple[str, str], float] = field(default_factory=dict)  # of the lane of computing, by stage

    @property
    def end(self) -> float:
        return max(self.lanes.values())

    def copy(self) -> _Clock:
        return _Clock(dict(self.lanes), dict(self.arrived), dict(self.busy), dict(self.spent))


class _Run:
    """Walks through the steps of a log."""

    def __init__(self, log: EventLog, card: Card, disk: float | None) -> None:
        flow = log.flow
        self.now, self.disk, self.serial, self.silent = _Clock(), disk, 0.0, False
        self.intervals: list[Interval] = []
        seconds = np.array([launch(work, card)[1] for work in log.work])
        size = np.array([work.bytes for work in log.work], np.float64)
        self.seconds = _sums(flow.count * seconds[flow.work], flow.first)
        self.launches, self.bytes = (_sums(flow.count * each[flow.work], flow.first) for each in (size * 0 + 1, size))
        self.kind, self.names = flow.kind.tolist(), flow.names
        self.stage, self.part = ([flow.names[i] for i in codes.tolist()] for codes in (flow.stage, flow.part))
        self.loops = {loop.start: loop for loop in sorted(flow.loops, key=lambda loop: loop.end)}  # the longest stays
        self.inner = _inner(flow.loops)
        self.stages = tuple(dict.fromkeys(self.stage))
        for stage in self.stages:
            self.now.spent |= {(stage, COMPUTING): 0.0, (stage, WAITING): 0.0}

    def steps(self, start: int, end: int, around: Loop | None = None) -> None:
        """The steps from `start` up to `end`, of which `around` is the loop that is being walked already."""
        i = start
        while i < end:
            loop = self._loop_at(i, around)
            if loop:
                self._loop(loop)
            else:
                self._step(i)
            i = loop.end if loop else i + 1

    def _loop_at(self, i: int, around: Loop | None) -> Loop | None:
        loop = self.loops.get(i)
        while loop is not None and around is not None and loop.end >= around.end and loop.start == around.start:
            loop = self.inner.get(loop)
        return loop

    def _loop(self, loop: Loop) -> None:
        """A few passes one by one; of more, one by one the first, then what a further one takes, so many times."""
        whole = loop.passes <= SPELLED_OUT and float(loop.passes).is_integer()
        for _ in range(round(loop.passes) if whole else 1):
            self.steps(loop.start, loop.end, loop)
        if not whole:
            self._more(loop, loop.passes - 1)

    def _more(self, loop: Loop, passes: float) -> None:
        first, silent, serial = self.now, self.silent, self.serial
        self.now, self.silent = first.copy(), True
        self.steps(loop.start, loop.end, loop)
        then, self.silent = self.now, silent
        self.serial = serial + passes * (self.serial - serial)
        busy = {lane: then.busy[lane] - first.busy[lane] for lane in LANES}
        each = max(then.end - first.end, *busy.values())  # a pass cannot take less than any lane's work
        self.now = _later(first, then, busy, each, passes)
        stages = {self.stage[i] for i in range(loop.start, loop.end)}
        stage = stages.pop() if len(stages) == 1 else ""
        for lane in LANES:
            if busy[lane]:
                start = first.lanes[lane]
                self._put(lane, start, start + passes * each, (stage, ""), "", passes * busy[lane], passes)

    def _step(self, i: int) -> None:
        kind, seconds, where = self.kind[i], float(self.seconds[i]), (self.stage[i], self.part[i])
        now = self.now
        if kind == KERNELS:
            self._compute(seconds, where, "kernels")
        elif kind == AHEAD:
            start = max(now.lanes[COPYING], now.lanes[COMPUTING])
            now.arrived[where[1]] = self._take(COPYING, start, seconds, where, "copy")
            self._compute(float(self.launches[i]) * LAUNCH_SECONDS, where, "launching copies")
        elif kind in (COPY, READ):
            self._held_up(i, seconds, where)
        else:
            self._wait(now.arrived.get(where[1], 0.0), where)

    def _held_up(self, i: int, seconds: float, where: tuple[str, str]) -> None:
        now = self.now
        start = max(now.lanes[COPYING], now.lanes[COMPUTING])
        if self.kind[i] == READ and self.disk:
            reading = float(self.bytes[i]) / self.disk
            self.serial += reading
            start = self._take(READING, start, reading, where, "read")
        self._wait(self._take(COPYING, start, seconds, where, "copy"), where)

    def _compute(self, seconds: float, where: tuple[str, str], what: str) -> None:
        self._take(COMPUTING, self.now.lanes[COMPUTING], seconds, where, what)
        self.now.spent[where[0], COMPUTING] += seconds

    def _wait(self, until: float, where: tuple[str, str]) -> None:
        start = self.now.lanes[COMPUTING]
        if until > start:
            self.now.lanes[COMPUTING] = until
            self.now.spent[where[0], WAITING] += until - start
            self._put(COMPUTING, start, until, where, WAITING, 0.0)

    def _take(self, lane: str, start: float, seconds: float, where: tuple[str, str], what: str) -> float:
        """Work of a lane. Returns when it is done."""
        self.now.lanes[lane] = end = start + seconds
        self.now.busy[lane] += seconds
        self._put(lane, start, end, where, what, seconds)
        return end

    def _put(self, lane: str, start: float, end: float, where: tuple[str, str], what: str, busy: float,
             passes: float = 1.0) -> None:  # fmt: skip
        if end > start and not self.silent:
            self.intervals.append(Interval(lane, start, end, *where, what, busy, passes))


def _later(first: _Clock, then: _Clock, busy: Mapping[str, float], each: float, passes: float) -> _Clock:
    """The clock after `passes` more passes: `first` moved on by what each takes, and what they spend beside it."""
    moved = {lane: at + passes * each if busy[lane] else at for lane, at in first.lanes.items()}
    moved[COMPUTING] = first.lanes[COMPUTING] + passes * each
    arrived = {part: at + passes * each if part in first.arrived and then.arrived[part] != first.arrived[part] else at
               for part, at in (then.arrived | first.arrived).items()}  # fmt: skip
    spent = {key: n + passes * (then.spent[key] - n) for key, n in first.spent.items()}
    more = {key: then.spent[key] - first.spent[key] for key in first.spent}
    waits = sum(n for (_, what), n in more.items() if what == WAITING)
    computing = sum(n for (_, what), n in more.items() if what == COMPUTING)
    for key, n in more.items():  # all that is not computing is waiting, shared as in the pass that was looked at
        if key[1] == WAITING:
            share = n / waits if waits else 1 / (len(more) // 2)
            spent[key] = first.spent[key] + passes * (each - computing) * share
    total = {lane: first.busy[lane] + passes * busy[lane] for lane in LANES}
    return replace(first, lanes=moved, arrived=arrived, busy=total, spent=spent)


def _inner(loops: Sequence[Loop]) -> dict[Loop, Loop]:
    """For each loop the next smaller one that begins at the same step."""
    found: dict[Loop, Loop] = {}
    for loop in loops:
        smaller = [each for each in loops if each.start == loop.start and each.end < loop.end]
        if smaller:
            found[loop] = max(smaller, key=lambda each: each.end)
    return found


def _sums(rows: NDArray[np.float64], first: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum of each step's rows."""
    sums = np.concatenate([[0.0], np.cumsum(rows)])
    return np.diff(sums[first]) if len(first) else np.zeros(0)


def expanded(log: EventLog) -> Iterator[tuple[int, float]]:
    """Each step's number and how many passes it stands for: the sum of all is the log's work."""
    for i in range(len(log.flow)):
        yield i, float(np.prod([loop.passes for loop in log.flow.loops if loop.start <= i < loop.end]))
