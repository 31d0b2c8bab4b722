"""Calls of modules, remembered: what a layer did once is written into the log again, without running it.

A network is many layers that are built alike, and a study traces the same network in many recipes. On the meta device a
call's events follow from how its modules are built, from the sizes of its inputs and from the card's attention kernels.
A call is remembered only where nothing else can play a part (`likeness`), and where it left nothing behind but its
results. Any other call runs as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tts_lab.memory.ledger import HOST
from tts_lab.memory.likeness import Likeness, UnlikeError
from tts_lab.memory.shapes import Shapes

if TYPE_CHECKING:
    from tts_lab.memory.tracer import Tracer

FEWEST = 6  # operators of a call that is worth remembering
MOST = 50_000  # remembered calls; beyond, all are forgotten
Result = tuple[Any, ...]  # how to make a result: ("new", row, ...), ("of", input, ...), ("list", ...), ("plain", value)


Row = tuple[int, int, str, str, str]  # row of the allocation, bytes (negative for a free), operator, module, category


@dataclass(frozen=True, slots=True)
class Record:
    """What a call did. rows: of the log, counted from the call's first, with module paths inside the called module.

    uses: (rows by then, index of the weight among the call's tensors, whether a new operator begins); work: launches by
    operator, dtype, flops and bytes; kernels: attention kernels by how often they were taken.
    """

    rows: tuple[Row, ...]
    uses: tuple[tuple[int, int, bool], ...]
    work: tuple[tuple[tuple[str, str, int, int], float], ...]
    kernels: tuple[tuple[str, int], ...]
    operators: int
    result: Result


class Memory:
    """What calls did, and what operators give, for any number of traces of one process."""

    def __init__(self) -> None:
        self.shapes = Shapes()
        self.likeness = Likeness()
        self.records: dict[Hashable, Record | None] = {}  # None: cannot be remembered
        self.small: set[type] = set()  # kinds of modules whose calls are too short to be worth it

    def keep(self, key: Hashable, record: Record | None) -> None:
        if len(self.records) >= MOST:
            self.records.clear()
        self.records[key] = record


class Calls:
    """Answers module calls of one trace from a memory, and fills it."""

    def __init__(self, tracer: Tracer, memory: Memory) -> None:
        self.tracer, self.memory, self.ledger = tracer, memory, tracer.ledger

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Every module that is called inside is looked up first."""
        plain = nn.Module.__call__

        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return self._call(plain, module, args, kwargs)

        nn.Module.__call__ = call  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__call__ = plain  # type: ignore[method-assign]

    def _call(self, plain: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        if type(module) in self.memory.small or not self._may():
            return plain(module, *args, **kwargs)
        path = self.tracer.paths.paths.get(module)
        tensors: list[Tensor] = []
        key = None if path is None else self._key(module, args, kwargs, tensors)
        if key is None:
            return plain(module, *args, **kwargs)
        known, found = key in self.memory.records, self.memory.records.get(key)
        if found is not None:
            return self._again(found, str(path), tensors)
        tensors.clear()  # a call may free what it was given, and that shows
        if known:
            return plain(module, *args, **kwargs)
        return self._first(plain, module, args, kwargs, key, str(path))

    def _may(self) -> bool:
        operators = self.tracer._operators
        return not (torch.is_grad_enabled() or operators.silent or operators.made_on_card is not None)

    def _key(self, module: nn.Module, args: Any, kwargs: Any, tensors: list[Tensor]) -> Hashable | None:
        """What decides a call's events; None where something else may. Fills `tensors` with weights, then inputs."""
        likeness = self.memory.likeness
        try:
            with torch._C.DisableTorchFunction():  # sizes are looked at, nothing is called
                built, given = likeness.of(module, tensors), likeness.given((args, kwargs), tensors)
                where = tuple(map(self._place, _storages(tensors)))
        except UnlikeError:
            return None
        modes = (torch.is_inference_mode_enabled(), torch.get_default_dtype(), torch.is_autocast_enabled("cuda"))
        return built, given, where, modes, self.tracer.capability

    def _place(self, storage: tuple[int, int]) -> tuple[int, str]:
        """For each tensor: the first one with the same storage, and what kind of memory it is."""
        first, key = storage
        row = self.ledger.row_of(key)
        if row is None or row == HOST:
            raise UnlikeError
        return first, "weight" if self.ledger.category(row) == "weight" else ""

    def _again(self, record: Record, path: str, tensors: Sequence[Tensor]) -> Any:
        """Write a remembered call's events down, and make its results."""
        ledger, tracer, start = self.ledger, self.tracer, len(self.ledger)
        ledger.repeat(record.rows, path)
        for position, weight, first in record.uses:
            ledger.use(start + position, tensors[weight], first)
        tracer.did(record.work)
        for kernel, count in record.kernels:
            tracer.kernels[kernel] += count
        tracer._operators.count += record.operators
        with tracer._operators.as_role(None, silent=True), torch._C.DisableTorchFunction():
            return self._made(record.result, start, tensors, {})

    def _made(self, result: Result, start: int, tensors: Sequence[Tensor], bases: dict[int, Tensor]) -> Any:
        kind = result[0]
        if kind == "plain":
            return result[1]
        if kind in ("list", "tuple"):
            return (list if kind == "list" else tuple)(self._made(each, start, tensors, bases) for each in result[1])
        _, number, size, stride, offset, dtype, elements = result
        if kind == "of":
            return tensors[number].as_strided(size, stride, offset)
        if number not in bases:
            bases[number] = torch.empty(elements, dtype=dtype, device="meta")
            self.ledger.watch(bases[number], start + number)
        return bases[number].as_strided(size, stride, offset)

    def _first(self, plain: Any, module: nn.Module, args: Any, kwargs: Any, key: Hashable, path: str) -> Any:
        """Run the call, and remember it where it can be."""
        mark = _Mark(self.tracer)
        out = plain(module, *args, **kwargs)
        count = self.tracer._operators.count - mark.operators
        if count < FEWEST:
            self.memory.small.add(type(module))
        elif mark.undisturbed():
            tensors: list[Tensor] = []
            changed = self._key(module, args, kwargs, tensors) != key
            self.memory.keep(key, None if changed else mark.record(out, path, tensors))
        return out


def _storages(tensors: Sequence[Tensor]) -> Iterator[tuple[int, int]]:
    first: dict[int, int] = {}
    for i, tensor in enumerate(tensors):
        if tensor.device.type != "meta":
            raise UnlikeError
        key = tensor.untyped_storage()._cdata
        yield first.setdefault(key, i), key


class _Mark:
    """Where a trace stood when a call began."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer, self.ledger = tracer, tracer.ledger
        self.row, self.use = len(tracer.ledger), tracer.ledger.counts[1]
        self.operators, self.done = tracer._operators.count, len(tracer.done)
        self.kernels = dict(tracer.kernels)
        self.outside = self._outside()

    def _outside(self) -> tuple[int, ...]:
        tracer = self.tracer
        borders = len(tracer._flushes), len(tracer._markers), tracer.flow.told
        return len(tracer.slices.repeats), *borders, self.ledger.counts[0]

    def undisturbed(self) -> bool:
        """No loop was shortened, no cache emptied, nothing told of copies, nothing found that was there before."""
        return self._outside() == self.outside

    def record(self, out: Any, path: str, tensors: Sequence[Tensor]) -> Record | None:
        """The call as plain data; None where it cannot be told from that alone."""
        try:
            rows = tuple(self._rows(path))
            result = self._result(out, [t.untyped_storage()._cdata for t in tensors])
            if self._left(rows) != set(_new(result)):
                return None
            return Record(rows, tuple(self._uses(tensors)), self._work(), self._kernels(), self._count(), result)
        except UnlikeError:
            return None

    def _count(self) -> int:
        return self.tracer._operators.count - self.operators

    def _kernels(self) -> tuple[tuple[str, int], ...]:
        new = {name: count - self.kernels.get(name, 0) for name, count in self.tracer.kernels.items()}
        return tuple((name, count) for name, count in new.items() if count)

    def _work(self) -> tuple[tuple[tuple[str, str, int, int], float], ...]:
        tally: dict[tuple[str, str, int, int], float] = {}
        for key, count in self.tracer.done[self.done :]:
            tally[key] = tally.get(key, 0.0) + count
        return tuple(tally.items())

    def _rows(self, path: str) -> Iterator[Row]:
        for origin, size, operator, module, category in self.ledger.rows(self.row):
            inside = module == path or module.startswith(f"{path}.")
            if origin < self.row or not inside:
                raise UnlikeError
            yield origin - self.row, size, operator, module[len(path) :], category

    def _left(self, rows: Sequence[Row]) -> set[int]:
        made = {origin for origin, size, *_ in rows if size > 0}
        return made - {origin for origin, size, *_ in rows if size < 0}

    def _uses(self, tensors: Sequence[Tensor]) -> Iterator[tuple[int, int, bool]]:
        index: dict[int, int] = {}
        for i, tensor in enumerate(tensors):
            row = self.ledger.row(tensor)
            index.setdefault(-1 if row is None else row, i)
        for position, row, first in self.ledger.uses_from(self.use):
            if row not in index:
                raise UnlikeError
            yield position - self.row, index[row], first

    def _result(self, out: Any, given: Sequence[int]) -> Result:
        if isinstance(out, Tensor):
            return self._tensor(out, given)
        if type(out) in (list, tuple):
            return ("list" if type(out) is list else "tuple", tuple(self._result(each, given) for each in out))
        if out is None or type(out) in (bool, int, float, str):
            return ("plain", out)
        raise UnlikeError

    def _tensor(self, out: Tensor, given: Sequence[int]) -> Result:
        storage = out.untyped_storage()
        form = (tuple(out.shape), out.stride(), out.storage_offset(), out.dtype, storage.nbytes() // out.itemsize)
        if storage._cdata in given:
            return ("of", given.index(storage._cdata), *form)
        row = self.ledger.row(out)
        if out.device.type != "meta" or row is None or row < self.row or storage.nbytes() % out.itemsize:
            raise UnlikeError
        return ("new", row - self.row, *form)


def _new(result: Result) -> Iterator[int]:
    """Rows of the storages that a result brings."""
    if result[0] == "new":
        yield result[1]
    elif result[0] in ("list", "tuple"):
        for each in result[1]:
            yield from _new(each)
