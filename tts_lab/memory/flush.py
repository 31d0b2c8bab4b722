"""Giving cached memory back to the card, in a way that a trace sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

_listeners: list[Callable[[], None]] = []


def empty_cache() -> None:
    """`torch.cuda.empty_cache`, where CUDA is in use; a trace writes it down."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    for listener in _listeners:
        listener()


@contextmanager
def told(listener: Callable[[], None]) -> Iterator[None]:
    """Inside, `listener` is called whenever the cache is emptied."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
