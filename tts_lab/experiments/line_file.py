"""Append-only files of JSON lines: a line is written whole, in one call, and is on the disk before the next one counts.

A kill at any moment leaves finished lines and at most one torn one, which the next writer removes. Results of sweeps
and answers of listeners are kept like this.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError, OutputError

Line = dict[str, Any]
START = '{"kind": "'  # of every line


@dataclass(frozen=True)
class Found:
    """What a file holds. lines: in the order in which they were written. unreadable: numbers of lines that are none of
    ours. torn: whether the last line was cut off."""

    lines: tuple[Line, ...] = ()
    unreadable: tuple[int, ...] = ()
    torn: bool = False


@dataclass(frozen=True)
class LineFile:
    """A file of lines that begin with their kind.

    is_ours: whether parsed JSON is a line of this sort of file; KeyError and TypeError mean no. what: what such a file
    holds, for sentences: "the results of a sweep".
    """

    path: Path
    is_ours: Callable[[Line], bool]
    what: str

    def read(self) -> Found:
        """Everything in the file; nothing where there is none. Raises LabError where it is some other file."""
        try:
            text = self.path.read_bytes().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return Found()
        except OSError as error:
            raise LabError(f"{self.path} cannot be read ({error.strerror}); name another file.") from None
        return self._sorted(text)

    def append(self, line: Mapping[str, Any]) -> None:
        """Add a line. Raises OutputError where the disk is full or the file cannot be written."""
        data = (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
        try:
            with self.path.open("ab", buffering=0) as file:
                written = file.write(data)
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror}); what is in it is kept.") from None
        if written != len(data):
            raise OutputError(f"{self.path} cannot be written: the disk is full. What is in it is kept; make room.")

    def repair(self) -> None:
        """Remove a torn last line; end one that is whole and lacks its end."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            data = file.read()
            rest = data.rpartition(b"\n")[2]
            if self._parsed(rest.decode("utf-8", errors="replace")):
                file.write(b"\n")
            elif rest:
                file.truncate(len(data) - len(rest))

    def _sorted(self, text: str) -> Found:
        whole_lines, _, rest = text.rpartition("\n")
        is_line = self._parsed(rest) is not None
        lines = [*whole_lines.split("\n"), rest] if is_line else whole_lines.split("\n")
        read = [(number, self._parsed(line)) for number, line in enumerate(lines, 1) if line.strip()]
        if text.strip() and not any(data for _, data in read) and not _is_beginning(text):
            raise LabError(f"{self.path} holds something else than {self.what}; name another file.")
        return Found(
            tuple(data for _, data in read if data),
            tuple(number for number, data in read if not data),
            torn=bool(rest.strip()) and not is_line,
        )

    def _parsed(self, text: str) -> Line | None:
        try:
            data = json.loads(text)
            return dict(data) if self.is_ours(data) else None
        except (ValueError, KeyError, TypeError):
            return None


@contextmanager
def sole_writer(lock: Path, busy: str, path: Path, wait: float = 0) -> Iterator[None]:
    """Hold a lock file. busy: the sentence of the LabError while another process holds it. wait: seconds to wait."""
    from filelock import FileLock, Timeout

    held = FileLock(lock, timeout=wait)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise LabError(busy) from None
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place.") from None
    try:
        yield
    finally:
        held.release()


def _is_beginning(text: str) -> bool:
    """Whether all that there is may be a first line that was cut off."""
    return text.startswith(START) if len(text) > len(START) else START.startswith(text)
