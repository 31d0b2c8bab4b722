"""Work that can be watched and stopped: one thread for each job, stopped at the next call of a network."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from tts_lab.errors import LabError
from tts_lab.memory.meter import TimeMeter

T = TypeVar("T")
_here = threading.local()


class StoppedError(LabError):
    """The job was stopped from outside."""


class Job(Generic[T]):
    """One piece of work in a thread of its own.

    work: gets the job, to tell how far it is. Stopping takes effect wherever a module of PyTorch is called, between the
    stages, and wherever `check` is. said, share: how far it is, in words and from 0 to 1 (None: not known).
    """

    def __init__(self, work: Callable[[Job[T]], T]) -> None:
        self.said = ""
        self.share: float | None = None
        self._work, self._stop = work, threading.Event()
        self._made: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="tts-lab-job", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def done(self) -> bool:
        return self._thread.ident is not None and not self._thread.is_alive()

    def tell(self, said: str, share: float | None = None) -> None:
        """How far it is. Raises StoppedError where the job is to stop."""
        self.check()
        self.said, self.share = said, share

    def check(self) -> None:
        """Raises StoppedError where the job is to stop."""
        if self._stop.is_set():
            raise StoppedError("Stopped.")

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        """Wait for the end, of a job that was started."""
        if self._thread.ident is not None:
            self._thread.join()

    def result(self) -> T:
        """What the work gave, once it is done. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._made.pop()

    def _run(self) -> None:
        _here.job = self
        try:
            with _watched_modules():
                self._made.append(self._work(self))
        except BaseException as error:
            if not isinstance(error, LabError):
                traceback.print_exc()  # ours, not the visitor's
            self._error = error.with_traceback(None)  # its frames would keep the tensors of the work alive
            error.__cause__ = error.__context__ = None
        finally:
            del _here.job, self._work


class JobMeter(TimeMeter):
    """Takes the time of the stages, tells the job which one is running, and stops between them."""

    def __init__(self, job: Job[Any]) -> None:
        super().__init__()
        self._job, self.running = job, ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._job.check()
        self.running = name
        with super().stage(name):
            yield


@contextmanager
def _watched_modules() -> Iterator[None]:
    """Every call of a module in this thread looks first whether its job is to stop."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    handle = register_module_forward_pre_hook(_look)
    try:
        yield
    finally:
        handle.remove()


def _look(*_: Any) -> None:
    job: Job[Any] | None = getattr(_here, "job", None)  # the hook is of all threads
    if job is not None:
        job.check()
