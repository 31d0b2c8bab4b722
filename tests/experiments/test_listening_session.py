"""A listener's session: blind to the end, kept at every answer, taken up again, and never mixed with another."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from listening_fakes import lines, made
from tts_lab.errors import LabError, OutputError
from tts_lab.experiments.listening import ListeningSession, Sprt, abx, analyse, mushra, preference, read
from tts_lab.experiments.listening.order import plan
from tts_lab.experiments.listening.rows import rows
from tts_lab.experiments.listening.simulated import Ears, take

NAMES = ("good", "bad", "sentence-0", "sentence-1", "sentence-2")


@pytest.fixture(scope="module")
def given():  # type: ignore[no-untyped-def]
    return made()


def answered(session: ListeningSession, count: int) -> ListeningSession:
    for _ in range(count):
        session.answer("A")
    return session


# --- taking a test ---


def test_abx_gives_three_sounds_of_which_x_is_one(given) -> None:  # type: ignore[no-untyped-def]
    session = ListeningSession(abx(given, 6), "lin")
    for number in range(1, 7):
        trial = session.trial
        assert (trial.number, trial.of, trial.labels, trial.choices) == (number, 6, ("A", "B"), ("A", "B"))
        same = [torch.equal(trial.sounds[label], trial.sounds["X"]) for label in "AB"]
        assert sum(same) == 1
        session.answer("AB"[same.index(True)])
    assert session.finished
    assert session.results.scores["lin"].right == 6


def test_always_wrong_is_never_right(given) -> None:  # type: ignore[no-untyped-def]
    session = take(abx(given, 10), "lin", Ears(right=0.0))
    assert session.results.scores["lin"].right == 0


def test_mushra_shows_the_reference_openly_and_hidden(given) -> None:  # type: ignore[no-untyped-def]
    session = ListeningSession(mushra(given, "good"), "lin")
    trial = session.trial
    assert list(trial.sounds) == ["R", "A", "B", "C", "D"]
    assert trial.labels == ("A", "B", "C", "D")
    assert sum(torch.equal(trial.sounds[label], trial.sounds["R"]) for label in trial.labels) == 1


def test_scores_arrive_at_the_conditions_that_were_heard(given) -> None:  # type: ignore[no-untyped-def]
    ears = Ears(quality={"bad": 60, "anchor 7 kHz": 40, "anchor 3.5 kHz": 20}, noise=0)
    found = rows([take(mushra(given, "good"), "lin", ears).record])
    assert {(row["condition"], row["score"]) for row in found} == {
        ("good", 100), ("bad", 60), ("anchor 7 kHz", 40), ("anchor 3.5 kHz", 20),
    }  # fmt: skip
    assert len(found) == 12


def test_a_sequential_test_stops_when_it_knows(given) -> None:  # type: ignore[no-untyped-def]
    sprt = Sprt()
    session = take(abx(given, 60, sequential=sprt), "lin", Ears(right=1.0))
    assert session.answered == next(n for n in range(60) if sprt.verdict(n, n) == "heard") < 10
    assert session.results.verdicts == {"lin": "heard"}
    with pytest.raises(LabError, match="The test is finished"):
        session.answer("A")


@pytest.mark.parametrize(
    ("make", "answer", "part"),
    [
        (abx, "X", "one of A, B, but is 'X'"),
        (abx, ["A"], "one of A, B"),
        (preference, "tie", "one of A, B, but is 'tie'"),
        (lambda s: mushra(s, "good"), {"A": 5}, "a score for each of A, B, C, D"),
        (lambda s: mushra(s, "good"), {"A": 5, "B": 5, "C": 5, "D": 101}, "that of D is 101"),
        (lambda s: mushra(s, "good"), {"A": True, "B": 5, "C": 5, "D": 5}, "that of A is True"),
    ],
)
def test_what_is_no_answer_is_a_sentence_and_is_not_kept(given, make, answer, part, tmp_path) -> None:  # type: ignore[no-untyped-def]
    session = ListeningSession(make(given), "lin", tmp_path / "a.jsonl")
    with pytest.raises(LabError, match=part):
        session.answer(answer)
    assert session.answered == 0
    assert [line["kind"] for line in lines(tmp_path / "a.jsonl")] == ["header"]


def test_a_tie_is_an_answer_where_it_is_allowed(given) -> None:  # type: ignore[no-untyped-def]
    session = ListeningSession(preference(given, 1, tie=True), "lin")
    assert session.trial.choices == ("A", "B", "tie")
    for _ in range(3):
        session.answer("tie")
    assert session.results.pairs[0].ties == 3


def test_a_listener_needs_a_name(given) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LabError, match="needs a name"):
        ListeningSession(abx(given), "  ")


# --- blindness ---


def test_results_are_refused_before_the_end(given) -> None:  # type: ignore[no-untyped-def]
    session = answered(ListeningSession(abx(given, 4), "lin"), 3)
    with pytest.raises(LabError, match="1 trials are left"):
        _ = session.results
    with pytest.raises(LabError, match="Nobody has finished"):
        analyse([session.record])


def test_what_a_listener_sees_names_no_condition(given) -> None:  # type: ignore[no-untyped-def]
    for test in (abx(given, 4), preference(given), mushra(given, "good")):
        session = ListeningSession(test, "lin")
        trial = session.trial
        for shown in (repr(trial), repr(session), repr(session.record), *map(str, (trial.sounds, trial.labels))):
            assert not any(name in shown for name in NAMES), shown
        assert not any(name in pickle.dumps(trial).decode("latin-1") for name in NAMES)


def test_no_attribute_of_a_session_holds_the_key(given) -> None:  # type: ignore[no-untyped-def]
    """Neither the order of the conditions nor what X is: both are derived where they are needed."""
    session = answered(ListeningSession(abx(given, 8), "lin"), 2)
    assert set(vars(session)) == {"test", "listener", "simulated", "file", "_answers", "_environment", "_since"}
    assert session._answers == ("A", "A")


def test_the_file_holds_labels_until_the_end_and_then_the_key(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.jsonl"
    session = answered(ListeningSession(abx(given, 4), "lin", path), 3)
    header, *rest = lines(path)
    assert [line["answer"] for line in rest] == ["A"] * 3
    assert not any(name in json.dumps(rest) for name in NAMES)
    assert header["schema"] == 1
    assert header["test"]["conditions"] == ["good", "bad"]
    assert {"torch", "cpu"} <= set(header["environment"])
    session.answer("B")
    *_, key = lines(path)
    assert key["kind"] == "key"
    assert [trial["X"] for trial in key["key"]] == [s.of["X"] for s in plan(session.definition, "lin")]


# --- going on ---


def test_the_same_listener_goes_on_at_the_first_trial_that_is_open(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test, path = abx(given, 6, seed=2), tmp_path / "deep" / "a.jsonl"
    first = answered(ListeningSession(test, "lin", path), 2)
    following = first.trial
    again = ListeningSession(test, "lin", path)
    assert (again.answered, repr(again.trial)) == (2, repr(following))
    assert all(torch.equal(again.trial.sounds[label], s) for label, s in following.sounds.items())
    answered(again, 4)
    assert ListeningSession(test, "lin", path).results.to_dict() == again.results.to_dict()
    whole = answered(ListeningSession(test, "lin"), 6)
    assert whole.results.to_dict() == again.results.to_dict()


def test_a_torn_line_is_removed_and_its_trial_asked_again(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test, path = abx(given, 4), tmp_path / "a.jsonl"
    answered(ListeningSession(test, "lin", path), 3)
    whole = path.read_bytes()
    for cut in (1, 10, len(whole.splitlines()[-1])):
        path.write_bytes(whole[:-cut])
        session = ListeningSession(test, "lin", path)
        assert session.answered == (3 if cut == 1 else 2)
        answered(session, 4 - session.answered)
        assert session.finished
        assert [line.get("trial") for line in lines(path)] == [None, 1, 2, 3, 4, None]


def test_a_torn_header_begins_again(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.jsonl"
    path.write_text('{"kind": "header", "sch', encoding="utf-8")
    answered(ListeningSession(abx(given, 4), "lin", path), 4)
    assert read([path])[0].finished


def test_a_key_that_is_missing_after_the_last_answer_is_written(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test, path = abx(given, 2), tmp_path / "a.jsonl"
    answered(ListeningSession(test, "lin", path), 2)
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    assert not read([path])[0].finished
    assert ListeningSession(test, "lin", path).finished
    assert read([path])[0].finished


CHILD = """
import sys
from tts_lab.experiments.listening import ListeningSession, ListeningTest
session = ListeningSession(ListeningTest.load(sys.argv[1]), "lin", sys.argv[2])
while True:
    session.answer("A")
    print(session.answered, flush=True)
