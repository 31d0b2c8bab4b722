"""What a lever says of its copies, so that a trace can write down which of them run beside the computing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

AHEAD, READ, ARRIVED, WAIT, BEGINS, ENDS = "ahead", "read", "arrived", "wait", "begins", "ends"
Listener = Callable[[str, str], None]
_listeners: list[Listener] = []


@contextmanager
def copying(part: str, from_file: bool = False) -> Iterator[None]:
    """Copies inside bring the weights of `part`: on a stream of their own, or, out of a file, before anything else."""
    tell(READ if from_file else AHEAD, part)
    try:
        yield
    finally:
        tell(ARRIVED, part)


def tell(what: str, part: str) -> None:
    """WAIT: computing waits here for the copies of `part`. BEGINS, ENDS: what is computed in between is the part's."""
    for listener in _listeners:
        listener(what, part)


@contextmanager
def told(listener: Listener) -> Iterator[None]:
    """Inside, `listener` hears what is told."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
