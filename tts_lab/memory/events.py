"""The event log of memory: every allocation and every free of a run, in order, as plain data.

A log is what a trace gives and what a replay reads. It is made once; any card, budget or allocator setting is then a
question to the same log.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tts_lab.errors import LabError
from tts_lab.memory.flow import Flow
from tts_lab.whole import whole

CATEGORIES = ("weight", "activation", "cache", "workspace")
FORMAT = 2
_TEXTS = ("operator", "module", "stage", "category")  # columns of few distinct texts: kept as codes and a table


@dataclass(frozen=True)
class Event:
    """One allocation (bytes > 0) or one free (bytes < 0, of the same size).

    storage: id of a storage, unique in the log. operator: that allocated it, such as "aten.mm.default"; "" where it
    was there before the run. module: dotted path of the module that allocated it, "" outside of modules. stage: in
    which the event happened. category: of CATEGORIES. A free has its allocation's operator, module and category.
    """

    storage: int
    bytes: int
    operator: str
    module: str
    stage: str
    category: str
    stream: int = 0


@dataclass(frozen=True)
class Marker:
    """A border of a stage: it lies before the event at `position`."""

    position: int
    stage: str
    begins: bool


@dataclass(frozen=True)
class Repeat:
    """Events from `start` up to `end` were traced once and stand for `count` passes of a loop."""

    start: int
    end: int
    count: int


@dataclass(frozen=True)
class Work:
    """What the kernels had to do: `count` launches of one operator with the same sizes.

    flops: floating-point operations of one launch; bytes: that one launch reads and writes, at the least; dtype: of
    its result, which decides the rate of a card ("float16", ...).
    """

    stage: str
    operator: str
    dtype: str
    flops: int
    bytes: int
    count: float


@dataclass(frozen=True)
class Columns:
    """A log as arrays, one element an event. Texts are codes into the tuple of the same name in `tables`.

    storage, bytes: int64; operator, module, stage, category: int32 codes; stream: int32.
    """

    storage: NDArray[np.int64]
    bytes: NDArray[np.int64]
    operator: NDArray[np.int32]
    module: NDArray[np.int32]
    stage: NDArray[np.int32]
    category: NDArray[np.int32]
    stream: NDArray[np.int32]
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, events: Sequence[Event]) -> Columns:
        """The arrays of a sequence of events."""
        tables: dict[str, tuple[str, ...]] = {}
        codes: dict[str, NDArray[np.int32]] = {}
        for name in _TEXTS:
            index: dict[str, int] = {}
            codes[name] = np.array([index.setdefault(getattr(e, name), len(index)) for e in events], np.int32)
            tables[name] = tuple(index)
        return cls(
            storage=np.array([e.storage for e in events], np.int64),
            bytes=np.array([e.bytes for e in events], np.int64),
            stream=np.array([e.stream for e in events], np.int32), tables=tables, **codes,
        )  # fmt: skip


@dataclass(frozen=True)
class Uses:
    """Which weights each operator read, one element a weight.

    position: number of events up to and including the operator's own allocations; storage: id of the weight's storage;
    first: True where a new operator begins. int64, int64, bool.
    """

    position: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    storage: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    first: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.position)


class EventLog:
    """Events in order. Iterate for `Event`s, or take `columns()` for arrays.

    meta: what was traced (torch version, system, recipe, lengths, operators, ...), plain JSON values. markers: borders
    of stages. repeats: loops that were shortened. work: what the kernels had to do, shortened loops in full. uses:
    which weights each operator read. flushes: events before which the allocator's cache was emptied. flow: the order of
    the work, of copies and of waits; empty in logs that were saved before it was written down.
    """

    def __init__(
        self, events: Sequence[Event] | Columns, meta: Mapping[str, Any] | None = None, markers: Sequence[Marker] = (),
        repeats: Sequence[Repeat] = (), work: Sequence[Work] = (), uses: Uses | None = None,
        flushes: Sequence[int] = (), flow: Flow | None = None,
    ) -> None:  # fmt: skip
        self._columns = events if isinstance(events, Columns) else Columns.of(events)
        self.meta: dict[str, Any] = dict(meta or {})
        self.markers, self.repeats, self.work = tuple(markers), tuple(repeats), tuple(work)
        self.uses, self.flushes, self.flow = uses or Uses(), tuple(flushes), flow or Flow()

    def __len__(self) -> int:
        return len(self._columns.storage)

    def __iter__(self) -> Iterator[Event]:
        c = self._columns
        texts = [map(c.tables[name].__getitem__, getattr(c, name).tolist()) for name in _TEXTS]
        return map(Event, c.storage.tolist(), c.bytes.tolist(), *texts, c.stream.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventLog) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"EventLog({len(self)} events, peak {self.peak_bytes() / 2**20:.1f} MiB)"

    def columns(self) -> Columns:
        """The events as arrays."""
        return self._columns

    def live_bytes(self) -> NDArray[np.int64]:
        """Bytes alive after each event."""
        return np.cumsum(self._columns.bytes)

    def peak_bytes(self) -> int:
        """Most bytes alive at any time: what an allocator without rounding would need."""
        return int(self.live_bytes().max(initial=0))

    def bytes_of(self, category: str) -> int:
        """All bytes that were ever allocated in a category (for weights: their size)."""
        c = self._columns
        if category not in c.tables["category"]:
            return 0
        mine = c.category == c.tables["category"].index(category)
        return int(c.bytes[mine & (c.bytes > 0)].sum())

    def save(self, path: str | Path) -> Path:
        """Write the log as one compressed file (numpy's npz). Raises OutputError where it cannot be written."""
        path = Path(path)
        with whole(path, "event log") as part, part.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **_packed(self))
        return path

    @classmethod
    def load(cls, path: str | Path) -> EventLog:
        """Read what `save` wrote. Raises LabError where the file is missing, damaged or of another format."""
        try:
            with np.load(Path(path), allow_pickle=False) as file:
                return _unpacked({name: file[name] for name in file.files})
        except OSError as error:
            if not isinstance(error, zipfile.BadZipFile) and error.errno is not None:
                raise LabError(
                    f"The event log {path} cannot be read ({error.strerror}): give an existing file."
                ) from None
            raise _damaged(path) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, AttributeError, KeyError, ValueError, TypeError, IndexError,
                NotImplementedError, RuntimeError):  # fmt: skip
            raise _damaged(path) from None


