"""Loops of a model, told apart by how their passes resemble each other.

An ordinary run takes every pass. A tracer of memory may leave out passes that cannot change the peak: a hundred solver
steps, or a thousand decoded positions, are then traced in the time of a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Skip = Callable[[int], None]


class Shortener(Protocol):
    """Decides which passes of a loop are taken."""

    def passes(self, count: int, skip: Skip | None) -> Iterator[int]:
        """Numbers out of 0 .. count - 1, in order."""
        ...


_shorteners: list[Shortener] = []


def alike(count: int) -> Iterator[int]:
    """Passes 0 .. count - 1 of a loop that makes tensors of the same sizes each time, such as solver steps.

    What the loop leaves behind must be as large after the first passes as after all of them.
    """
    return _shorteners[-1].passes(count, None) if _shorteners else iter(range(count))


def growing(count: int, skip: Skip) -> Iterator[int]:
    """Passes 0 .. count - 1 of a loop that handles one more position each time, such as decoding with a cache.

    skip(n): leaves caches and lists as n more passes would, computing nothing; called only where passes are left out.
    """
    return _shorteners[-1].passes(count, skip) if _shorteners else iter(range(count))


@contextmanager
def shortened(by: Shortener) -> Iterator[None]:
    """Loops inside are shortened."""
    _shorteners.append(by)
    try:
        yield
    finally:
        _shorteners.remove(by)
