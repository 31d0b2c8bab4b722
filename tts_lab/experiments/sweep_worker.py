"""A worker process of a sweep: takes pickled jobs on stdin and gives pickled outcomes on stdout, until stdin ends.

Started by `sweep_workers.Processes`; not for the command line.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys

from tts_lab.experiments.sweep_work import run_job


def main() -> None:
    """Ctrl-C is for the process that leads; when that one is gone, stdin ends, and so does this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as outcomes:
        os.dup2(2, 1)  # what a library prints must not mix with the outcomes
        jobs = sys.stdin.buffer
        pickle.dump(True, outcomes)  # what is needed could be imported
        outcomes.flush()
        while True:
            try:
                job = pickle.load(jobs)
            except EOFError:
                return
            pickle.dump(run_job(job), outcomes)
            outcomes.flush()


if __name__ == "__main__":
    main()
