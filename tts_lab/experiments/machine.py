"""The machine on which something is measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from tts_lab.receipt import environment as of_run


def environment(device: str = "cpu") -> dict[str, Any]:
    """The receipt's environment, and the processor, the cores that are lent to this process, and the memory."""
    import psutil

    return {
        **of_run(device),
        "cpu": processor(),
        "cores": cores(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def processor() -> str:
    """Name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
