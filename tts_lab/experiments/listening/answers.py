"""The answers of one listener on disk: a header, a line for each answer, and at the end the key.

Blindness. While a test goes on its file holds labels ("X is A", scores of A to F) and nothing that says what stood
behind them: that follows from the seed, the definition and the listener's name (`order`), which the file does hold, and
whoever runs a program on these cheats knowingly. When the last answer is in, the key is written too, so that any other
program can read the file. The analysis derives the key again and refuses a file that has another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError
from tts_lab.experiments.line_file import Found, Line, LineFile, sole_writer
from tts_lab.experiments.listening.definition import Definition
from tts_lab.experiments.listening.order import plan

SCHEMA = 1
HEADER, ANSWER, KEY = "header", "answer", "key"
WAIT = 5.0  # seconds for another process that writes an answer


@dataclass(frozen=True, repr=False)
class Record:
    """What one listener answered. answers: as given, one a trial, in order. finished: whether these are all.

    simulated: whether a program answered; it goes into the title of every table and figure. environment: where.
    """

    test: Definition
    listener: str
    answers: tuple[Any, ...]
    finished: bool
    simulated: bool = False
    environment: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        state = "finished" if self.finished else f"{len(self.answers)} of {self.test.trials} trials"
        return f"Record({self.listener}{', simulated' if self.simulated else ''}: {self.test.kind}, {state})"


class AnswersFile:
    """The file of one listener and one test. Other processes may read it; answers are added one at a time."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = LineFile(self.path, _is_ours, "the answers of a listening test")

    def read(self) -> Record | None:
        """What the file holds; None where there is none, or nothing but a torn first line.

        Raises LabError where it is some other file, of a newer version, damaged, or has another key than it should.
        """
        found = self._file.read()
        if not found.lines:
            return None
        self._check(found)
        header, *rest = found.lines
        test = Definition.from_dict(header["test"])
        if test.key != header["key"]:
            raise LabError(f"The definition in {self.path} was changed after the test began; take an unchanged copy.")
        answers = tuple(line["answer"] for line in rest if line["kind"] == ANSWER)
        keys = [line["key"] for line in rest if line["kind"] == KEY]
        if keys and keys[0] != key(test, header["listener"], len(answers)):
            raise LabError(f"The key in {self.path} is not that of its test and listener; take an unchanged copy.")
        return Record(
            test, header["listener"], answers, bool(keys), header["simulated"], header["environment"]
        )  # fmt: skip

    def begin(self, record: Record) -> None:
        """Write the header. Raises OutputError where that is not possible."""
        with self._alone():
            self._file.repair()
            self._file.append({
                "kind": HEADER, "schema": SCHEMA, "key": record.test.key, "test": record.test.to_dict(),
                "listener": record.listener, "simulated": record.simulated, "environment": dict(record.environment),
            })  # fmt: skip

    def append(self, number: int, answer: Any, more: Mapping[str, Any]) -> None:
        """Add the answer to trial `number` (from 1). Raises LabError where another session has answered meanwhile."""
        with self._alone():
            self._file.repair()
            there = sum(line["kind"] == ANSWER for line in self._file.read().lines)
            if there != number - 1:
                raise LabError(
                    f"{self.path} holds {there} answers where {number - 1} were expected: the test went on in another "
                    "window. Make the session again to go on from there."
                )
            self._file.append({"kind": ANSWER, "trial": number, "answer": answer, **more})

    def finish(self, record: Record) -> None:
        """Write the key: what stood behind the labels."""
        with self._alone():
            self._file.append({"kind": KEY, "key": key(record.test, record.listener, len(record.answers))})

    def _alone(self) -> Any:
        lock = self.path.with_name(f".{self.path.name}.lock")
        busy = f"Another window is writing into {self.path}; wait a moment and answer again."
        return sole_writer(lock, busy, self.path, WAIT)

    def _check(self, found: Found) -> None:
        header, *rest = found.lines
        if header["kind"] != HEADER or any(line["kind"] == HEADER for line in rest):
            raise LabError(f"{self.path} must begin with its only header, but does not; take an unchanged copy.")
        if header["schema"] != SCHEMA:
            raise LabError(f"{self.path} has version {header['schema']} of the format; this program reads {SCHEMA}.")
        trials = [line["trial"] for line in rest if line["kind"] == ANSWER]
        if found.unreadable or trials != list(range(1, len(trials) + 1)):
            raise LabError(f"{self.path} is damaged: an answer is missing or unreadable; take an unchanged copy.")


def key(test: Definition, listener: str, trials: int) -> list[dict[str, Any]]:
    """What stood behind the labels of the first `trials` trials, as plain data."""
    return [{"item": shown.item, **shown.of} for shown in plan(test, listener)[:trials]]


def _is_ours(data: Line) -> bool:
    needed = {
        HEADER: ("schema", "key", "test", "listener", "simulated", "environment"),
        ANSWER: ("trial", "answer"), KEY: ("key",),
    }  # fmt: skip
    return all(name in data for name in needed[data["kind"]])
