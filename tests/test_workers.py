"""Tests that several workers share: one thread each, whatever else pytest is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("given", "threads"),
    [
        ({"PYTEST_XDIST_WORKER": "gw0"}, "1"),
        ({"PYTEST_XDIST_WORKER": "gw0", "OMP_NUM_THREADS": "3"}, "3"),
        ({}, "None"),
    ],
    ids=["a worker", "a worker that is told", "no worker"],
)
def test_a_worker_computes_with_one_thread(given: dict[str, str], threads: str) -> None:
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTEST_XDIST_WORKER")
    }
    code = "import os, conftest; print(os.environ.get('OMP_NUM_THREADS'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=inherited | given, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == threads
