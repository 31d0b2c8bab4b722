"""The results of a sweep on disk: a JSON line for each finished cell, and beside it a folder of sounds and references.

A kill at any moment leaves finished cells and at most one torn line (`line_file`). One process writes at a time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_lab.experiments.line_file import Line, LineFile, sole_writer
from tts_lab.whole import whole

CELL, ENVIRONMENT = "cell", "environment"


@dataclass(frozen=True)
class Lines:
    """What a file holds. cells: in the order in which they were finished. environments: by their name. unreadable:
    numbers of lines that are no results. torn: whether the last line was cut off."""

    cells: tuple[Line, ...] = ()
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unreadable: tuple[int, ...] = ()
    torn: bool = False


class ResultsFile:
    """A file of results; its folder has the same name with `.files` added."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.folder = self.path.with_name(self.path.name + ".files")
        self._file = LineFile(self.path, _is_result, "the results of a sweep")
        self._environments: set[str] = set()

    def read(self) -> Lines:
        """Everything in the file; nothing where there is none. Raises LabError where it is some other file."""
        found = self._file.read()
        return Lines(
            tuple(line for line in found.lines if line["kind"] == CELL),
            {line["id"]: line["environment"] for line in found.lines if line["kind"] == ENVIRONMENT},
            found.unreadable,
            found.torn,
        )

    @contextmanager
    def writing(self) -> Iterator[Lines]:
        """Hold the file as its only writer. Yields what it holds, a torn last line not counted, which is then removed.

        Raises LabError while another process writes, OutputError where nothing can be written.
        """
        busy = f"Another sweep is writing into {self.path}: wait until it has ended, or name another file."
        with sole_writer(self.folder / "lock", busy, self.path):
            lines = self.read()
            self._environments = set(lines.environments)
            self._repair()
            yield lines

    def append(self, line: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Add a finished cell, and before it the environment that it ran in where that is new.

        Raises OutputError where the disk is full or the file cannot be written.
        """
        name = environment_id(environment)
        if name not in self._environments:
            self._file.append({"kind": ENVIRONMENT, "id": name, "environment": dict(environment)})
            self._environments.add(name)
        self._file.append({"kind": CELL, **line, "environment": name})

    def keep(self, name: str, data: bytes) -> Path:
        """Write a file into the folder, whole or not at all. Returns where it is."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        with whole(path, "file") as part:
            part.write_bytes(data)
        return path

    def _repair(self) -> None:
        """Remove what a kill left: a torn last line, files that were not finished."""
        for part in self.folder.rglob(".*.part"):
            part.unlink(missing_ok=True)
        self._file.repair()


def environment_id(environment: Mapping[str, Any]) -> str:
    """A short name that only equal environments share."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12]


def _is_result(data: Line) -> bool:
    """Whether a sweep wrote it."""
    if data["kind"] == CELL:
        return isinstance(data["cell"], dict) and data["status"] in ("done", "failed")
    return data["kind"] == ENVIRONMENT and isinstance(data["environment"], dict)
