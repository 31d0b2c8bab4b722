"""What work costs, told without a clock where counting will do: a test must not depend on how busy the machine is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType


def function_calls(work: Callable[[], object]) -> int:
    """How many functions, of Python or built in, are called while `work` runs."""
    count, before = 0, sys.getprofile()

    def see(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def grows_in_line(work: Callable[[int], object], size: int) -> bool:
    """Whether four times the size takes about four times the processor's time, where a square would take sixteen.

    Other programs can only make a try slower, so the best of several counts. Only for what cannot be counted, such as
    a regular expression's steps.
    """
    small = min(processor_seconds(work, size) for _ in range(3))
    return any(processor_seconds(work, 4 * size) < 9 * small for _ in range(6))


def processor_seconds(work: Callable[[int], object], size: int) -> float:
    start = time.process_time()
    work(size)
    return time.process_time() - start
