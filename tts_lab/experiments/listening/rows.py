"""Answers with their labels replaced by what stood behind them: a row a judgement, plain data for tables and pandas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tts_lab.experiments.listening.answers import Record
from tts_lab.experiments.listening.definition import ABX, MUSHRA
from tts_lab.experiments.listening.order import OPEN, Shown, plan

Row = dict[str, Any]


def rows(records: Iterable[Record]) -> list[Row]:
    """All judgements of several listeners, in the order in which they were made.

    ABX: listener, trial, item, right. Preference: listener, trial, item, first, second, winner (None: a tie). MUSHRA:
    listener, trial, item, condition, score.
    """
    return [row for record in records for row in _of(record)]


def is_right(shown: Shown, answer: str) -> bool:
    """Whether an answer to an ABX trial names what X is."""
    return shown.of[answer] == shown.of["X"]


def _of(record: Record) -> Iterator[Row]:
    shown = plan(record.test, record.listener)
    for number, (trial, answer) in enumerate(zip(shown, record.answers, strict=False), 1):
        common = {"listener": record.listener, "trial": number, "item": trial.item}
        if record.test.kind == ABX:
            yield {**common, "right": is_right(trial, answer)}
        elif record.test.kind == MUSHRA:
            behind = {label: name for label, name in trial.of.items() if label != OPEN}
            yield from ({**common, "condition": behind[label], "score": score} for label, score in answer.items())
        else:
            winner = trial.of.get(answer)
            yield {**common, "first": trial.of["A"], "second": trial.of["B"], "winner": winner}
