"""How long each notebook takes, from a clean kernel to its last cell.

    python benchmarks/notebook_times.py

Runs every notebook once, and keeps nothing of it but the time. Writes `data/measured/notebooks.json`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from tqdm.auto import tqdm

from environment import ROOT, command, environment, no_options, today, write_json
from tts_lab.experiments.quality_table import Table, markdown

RESULT = ROOT / "data" / "measured" / "notebooks.json"


def main() -> None:
    rows = [_timed(path) for path in tqdm(sorted((ROOT / "notebooks").glob("*.ipynb")), "notebooks")]
    result = {"command": command(), "date": today(), "environment": environment(), "notebooks": rows}
    print(markdown(table(result)))
    write_json(RESULT, result)


def table(result: dict[str, Any]) -> Table:
    """A row for each notebook, with its title."""
    rows = [(f"`{r['name']}`", r["title"], str(r["cells"]), f"{r['seconds']:.0f}") for r in result["notebooks"]]
    return ("notebook", "title", "code cells", "seconds"), rows


def _timed(path: Path) -> dict[str, Any]:
    notebook = nbformat.read(path, as_version=4)
    begin = time.perf_counter()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    seconds = time.perf_counter() - begin
    codes = sum(cell.cell_type == "code" for cell in notebook.cells)
    title = notebook.cells[0].source.splitlines()[0].removeprefix("# ")
    return {"name": path.stem, "title": title, "cells": codes, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    no_options(__doc__)
    main()
