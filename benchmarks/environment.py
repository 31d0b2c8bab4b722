"""What the benchmarks share: options, where and how a result was measured, and writing it down whole."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

from tts_lab.receipt import environment as of_run
from tts_lab.whole import whole

ROOT = Path(__file__).resolve().parent.parent
LINE = 500  # characters


def positive(text: str) -> int:
    """An option's whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, but is {text!r}")
    return int(text)


def environment() -> dict[str, Any]:
    """The receipt's environment, and the processor, its cores, the memory and the load when it was called."""
    import psutil

    load = [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {
        **of_run(),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_average": load,
    }


def processor() -> str:
    """Name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def command() -> str:
    """The command line that is running, from the checkout's folder."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def today() -> str:
    """The date, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_json(path: Path, data: Any) -> None:
    """Write data as JSON, whole or not at all, in a folder that is made if need be. Raises OutputError."""
    text = laid_out(data) + "\n"
    with whole(path, "result") as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")


def laid_out(data: Any, indent: str = "") -> str:
    """JSON with one line for each part that fits on it, so that a row of a table is a line of the file."""
    line = json.dumps(data, ensure_ascii=False, allow_nan=False)
    if len(line) <= LINE or not isinstance(data, dict | list) or not data:
        return line
    inner = indent + " "
    if isinstance(data, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {laid_out(value, inner)}" for key, value in data.items()]
    else:
        parts = [laid_out(value, inner) for value in data]
    left, right = "{}" if isinstance(data, dict) else "[]"
    return f"{left}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{right}"
