"""Who does the jobs of a sweep: this process, or processes beside it. A third way, a cluster, is `sweep_cluster`.

All of them take jobs with `submit` and give outcomes with `next`, in whatever order they are finished.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
from collections import deque
from threading import Thread
from typing import Any, Protocol

from tts_lab.experiments.sweep_cell import Job, Outcome
from tts_lab.experiments.sweep_work import run_job

_WORKER = (sys.executable, "-m", "tts_lab.experiments.sweep_worker")


class Workers(Protocol):
    """Takes jobs and gives outcomes. `close` ends the work that is under way, whatever comes of it."""

    def submit(self, job: Job) -> None: ...

    def next(self) -> tuple[Job, Outcome]:
        """Wait for the next job that is finished; only while one is under way."""
        ...

    def close(self) -> None: ...


class Here:
    """This process, one job after the other."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def submit(self, job: Job) -> None:
        self._jobs.append(job)

    def next(self) -> tuple[Job, Outcome]:
        job = self._jobs.popleft()
        return job, run_job(job)

    def close(self) -> None:
        self._jobs.clear()


class Processes:
    """Fresh processes on this machine, each with a system of its own.

    They are started as programs, not forked: a fork would copy the state of thread pools and of CUDA, and the way of
    `multiprocessing` would run a user's unguarded script again. One that dies, as it does where the system kills what
    takes too much memory, costs the cell that it was at, and is replaced.
    """

    def __init__(self, count: int) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[Job, Outcome]] = queue.SimpleQueue()
        self._workers = [_Worker() for _ in range(count)]
        for worker in self._workers:
            Thread(target=self._serve, args=(worker,), daemon=True).start()

    def submit(self, job: Job) -> None:
        self._jobs.put(job)

    def next(self) -> tuple[Job, Outcome]:
        while True:  # an endless wait would not be woken by Ctrl-C on every platform
            try:
                return self._outcomes.get(timeout=1.0)
            except queue.Empty:
                continue

    def close(self) -> None:
        for _ in self._workers:
            self._jobs.put(None)
        for worker in self._workers:
            worker.close()

    def _serve(self, worker: _Worker) -> None:
        while (job := self._jobs.get()) is not None:
            self._outcomes.put((job, worker.run(job)))


class _Worker:
    """A process that does jobs, started with the first one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._words: Any = None
        self._began = self._closed = False

    def run(self, job: Job) -> Outcome:
        process = self._process or self._start()
        try:
            self._began = self._began or pickle.load(process.stdout)  # type: ignore[arg-type]
            pickle.dump(job, process.stdin)  # type: ignore[arg-type]
            process.stdin.flush()  # type: ignore[union-attr]
            outcome: Outcome = pickle.load(process.stdout)  # type: ignore[arg-type]
            return outcome
        except (OSError, EOFError, pickle.UnpicklingError):
            began = self._began
            why = self._end()
        if began:
            return Outcome(failed=f"The process that spoke it died: {why}.")
        return Outcome(fatal=f"A worker process cannot be started: {why}.")

    def close(self) -> None:
        """End the process. Its files are left to it: a thread may be reading them, and may take the process away."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # modules that are found here, there too
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            _WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        if self._closed:
            self._process.kill()
        return self._process

    def _end(self) -> str:
        """Why the process ended: its last words, or the signal that killed it. The next job starts another."""
        process, self._process, self._began = self._process, None, False
        code = process.wait() if process else None
        self._words.seek(0)
        words = self._words.read().decode("utf-8", errors="replace").strip().splitlines()
        self._words.close()
        why = "the system killed it, as it does when memory runs out" if code == -9 else f"it ended with code {code}"
        return f"{why} ({words[-1][:200]})" if words else why
