"""For tests and notebooks alike: where pytest has several workers (`-n 2`), each of them computes with one thread.

Two workers with two threads each on two cores wait for each other more than they compute.
"""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported; kernels and other processes inherit it