"""


def test_killed_at_any_moment_no_answer_that_was_taken_is_lost(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test, path = abx(given, 5000), tmp_path / "a.jsonl"
    test.save(tmp_path / "test.zip")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "test.zip"), str(path)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert child.stdout is not None
    told = 0
    while told < 20:
        told = int(child.stdout.readline())
    time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    told = max([told, *map(int, child.stdout.read().split("\n")[:-1])])
    child.wait()
    assert ListeningSession(test, "lin", path).answered in (told, told + 1)


def test_two_windows_do_not_answer_the_same_trial(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test, path = abx(given, 4), tmp_path / "a.jsonl"
    old = ListeningSession(test, "lin", path)
    answered(ListeningSession(test, "lin", path), 1)
    with pytest.raises(LabError, match="the test went on in another window"):
        old.answer("B")
    assert [line["answer"] for line in lines(path) if line["kind"] == "answer"] == ["A"]


# --- files of others ---


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda given: (abx(given, 6), "lin", False), "answers to another test"),
        (lambda given: (abx(given, 4, seed=9), "lin", False), "answers to another test"),
        (lambda given: (abx(made("good worse"), 4), "lin", False), "answers to another test"),
        (lambda given: (abx(given, 4), "wang", False), "holds the answers of lin; name another file for wang"),
        (lambda given: (abx(given, 4), "lin", True), "holds the answers of a person"),
    ],
)
def test_another_test_or_listener_in_the_same_file_is_refused(given, change, part, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.jsonl"
    answered(ListeningSession(abx(given, 4), "lin", path), 1)
    before = path.read_bytes()
    test, name, simulated = change(given)
    with pytest.raises(LabError, match=part):
        ListeningSession(test, name, path, simulated=simulated)
    assert path.read_bytes() == before


def test_a_file_that_is_something_else_is_left_alone(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n", encoding="utf-8")
    with pytest.raises(LabError, match="something else than the answers of a listening test"):
        ListeningSession(abx(given), "lin", path)
    assert path.read_text(encoding="utf-8") == "my notes\n"


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda text: text.replace('"schema": 1', '"schema": 2'), "version 2 of the format; this program reads 1"),
        (lambda text: text.replace('"trials": 4', '"trials": 5'), "was changed after the test began"),
        (lambda text: text.replace('"X": "good"', '"X": "bad"'), "is not that of its test and listener"),
        (lambda text: text.replace('"trial": 2', '"trial": 3'), "an answer is missing or unreadable"),
        (lambda text: text.replace('"trial": 2', '"trial" 2'), "an answer is missing or unreadable"),
        (lambda text: text + text, "its only header"),
    ],
)
def test_a_file_that_was_changed_is_refused(given, spoil, part, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.jsonl"
    answered(ListeningSession(abx(given, 4), "lin", path), 4)
    text = path.read_text("utf-8")
    assert spoil(text) != text
    path.write_text(spoil(text), encoding="utf-8")
    with pytest.raises(LabError, match=part):
        read([path])


def test_missing_answers_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="There are no answers in"):
        read([tmp_path / "a.jsonl"])
    with pytest.raises(LabError, match="cannot be read"):
        read([tmp_path])


def test_a_place_that_cannot_be_written_is_a_sentence(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises((OutputError, LabError), match=r"cannot be (written|read)"):
        ListeningSession(abx(given), "lin", tmp_path / "file" / "a.jsonl")
