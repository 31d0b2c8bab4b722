"""A cluster that does the jobs of a sweep, through Dask. Needs the extra `cluster`.

The workers need the lab in the same version and, for systems that are not bundled, the same weights; no shared disk.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tts_lab.errors import LabError
from tts_lab.experiments.sweep_cell import Job, Outcome
from tts_lab.experiments.sweep_work import run_job

TIMEOUT = "10s"  # for the connection


class Cluster:
    """Workers behind a Dask scheduler. address: such as `tcp://10.0.0.1:8786`.

    Raises LabError where Dask is not installed or no scheduler answers.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ModuleNotFoundError as error:
            raise LabError(
                f"A cluster needs {error.name}, which is not installed; install it with "
                "`./lab install cluster`, or `pip install -c constraints.txt -e '.[cluster]'`."
            ) from None
        try:
            self._client: Any = distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise LabError(
                f"No Dask scheduler answers at {address!r} ({_first(error)}); give the address that `dask scheduler` "
                "prints, such as tcp://10.0.0.1:8786."
            ) from None
        self._jobs: dict[str, tuple[Job, Any]] = {}
        self._finished = distributed.as_completed(loop=self._client.loop)

    def submit(self, job: Job) -> None:
        future = self._client.submit(_run, job, pure=False)
        self._jobs[future.key] = job, future
        self._finished.add(future)

    def next(self) -> tuple[Job, Outcome]:
        future = next(self._finished)
        job, _ = self._jobs.pop(future.key)
        if future.status == "finished":
            return job, future.result()
        if future.status != "error":
            return job, Outcome(fatal=f"The connection to the cluster was lost (a task is {future.status}).")
        error = future.exception()
        if isinstance(error, ImportError | AttributeError):  # the task could not even be unpacked there
            return job, Outcome(fatal=f"The cluster's workers lack this lab ({_first(error)}); install it there.")
        return job, Outcome(failed=f"The cluster gave up on it: {_first(error)}")

    def close(self) -> None:
        self._client.cancel([future for _, future in self._jobs.values()])
        self._client.close()


def _run(job: Job) -> Outcome:
    """A job, on as many threads as the worker was given."""
    from distributed import get_worker

    threads = job.threads or max(1, int(get_worker().state.nthreads))
    return run_job(dataclasses.replace(job, threads=threads))


def _first(error: BaseException) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return words[:300]
