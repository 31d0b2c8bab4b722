"""The order of a run: kernels, copies and waits, one step after the other, as plain data.

A step is a run of kernels, or of copies, that nothing else interrupts. Inside it the order does not matter to anyone,
so only sums are kept: a log grows by a few kilobytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts_lab.memory import lanes
from tts_lab.memory.work import TO_CARD, TO_HOST, Key

# Kinds of steps. COPY holds the computing up; AHEAD does not, until a WAIT of the same part; READ is a COPY out of a
# file.
KERNELS, COPY, AHEAD, READ, WAIT = range(5)
_SOURCE = {lanes.AHEAD: AHEAD, lanes.READ: READ}
Source = tuple[int, str]  # kind of step that copies belong to, and the part that they bring


@dataclass(frozen=True)
class Loop:
    """Steps from `start` up to `end` stand for `passes` passes, a half where one pass is between two others."""

    start: int
    end: int
    passes: float


def _none(kind: type) -> Callable[[], NDArray[Any]]:
    return lambda: np.zeros(0, kind)


@dataclass(frozen=True)
class Flow:
    """Steps as arrays, one element a step: kind; stage and part, as codes into `names`.

    first, and one more at the end: where a step's rows begin in `work` (number in the log's work) and `count`
    (launches). loops: may lie in each other, but do not overlap.
    """

    kind: NDArray[np.int8] = field(default_factory=_none(np.int8))
    stage: NDArray[np.int32] = field(default_factory=_none(np.int32))
    part: NDArray[np.int32] = field(default_factory=_none(np.int32))
    first: NDArray[np.int64] = field(default_factory=_none(np.int64))
    work: NDArray[np.int32] = field(default_factory=_none(np.int32))
    count: NDArray[np.float64] = field(default_factory=_none(np.float64))
    names: tuple[str, ...] = ()
    loops: tuple[Loop, ...] = ()

    def __len__(self) -> int:
        return len(self.kind)

    def packed(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays for a file, and plain JSON values."""
        arrays = {f"flow_{name}": getattr(self, name) for name in ("kind", "stage", "part", "first", "work", "count")}
        return arrays, {"names": self.names, "loops": [astuple(loop) for loop in self.loops]}

    @classmethod
    def unpacked(cls, arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any], works: int) -> Flow:
        """What `packed` gave; nothing from a log that was saved before there was a flow. Raises ValueError."""
        if "flow_kind" not in arrays:
            return cls()
        columns = {name: arrays[f"flow_{name}"] for name in ("kind", "stage", "part", "first", "work", "count")}
        loops = tuple(Loop(*loop) for loop in about["loops"])
        flow = cls(**columns, names=tuple(about["names"]), loops=loops)
        steps, rows = len(flow), len(flow.work)
        if {len(flow.stage), len(flow.part), len(flow.first) - 1} != {steps} or len(flow.count) != rows:
            raise ValueError("flow of several lengths")
        if int(flow.first[-1]) != rows or flow.work.max(initial=-1) >= works:
            raise ValueError("flow out of range")
        return flow


@dataclass(frozen=True)
class _Step:
    kind: int
    stage: str
    part: str
    work: dict[Key, float]


class Recorder:
    """Writes the steps of one trace down."""

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.loops: list[Loop] = []
        self.told = 0  # how often anything was told
        self._source: Source | None = None
        self._running = ""
        self._open: _Step | None = None

    def did(self, key: Key, count: float) -> None:
        """Launches of one kernel, or copies."""
        kind, part = KERNELS, self._running
        if key[1] == TO_CARD and self._source:
            kind, part = self._source
        elif key[1] in (TO_CARD, TO_HOST):
            kind = COPY
        step = self._open
        if step is None or step.kind != kind or step.stage != key[0] or step.part != part:
            step = self._step(kind, key[0], part)
        step.work[key] = step.work.get(key, 0.0) + count

    def heard(self, what: str, part: str, stage: str) -> None:
        """What `tts_lab.memory.lanes` tells."""
        self.told += 1
        if what in _SOURCE:
            self._source = (_SOURCE[what], part)
        elif what == lanes.ARRIVED:
            self._source = None
        elif what == lanes.WAIT:
            self._step(WAIT, stage, part)
        else:
            self._running = part if what == lanes.BEGINS else ""

    def cut(self) -> int:
        """A border: the next kernel begins a new step. Returns the number of steps so far."""
        self._open = None
        return len(self.steps)

    def loop(self, start: int, passes: float) -> None:
        """The steps since `start` stand for several passes."""
        if self.cut() > start:
            self.loops.append(Loop(start, len(self.steps), passes))

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """What happens inside is no work of the run."""
        start = self.cut()
        yield
        del self.steps[start:]
        self._open = None

    def flow(self, work: Sequence[Key]) -> Flow:
        """The arrays. work: keys in the order of the log's work."""
        number, codes = {key: i for i, key in enumerate(work)}, _Codes()
        rows = [(number[key], count) for step in self.steps for key, count in step.work.items()]
        return Flow(
            np.array([step.kind for step in self.steps], np.int8),
            np.array([codes[step.stage] for step in self.steps], np.int32),
            np.array([codes[step.part] for step in self.steps], np.int32),
            np.cumsum([0, *(len(step.work) for step in self.steps)], dtype=np.int64),
            np.array([i for i, _ in rows], np.int32), np.array([n for _, n in rows], np.float64),
            tuple(codes), tuple(self.loops),
        )  # fmt: skip

    def _step(self, kind: int, stage: str, part: str) -> _Step:
        self.steps.append(step := _Step(kind, stage, part, {}))
        self._open = None if kind == WAIT else step
        return step


class _Codes(dict[str, int]):
    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        return code
