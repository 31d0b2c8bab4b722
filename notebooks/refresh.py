"""Run notebooks from a clean kernel and keep what they show: `./lab refresh [NOTEBOOK ...]`.

A notebook is named by its file or by its number (`06`); without names, every one of this folder. What changes from run
to run and says nothing (widget state, times of cells, the kernel's version) is not kept, so that a difference in the
file is a difference in the result.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SECONDS_PER_CELL = 300  # as nbval gives it: a busy machine is slow


def refresh(path: Path) -> None:
    """Run one notebook and replace it by the result. If a cell raises, the file stays as it was."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,  # or how a print is cut depends on how busy the machine is
    )
    client.execute()
    clean(notebook)
    part = path.with_suffix(".part")
    nbformat.write(notebook, part)
    os.replace(part, path)


def clean(notebook: nbformat.NotebookNode) -> None:
    """Keep only the metadata that a reader or a test uses."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags"})


def find(name: str) -> Path:
    """The notebook of that file name or number. Ends the program with a sentence where there is none."""
    path = Path(name)
    if path.suffix == ".ipynb" and path.is_file():
        return path.resolve()
    found = sorted(HERE.glob(f"{path.name.removesuffix('.ipynb')}*.ipynb"))
    if len(found) == 1:
        return found[0]
    there = ", ".join(book.stem for book in sorted(HERE.glob("*.ipynb")))
    sys.exit(f"There is no notebook {name!r}{' alone' if found else ''}; there are {there}.")


def main() -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    for path in [find(name) for name in sys.argv[1:]] or sorted(HERE.glob("*.ipynb")):
        print(f"running {path.name} ...", end=" ", flush=True)
        begin = time.perf_counter()
        refresh(path)
        print(f"{time.perf_counter() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
