"""Where and how a result was measured, and writing it down whole."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shlex
import sys
from pathlib import Path
from typing import Any

from tts_lab.errors import OutputError
from tts_lab.experiments.machine import environment as of_machine

ROOT = Path(__file__).resolve().parent.parent
LINE = 500  # characters


def environment() -> dict[str, Any]:
    """The machine's environment, and its load when this was called."""
    load = [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else None
    return {**of_machine(), "load_average": load}


def command() -> str:
    """The command line that is running, from the checkout's folder."""
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def today() -> str:
    """The date, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_json(path: Path, data: Any) -> None:
    """Write data as JSON, under a temporary name first. Raises OutputError where it cannot be written."""
    text = laid_out(data) + "\n"
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place.") from error
    finally:
        part.unlink(missing_ok=True)


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
