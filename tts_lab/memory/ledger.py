"""The book-keeping of a trace: which storages are alive, whose they are, and the rows of the log to be."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import UntypedStorage

from tts_lab.memory.events import Columns, Uses

HOST = -1  # row of a storage that lies in the computer's memory, not on the card: known, but not logged


class _Ref(weakref.ref[UntypedStorage]):
    """A weak reference that knows the key of its storage, and its row in the log."""

    __slots__ = ("key", "row")
    key: int
    row: int

    def __new__(cls, storage: UntypedStorage, gone: Callable[[Any], None], key: int, row: int) -> _Ref:
        self: _Ref = super().__new__(cls, storage, gone)
        self.key, self.row = key, row
        return self

    def __init__(self, storage: UntypedStorage, gone: Callable[[Any], None], key: int, row: int) -> None:
        super().__init__(storage, gone)  # type: ignore[call-arg]  # typeshed knows of no subclasses


class _Codes(dict[str, int]):
    """Text -> code, in order of appearance; `texts` leads back."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def __missing__(self, text: str) -> int:
        self[text] = code = len(self)
        self.texts.append(text)
        return code


@dataclass(slots=True)
class Where:
    """Where the run is: what the next allocation is written down with."""

    stage: str = ""
    module: str = ""


class Ledger:
    """Rows of the log and the storages that are alive.

    A torch storage object lives exactly as long as its memory (PyTorch keeps the Python object of a living storage), so
    a weak reference to it tells of the free at the moment it happens, whatever views there were.
    """

    def __init__(self) -> None:
        self.where = Where()
        self._live: dict[int, _Ref] = {}
        self._codes = {name: _Codes() for name in ("operator", "module", "stage", "category")}
        # One element a row. A free has its allocation's row as `origin`, and texts are looked up there in the end.
        self.origin: list[int] = []
        self.size: list[int] = []
        self.stage: list[int] = []
        self._operator: list[int] = []
        self._module: list[int] = []
        self._category: list[int] = []
        self._before: list[int] = []  # rows of storages that were there before the run
        self._use_position: list[int] = []  # one element a weight that an operator read
        self._use_row: list[int] = []
        self._use_first: list[bool] = []
        self.closed = False

    def __len__(self) -> int:
        return len(self.size)

    def row(self, tensor: torch.Tensor) -> int | None:
        """Row of a tensor's storage, HOST, or None where it is not known."""
        ref = self._live.get(tensor.untyped_storage()._cdata)
        return None if ref is None else ref.row

    def row_of(self, storage: int) -> int | None:
        """The same by the storage's address."""
        ref = self._live.get(storage)
        return None if ref is None else ref.row

    def category(self, row: int) -> str:
        """Category of an allocation."""
        return self._codes["category"].texts[self._category[row]]

    def allocate(self, tensor: torch.Tensor, operator: str, category: str = "activation") -> None:
        """A new storage. Nothing for one without bytes, which takes no memory."""
        storage = tensor.untyped_storage()
        if storage.nbytes():
            self._watch(storage, self._append(storage.nbytes(), operator, self.where.module, category))

    def workspace(self, size: int, operator: str) -> int:
        """Memory that a kernel takes for itself; ends with `release`. Returns its row."""
        return self._append(size, operator, self.where.module, "workspace")

    def release(self, row: int) -> None:
        """The free of an allocation."""
        self.origin.append(row)
        self.size.append(-self.size[row])
        self.stage.append(self._codes["stage"][self.where.stage])
        for column in (self._operator, self._module, self._category):
            column.append(0)

    def before(self, tensor: torch.Tensor, module: str, category: str) -> None:
        """A storage that was on the card before the run: it goes to the front of the log."""
        storage = tensor.untyped_storage()
        if storage.nbytes():
            row = self._append(storage.nbytes(), "", module, category, stage="")
            self._before.append(row)
            self._watch(storage, row)

    def host(self, tensor: torch.Tensor) -> None:
        """A storage in the computer's memory; one that was taken for the card's leaves it."""
        row = self.row(tensor)
        if row is not None and row != HOST:
            self.release(row)
        self._watch(tensor.untyped_storage(), HOST)

    def label(self, tensor: torch.Tensor, category: str, module: str | None = None) -> None:
        """Another category (and module) for a living storage, from its allocation on."""
        row = self.row(tensor)
        if row is not None and row != HOST:
            self._category[row] = self._codes["category"][category]
            if module is not None:
                self._module[row] = self._codes["module"][module]

    def weights_of(self, rows: Iterable[int]) -> list[int]:
        """Those of the rows that are weights on the card, each once."""
        weight = self._codes["category"]["weight"]
        return [row for row in dict.fromkeys(rows) if row != HOST and self._category[row] == weight]

    def used(self, weights: list[int]) -> None:
        """An operator that has just run read these weights (rows)."""
        self._use_position.extend([len(self.size)] * len(weights))
        self._use_row.extend(weights)
        self._use_first.extend([True] + [False] * (len(weights) - 1))

    # --- what a remembered call needs (`tts_lab.memory.calls`) ---

    @property
    def counts(self) -> tuple[int, int]:
        """Number of storages that were there before the run, and of uses of weights, so far."""
        return len(self._before), len(self._use_row)

    def rows(self, start: int) -> Iterator[tuple[int, int, str, str, str]]:
        """Rows from `start` on: row of the allocation, bytes, operator, module, category."""
        for i in range(start, len(self.size)):
            origin = self.origin[i]
            texts = [self._codes[name].texts[column[origin]] for name, column in self._texts()]
            yield (origin, self.size[i], *texts)  # type: ignore[misc]

    def uses_from(self, start: int) -> Iterator[tuple[int, int, bool]]:
        """Uses from number `start` on: rows in the log by then, row of the weight, whether an operator begins."""
        return zip(self._use_position[start:], self._use_row[start:], self._use_first[start:], strict=True)

    def repeat(self, rows: Iterable[tuple[int, int, str, str, str]], path: str) -> None:
        """Rows as those of an earlier call: origins counted from here, module paths inside `path`."""
        start, stage = len(self.size), self._codes["stage"][self.where.stage]
        (_, operators), (_, modules), (_, categories) = self._texts()
        codes = self._codes
        for origin, size, operator, module, category in rows:
            self.origin.append(start + origin)
            self.size.append(size)
            self.stage.append(stage)
            operators.append(codes["operator"][operator])
            modules.append(codes["module"][path + module])
            categories.append(codes["category"][category])

    def use(self, position: int, tensor: torch.Tensor, first: bool) -> None:
        """An operator read this weight when the log had `position` rows."""
        row = self.row(tensor)
        assert row is not None
        self._use_position.append(position)
        self._use_row.append(row)
        self._use_first.append(first)

    def watch(self, tensor: torch.Tensor, row: int) -> None:
        """The storage of a row that `repeat` wrote is this tensor's from now on."""
        self._watch(tensor.untyped_storage(), row)

    def _texts(self) -> tuple[tuple[str, list[int]], tuple[str, list[int]], tuple[str, list[int]]]:
        return ("operator", self._operator), ("module", self._module), ("category", self._category)

    def resized(self, tensor: torch.Tensor, operator: str) -> None:
        """A storage that changed its size in place: the old bytes are freed, then the new are there."""
        storage = tensor.untyped_storage()
        ref = self._live[storage._cdata]
        if ref.row != HOST and storage.nbytes() != self.size[ref.row]:
            self.release(ref.row)
            ref.row = self._append(storage.nbytes(), operator, self.where.module, "activation")

    def slice(self, start: int) -> NDArray[np.int64]:
        """Rows from `start` on, in a form that is equal for two passes that did the same: (rows, 4)."""
        rows = range(start, len(self.size))
        origin = np.array(self.origin[start:], np.int64).reshape(-1)
        texts = [[column[o] for o in origin.tolist()] for column in (self._operator, self._module)]
        # A free of what an earlier pass left is told by how many rows ago that was.
        return np.stack([origin - (rows.start), np.array(self.size[start:], np.int64), *map(np.array, texts)], 1)

    def columns(self) -> Columns:
        """The log's arrays: what was there before the run first, texts and storages counted from 0."""
        order, number = self._order()
        size, origin = np.array(self.size, np.int64), np.array(self.origin, np.int64)
        texts = {"operator": self._operator, "module": self._module, "category": self._category}
        codes = {name: np.array(column, np.int32)[origin][order] for name, column in texts.items()}
        return Columns(
            storage=number[origin][order], bytes=size[order], stage=np.array(self.stage, np.int32)[order],
            stream=np.zeros(len(order), np.int32), tables={k: tuple(v) for k, v in self._codes.items()}, **codes,
        )  # fmt: skip

    def uses(self) -> Uses:
        """Which weights each operator read, in the numbers of `columns`."""
        _, number = self._order()
        position = np.array(self._use_position, np.int64)
        before = np.sort(np.array(self._before, np.int64))
        later = len(before) - np.searchsorted(before, position)
        rows = np.array(self._use_row, np.int64)
        return Uses(position + later, number[rows] if len(rows) else rows, np.array(self._use_first, bool))

    def shift(self, position: int) -> int:
        """Where a row comes to lie in `columns`."""
        return position + sum(row >= position for row in self._before)

    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows in the order of `columns`, and the number of each row's storage."""
        first = np.array(self._before, np.int64)
        order = np.concatenate([first, np.setdiff1d(np.arange(len(self.size)), first)]).astype(np.int64)
        number = np.zeros(len(self.size), np.int64)
        number[order] = np.cumsum(np.array(self.size, np.int64)[order] > 0) - 1
        return order, number

    def _append(self, size: int, operator: str, module: str, category: str, stage: str | None = None) -> int:
        row = len(self.size)
        self.origin.append(row)
        self.size.append(size)
        self.stage.append(self._codes["stage"][self.where.stage if stage is None else stage])
        self._operator.append(self._codes["operator"][operator])
        self._module.append(self._codes["module"][module])
        self._category.append(self._codes["category"][category])
        return row

    def _watch(self, storage: UntypedStorage, row: int) -> None:
        key = storage._cdata
        self._live[key] = _Ref(storage, self._gone, key, row)

    def _gone(self, ref: Any) -> None:
        key: int = ref.key
        if self._live.get(key) is ref:
            del self._live[key]
        if ref.row != HOST and not self.closed:
            self.release(ref.row)
