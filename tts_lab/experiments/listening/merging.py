"""Answers of several listeners: files read, put together, and analysed as one test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tts_lab.errors import LabError
from tts_lab.experiments.listening.answers import AnswersFile, Record
from tts_lab.experiments.listening.definition import ABX, MUSHRA
from tts_lab.experiments.listening.result import Result
from tts_lab.experiments.listening.results import AbxResult, MushraResult, PreferenceResult


def read(paths: Iterable[str | Path]) -> list[Record]:
    """The records of several files. Raises LabError for a file that is missing, or is none of a listening test."""
    found = []
    for path in paths:
        record = AnswersFile(path).read()
        if record is None:
            raise LabError(f"There are no answers in {path}; check the name and the folder.")
        found.append(record)
    return found


def analyse(records: Sequence[Record], *, mid_rule: bool = False) -> Result:
    """What one or several listeners' answers to one test show.

    mid_rule: of MUSHRA, also screen by the 7 kHz anchor. Tests that are not finished are left out, because who stops
    when it suits finds what suits. Raises LabError where listeners took different tests, one name comes twice,
    simulated and real listeners are mixed, or nobody has finished.
    """
    kept, left_out = _merged(records)
    test = kept[0].test
    kind = {ABX: AbxResult, MUSHRA: MushraResult}.get(test.kind, PreferenceResult)
    more = {"mid_rule": mid_rule} if kind is MushraResult else {}
    return kind(test, tuple(kept), left_out, **more)


def _merged(records: Sequence[Record]) -> tuple[list[Record], tuple[str, ...]]:
    """The finished ones, and sentences on the others."""
    if not records:
        raise LabError("There are no answers to analyse.")
    if len({record.test.key for record in records}) > 1:
        raise LabError(
            "These answers are to different tests, or to other sounds; only answers to one and the same test can be "
            "merged. Give colleagues the file that `test.save` writes."
        )
    names = [record.listener for record in records]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LabError(f"{', '.join(twice)} comes twice; every listener counts once.")
    if len({record.simulated for record in records}) > 1:
        raise LabError("Some of these listeners are simulated and some are not; they cannot be merged.")
    kept = [record for record in records if record.finished]
    if not kept:
        raise LabError("Nobody has finished the test yet; results before the end would depend on when one looks.")
    left = tuple(
        f"{r.listener} has answered {len(r.answers)} of {r.test.trials} trials and is left out."
        for r in records
        if not r.finished
    )
    return kept, left