def _damaged(path: str | Path) -> LabError:
    return LabError(f"The event log {path} is damaged, cut short or of another version: make it anew with a trace.")


def _packed(log: EventLog) -> dict[str, NDArray[Any]]:
    """Arrays that compress well: a free repeats its allocation, so only how long ago that was is kept of it."""
    c = log.columns()
    fresh = c.bytes > 0
    flow, about_flow = log.flow.packed() if len(log.flow) else ({}, {})
    about = {
        "format": FORMAT, "events": len(log), "bytes": int(np.abs(c.bytes).sum()), "tables": c.tables, "meta": log.meta,
        "markers": [astuple(m) for m in log.markers], "repeats": [astuple(r) for r in log.repeats],
        "work": [astuple(w) for w in log.work], "flushes": log.flushes, "flow": about_flow,
    }  # fmt: skip
    packed: dict[str, NDArray[Any]] = {name: getattr(c, name)[fresh] for name in ("operator", "module", "category")}
    packed |= {"bytes": c.bytes[fresh], "fresh": np.packbits(fresh), "stage": c.stage, "stream": c.stream}
    packed["storage"] = np.diff(c.storage[fresh], prepend=0)
    newest = np.maximum.accumulate(np.where(fresh, c.storage, np.iinfo(np.int64).min))
    packed["age"] = (newest - c.storage)[~fresh]
    packed["use_position"] = np.diff(log.uses.position, prepend=0)
    packed |= {"use_storage": log.uses.storage, "use_first": log.uses.first}
    packed |= flow
    packed["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    return packed


def _unpacked(packed: Mapping[str, NDArray[Any]]) -> EventLog:
    """The log of `_packed`. Raises ValueError, KeyError or IndexError where the arrays do not fit together."""
    about = json.loads(packed["about"].tobytes())
    if about["format"] != FORMAT:
        raise ValueError("another format")
    count = about["events"]
    fresh = np.unpackbits(packed["fresh"], count=count).astype(bool)
    storage, number = np.empty(count, np.int64), np.empty(count, np.int64)
    storage[fresh] = np.cumsum(packed["storage"])
    newest = np.maximum.accumulate(np.where(fresh, storage, np.iinfo(np.int64).min)) if count else storage
    storage[~fresh] = newest[~fresh] - packed["age"]
    born = {s: i for i, s in enumerate(storage[fresh].tolist())}
    number[:] = [born[s] for s in storage.tolist()]
    size = packed["bytes"][number] * np.where(fresh, 1, -1)
    if int(np.abs(size).sum()) != about["bytes"]:
        raise ValueError("sums differ")
    tables = {name: tuple(about["tables"][name]) for name in _TEXTS}
    codes = {name: packed[name][number] for name in ("operator", "module", "category")} | {"stage": packed["stage"]}
    if any(codes[name].max(initial=-1) >= len(tables[name]) or len(codes[name]) != count for name in _TEXTS):
        raise ValueError("codes out of range")
    columns = Columns(storage=storage, bytes=size, stream=packed["stream"], tables=tables, **codes)
    uses = Uses(np.cumsum(packed["use_position"]), packed["use_storage"], packed["use_first"])
    if len({*map(len, vars(uses).values())}) > 1 or uses.position.max(initial=0) > count:
        raise ValueError("uses out of range")
    flow = Flow.unpacked(packed, about.get("flow", {}), len(about["work"]))
    return EventLog(
        columns, about["meta"], [Marker(*m) for m in about["markers"]], [Repeat(*r) for r in about["repeats"]],
        [Work(*w) for w in about["work"]], uses, about["flushes"], flow,
    )  # fmt: skip
