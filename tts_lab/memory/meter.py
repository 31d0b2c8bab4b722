"""Meters watch the stages of a run. One interface; what is watched is the meter's own affair."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from torch import Tensor, nn


class Meter(ABC):
    """Watches the stages of one run; take a new one for each run."""

    @abstractmethod
    def stage(self, name: str) -> AbstractContextManager[None]:
        """A context for one pass through the stage `name`; passes of the same name add up."""

    @property
    @abstractmethod
    def stages(self) -> Mapping[str, float]:
        """Seconds by stage, in the order in which the stages first ran; empty where time is not watched."""


class DeviceMeter(Meter):
    """Watches the memory of one device while it is in use as a context.

    device: "meta", "cpu" or "cuda": where a run under this meter belongs.
    """

    device: str

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *error: object) -> None: ...

    def place(self, what: nn.Module | Tensor, name: str = "") -> None:  # most meters need not be told
        """Weights that are on the device under this name."""

    def host(self, what: nn.Module) -> None:
        """Weights that wait in the computer's memory."""


class NullMeter(Meter):
    """Watches nothing and costs nothing."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    @property
    def stages(self) -> Mapping[str, float]:
        return {}


class TimeMeter(Meter):
    """Wall-clock seconds per stage. Waits for CUDA at both ends of a stage: kernels run on after the call returns."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        synchronise()
        start = time.perf_counter()
        try:
            yield
            synchronise()
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    @property
    def stages(self) -> Mapping[str, float]:
        return MappingProxyType(self._seconds)


def synchronise() -> None:
    """Wait until CUDA has done what it was given; nothing where it is not in use."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_process_bytes() -> int:
    """Most memory that this process has held since it began (resident set), libraries included.

    Linux: VmHWM, because `getrusage` there starts from the peak of the process that launched this one.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return _peak_elsewhere()


def _peak_elsewhere() -> int:
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def restart_peak_process_bytes() -> bool:
    """Let the peak begin anew at what the process holds now, where the platform can (Linux); says whether it did."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
        return True
    except OSError:
        return False
