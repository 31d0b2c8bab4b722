"""What the benchmarks share: options, where and how a result was measured, and writing it down whole."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

from tts_lab.experiments.machine import environment as of_machine
from tts_lab.whole import whole

ROOT = Path(__file__).resolve().parent.parent
LINE = 500  # characters


def positive(text: str) -> int:
    """An option's whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, but is {text!r}")
    return int(text)


def counts(text: str) -> list[int]:
    """An option's whole numbers with commas between, each once, in order."""
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"write whole numbers with commas, such as 8,16, not {text!r}") from None


def no_options(about: str) -> None:
    """For a benchmark that takes none: `--help` says what it does; anything else is refused before time is spent."""
    argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()


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
    """Write data as JSON, whole or not at all, in a folder that is made if need be. Raises OutputError."""
    text = laid_out(data) + "\n"
    with whole(path, "result") as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")


def renewed(rows: list[dict[str, Any]], fresh: list[dict[str, Any]], *keys: str) -> list[dict[str, Any]]:
    """Rows of a file with those that were measured again in their places. keys: what tells a row from the others."""
    of = {tuple(row[key] for key in keys): row for row in fresh}
    return [of.get(tuple(row[key] for key in keys), row) for row in rows]


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
