"""A listener taking a test, with or without a window: the next trial, an answer, the next trial, the result.

    session = ListeningSession(test, "lin", "lin.jsonl")
    while not session.finished:
        session.answer("A" if sounds_like(session.trial.sounds) else "B")
    session.results

Nothing here says which condition a label stands for before the end: a trial holds labels and samples, the session a
count, and what is behind them is derived only where it is needed (`answers` says what the file holds). X of an ABX
trial has the bits of A or of B; the test is blind against expectation, not against a program that compares bits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tts_lab.errors import LabError
from tts_lab.experiments.listening.answers import AnswersFile, Record
from tts_lab.experiments.listening.building import ListeningTest
from tts_lab.experiments.listening.definition import ABX, MUSHRA, Definition
from tts_lab.experiments.listening.order import OPEN, plan
from tts_lab.experiments.listening.rows import is_right
from tts_lab.experiments.machine import environment

if TYPE_CHECKING:
    from tts_lab.experiments.listening.result import Result

TIE = "tie"
Answer = str | Mapping[str, int]


@dataclass(frozen=True, repr=False)
class Trial:
    """What a listener is given. number: from 1. of: how many there are; of a sequential test, at most. sounds: label ->
    (s,) float32. rate: in Hz. labels: those to be scored or chosen from. choices: the answers, where one is chosen."""

    number: int
    of: int
    sounds: Mapping[str, Tensor]
    rate: int
    labels: tuple[str, ...]
    choices: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Trial({self.number} of {self.of}: {', '.join(self.sounds)})"


class ListeningSession:
    """One listener and one test; what is answered is kept, and taken up again by the next session of both.

    listener: a name, which decides the order of everything. file: where answers are kept (.jsonl); None: nowhere.
    simulated: whether a program answers. Raises LabError where the file belongs to another test or listener.
    """

    def __init__(
        self, test: ListeningTest, listener: str, file: str | Path | None = None, *, simulated: bool = False
    ) -> None:
        if not isinstance(listener, str) or not listener.strip():
            raise LabError("A listener needs a name, such as lin; it decides the order in which sounds are heard.")
        self.test = test
        self.listener = listener.strip()
        self.simulated = simulated
        self.file = None if file is None else AnswersFile(file)
        self._answers: tuple[Any, ...] = ()
        self._environment: Mapping[str, Any] = {}
        self._begin()
        self._since = time.monotonic()

    def __repr__(self) -> str:
        state = "finished" if self.finished else f"{self.answered} of {self.definition.trials} trials answered"
        return f"ListeningSession({self.listener}: {self.definition.kind}, {state})"

    @property
    def definition(self) -> Definition:
        return self.test.definition

    @property
    def answered(self) -> int:
        """How many trials are done."""
        return len(self._answers)

    @property
    def finished(self) -> bool:
        """Whether all trials are answered, or a sequential test has decided."""
        return self.answered == self.definition.trials or _decided(self.definition, self.listener, self._answers)

    @property
    def trial(self) -> Trial:
        """The next one. Raises LabError after the last."""
        if self.finished:
            raise LabError("The test is finished; `results` says what came out.")
        shown = plan(self.definition, self.listener)[self.answered]
        sounds = {label: self.test.sounds.of[shown.item][condition] for label, condition in shown.of.items()}
        labels = tuple(label for label in sounds if label not in ("X", OPEN))
        choices = () if self.definition.kind == MUSHRA else labels + ((TIE,) if self.definition.tie else ())
        return Trial(self.answered + 1, self.definition.trials, sounds, self.test.sounds.rate, labels, choices)

    def answer(self, answer: Answer) -> None:
        """The answer to the current trial: "A" or "B" ("tie", where that is allowed), or a score from 0 to 100 for each
        label. It is on the disk when this returns. Raises LabError for anything else."""
        trial = self.trial
        given = _scores(answer, trial) if self.definition.kind == MUSHRA else _choice(answer, trial)
        if self.file is not None:
            seconds = round(time.monotonic() - self._since, 1)
            more = {"seconds": seconds, "at": datetime.now(UTC).isoformat(timespec="seconds")}
            self.file.append(trial.number, given, more)
        self._answers += (given,)
        self._since = time.monotonic()
        if self.file is not None and self.finished:
            self.file.finish(self.record)

    @property
    def record(self) -> Record:
        """What was answered so far, in the listener's words: labels."""
        return Record(
            self.definition, self.listener, self._answers, self.finished, self.simulated, self._environment
        )  # fmt: skip

    @property
    def results(self) -> Result:
        """What came out. Raises LabError before the end: who knows how it stands listens differently."""
        if not self.finished:
            left = self.definition.trials - self.answered
            raise LabError(f"The test is not finished: {left} trials are left. Results before the end would bias them.")
        from tts_lab.experiments.listening.merging import analyse

        return analyse([self.record])

    def _begin(self) -> None:
        if self.file is None:
            return
        found = self.file.read()
        if found is None:
            self._environment = environment()
            self.file.begin(self.record)
            return
        self._check(found)
        self._answers, self._environment = found.answers, found.environment
        if self.finished and not found.finished:  # it was stopped between the last answer and the key
            self.file.finish(self.record)

    def _check(self, found: Record) -> None:
        path = self.file.path if self.file else ""
        if found.test.key != self.definition.key:
            raise LabError(f"{path} holds answers to another test; name another file for this one.")
        if found.listener != self.listener:
            raise LabError(f"{path} holds the answers of {found.listener}; name another file for {self.listener}.")
        if found.simulated != self.simulated:
            who = "a simulated listener" if found.simulated else "a person"
            raise LabError(f"{path} holds the answers of {who}; name another file.")


def _decided(test: Definition, listener: str, answers: tuple[Any, ...]) -> bool:
    if test.kind != ABX or test.sequential is None or not answers:
        return False
    shown = plan(test, listener)
    right = [is_right(s, a) for s, a in zip(shown, answers, strict=False)]
    return test.sequential.decided(right) != "undecided"


def _choice(answer: Any, trial: Trial) -> str:
    if answer not in trial.choices:
        raise LabError(f"The answer must be one of {', '.join(trial.choices)}, but is {answer!r}.")
    return str(answer)


def _scores(answer: Any, trial: Trial) -> dict[str, int]:
    if not isinstance(answer, Mapping) or set(answer) != set(trial.labels):
        raise LabError(f"The answer must be a score for each of {', '.join(trial.labels)}, but is {answer!r}.")
    for label, score in answer.items():
        if isinstance(score, bool) or not isinstance(score, int) or not 0 <= score <= 100:
            raise LabError(f"Scores are whole numbers from 0 to 100, but that of {label} is {score!r}.")
    return {label: answer[label] for label in trial.labels}
