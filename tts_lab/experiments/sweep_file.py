"""The results of a sweep on disk: a JSON line for each finished cell, and beside it a folder of sounds and references.

A line is written whole, in one call, and is on the disk before the next cell counts as begun: a kill at any moment
leaves finished cells and at most one torn line, which the next writer removes. One process writes at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError, OutputError
from tts_lab.whole import whole

CELL, ENVIRONMENT = "cell", "environment"
Line = dict[str, Any]


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
        self._environments: set[str] = set()

    def read(self) -> Lines:
        """Everything in the file; nothing where there is none. Raises LabError where it is some other file."""
        try:
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return Lines()
        except OSError as error:
            raise LabError(f"The results {self.path} cannot be read ({error.strerror}); name another file.") from None
        return self._sorted(text)

    def _sorted(self, text: str) -> Lines:
        whole_lines, _, rest = text.rpartition("\n")
        lines = [*whole_lines.split("\n"), rest] if _is_line(rest) else whole_lines.split("\n")
        read = [(number, _parsed(line)) for number, line in enumerate(lines, 1) if line.strip()]
        if text.strip() and not any(data for _, data in read) and not _is_beginning(text):
            raise LabError(f"{self.path} holds something else than the results of a sweep; name another file.")
        return Lines(
            tuple(data for _, data in read if data and data["kind"] == CELL),
            {data["id"]: data["environment"] for _, data in read if data and data["kind"] == ENVIRONMENT},
            tuple(number for number, data in read if not data),
            torn=bool(rest.strip()) and not _is_line(rest),
        )

    @contextmanager
    def writing(self) -> Iterator[Lines]:
        """Hold the file as its only writer. Yields what it holds, a torn last line not counted, which is then removed.

        Raises LabError while another process writes, OutputError where nothing can be written.
        """
        lock = self._lock()
        try:
            lines = self.read()
            self._environments = set(lines.environments)
            self._repair()
            yield lines
        finally:
            lock.release()

    def _lock(self) -> Any:
        from filelock import FileLock, Timeout

        lock = FileLock(self.folder / "lock", timeout=0)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise LabError(
                f"Another sweep is writing into {self.path}: wait until it has ended, or name another file."
            ) from None
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror}); choose another place.") from None
        return lock

    def append(self, line: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
        """Add a finished cell, and before it the environment that it ran in where that is new.

        Raises OutputError where the disk is full or the file cannot be written.
        """
        name = environment_id(environment)
        if name not in self._environments:
            self._write({"kind": ENVIRONMENT, "id": name, "environment": dict(environment)})
            self._environments.add(name)
        self._write({"kind": CELL, **line, "environment": name})

    def keep(self, name: str, data: bytes) -> Path:
        """Write a file into the folder, whole or not at all. Returns where it is."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        with whole(path, "file") as part:
            part.write_bytes(data)
        return path

    def _write(self, line: Mapping[str, Any]) -> None:
        data = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
        try:
            with self.path.open("ab", buffering=0) as file:
                written = file.write(data)
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror}); what is in it is kept.") from None
        if written != len(data):
            raise OutputError(f"{self.path} cannot be written: the disk is full. What is in it is kept; make room.")

    def _repair(self) -> None:
        """Remove what a kill left: a torn last line, files that were not finished."""
        for part in self.folder.rglob(".*.part"):
            part.unlink(missing_ok=True)
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            data = file.read()
            rest = data.rpartition(b"\n")[2]
            if _is_line(rest.decode("utf-8", errors="replace")):
                file.write(b"\n")
            elif rest:
                file.truncate(len(data) - len(rest))


def environment_id(environment: Mapping[str, Any]) -> str:
    """A short name that only equal environments share."""
    return hashlib.sha256(json.dumps(environment, sort_keys=True).encode()).hexdigest()[:12]


def _parsed(line: str) -> Line | None:
    """A line that a sweep wrote, or None."""
    try:
        data = json.loads(line)
        if data["kind"] == CELL and isinstance(data["cell"], dict) and data["status"] in ("done", "failed"):
            return dict(data)
        return dict(data) if data["kind"] == ENVIRONMENT and isinstance(data["environment"], dict) else None
    except (ValueError, KeyError, TypeError):
        return None


def _is_line(text: str) -> bool:
    return _parsed(text) is not None


def _is_beginning(text: str) -> bool:
    """Whether all that there is may be a first line that was cut off."""
    start = '{"kind": "'
    return text.startswith(start) if len(text) > len(start) else start.startswith(text)
