"""Long loops by their slices: a loop is traced until its passes repeat, or at its first and last lengths.

Solver steps: the second and later steps allocate and free alike. As soon as the rows of two successive passes are equal
and keep nothing, the rest is left out: no later pass can reach a higher peak.
Decoding: every pass is one position longer, so the last is the largest. The first passes are traced, the state is made
as long as it will be, and the last pass is traced.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tts_lab.loops import Skip
from tts_lab.memory.events import Repeat
from tts_lab.memory.flow import Recorder
from tts_lab.memory.ledger import Ledger
from tts_lab.memory.work import Key, Tally

FIRST = 3  # passes of a growing loop that are traced before the last: the first one's buffers settle in two


class Slices:
    """Shortens the loops of one trace and keeps the sums of `work`, and its order, right.

    Implements `tts_lab.loops.Shortener`.
    """

    def __init__(self, ledger: Ledger, work: Tally, flow: Recorder) -> None:
        self.ledger, self.work, self.flow = ledger, work, flow
        self.repeats: list[Repeat] = []

    def passes(self, count: int, skip: Skip | None) -> Iterator[int]:
        return self._alike(count) if skip is None else self._growing(count, skip)

    def _alike(self, count: int) -> Iterator[int]:
        before = None
        for i in range(count):
            start, work, step = len(self.ledger), self.work.copy(), self.flow.cut()
            yield i
            rows = self.ledger.slice(start)
            settled = before is not None and np.array_equal(rows, before) and rows[:, 1].sum() == 0
            if settled and i < count - 1:
                left_out = count - 1 - i
                self.repeats.append(Repeat(start, len(self.ledger), 1 + left_out))
                self._count(self._since(work), left_out)
                self.flow.loop(step, 1 + left_out)
                return
            before = rows

    def _growing(self, count: int, skip: Skip) -> Iterator[int]:
        left_out = count - FIRST - 1
        if left_out < 1:
            yield from range(count)
            return
        work, start, step = self.work, 0, 0
        for i in range(FIRST):
            work, start, step = self.work.copy(), len(self.ledger), self.flow.cut()
            yield i
        self.flow.loop(step, 1 + left_out / 2)
        self.repeats.append(Repeat(start, len(self.ledger), 1 + left_out))
        early, work = self._since(work), self.work.copy()
        with self.flow.left_out():
            skip(left_out)
        for key in self._since(work):  # making the state longer is no work of the run
            self.work[key] = work.get(key, 0.0)
        work, step = self.work.copy(), self.flow.cut()
        yield count - 1
        self.flow.loop(step, 1 + left_out / 2)
        # Work grows evenly with the position: the passes left out are as many halves of the first and of the last.
        for part in (early, self._since(work)):
            self._count(part, left_out / 2)

    def _since(self, work: Tally) -> dict[Key, float]:
        return {key: n - work.get(key, 0.0) for key, n in self.work.items() if n != work.get(key, 0.0)}

    def _count(self, part: dict[Key, float], times: float) -> None:
        for key, n in part.items():
            self.work[key] = self.work.get(key, 0.0) + n * times
