"""Answers of several listeners as one result: what may be merged, what is said, and that simulation is never hidden."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from listening_fakes import made
from tts_lab.errors import LabError
from tts_lab.experiments.listening import ListeningSession, Sprt, abx, analyse, mushra, preference, read
from tts_lab.experiments.listening.result import SIMULATED
from tts_lab.experiments.listening.simulated import Ears, panel, take
from tts_lab.show.listening_figure import listening_figure

QUALITY = {"bad": 60, "anchor 7 kHz": 40, "anchor 3.5 kHz": 20}


@pytest.fixture(scope="module")
def given():  # type: ignore[no-untyped-def]
    return made(items=4)


def of(kind: str, given):  # type: ignore[no-untyped-def]
    made_by = {
        "abx": lambda: panel(abx(given, 16), 3, Ears(right=0.9)),
        "sequential": lambda: panel(abx(given, 40, sequential=Sprt()), 3, Ears(right=1.0)),
        "preference": lambda: panel(preference(given), 3, Ears(strengths={"good": 3})),
        "strengths": lambda: panel(
            preference(made("good mean bad"), tie=True), 3, Ears(strengths={"good": 3}, ties=0.2)
        ),
        "mushra": lambda: panel(mushra(given, "good"), 3, Ears(quality=QUALITY, noise=2)),
    }  # fmt: skip
    return analyse(made_by[kind]())


KINDS = ("abx", "sequential", "preference", "strengths", "mushra")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_said_shown_drawn_and_given_as_data(kind: str, given) -> None:  # type: ignore[no-untyped-def]
    result = of(kind, given)
    page = result._repr_html_()
    assert page.count("<table") == len(result.tables()) >= 1
    assert result.sentence.split("%")[0] in repr(result)
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert (data["listeners"], data["simulated"]) == (["simulated 1", "simulated 2", "simulated 3"], True)
    assert len(result.frame()) == len(result.rows)
    assert listening_figure(result)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", KINDS)
def test_simulation_is_written_over_everything(kind: str, given) -> None:  # type: ignore[no-untyped-def]
    result = of(kind, given)
    assert repr(result).startswith(SIMULATED)
    assert SIMULATED in result._repr_html_()
    assert listening_figure(result).get_suptitle().startswith(SIMULATED)
    people = dataclasses.replace(result, records=tuple(dataclasses.replace(r, simulated=False) for r in result.records))
    assert SIMULATED not in repr(people) + people._repr_html_() + listening_figure(people).get_suptitle()


def test_what_is_said_of_each_kind(given) -> None:  # type: ignore[no-untyped-def]
    assert of("abx", given).sentence.startswith("The difference between good and bad is heard: ")
    assert of("sequential", given).sentence.startswith("3 of 3 listeners heard a difference")
    assert of("preference", given).sentence == "good is preferred to bad."
    assert of("mushra", given).sentence.startswith("Degradation against good, by 3 of 3 listeners after screening: bad")
    deaf = take(abx(given, 16), "lin", Ears()).results
    assert "was not shown to be heard" in deaf.sentence
    assert "does not show that there is none" in deaf.notes()[-1]


def test_listeners_are_pooled_and_each_is_corrected(given) -> None:  # type: ignore[no-untyped-def]
    result = of("abx", given)
    header, body = result.table()
    assert [row[0] for row in body] == ["simulated 1", "simulated 2", "simulated 3", "all"]
    assert result.pooled.trials == 48
    assert result.pooled.right == sum(s.right for s in result.scores.values())
    assert header[5] == "p (Holm)"


def test_whom_screening_excludes_does_not_count_and_is_named(given) -> None:  # type: ignore[no-untyped-def]
    test = mushra(given, "good")
    good = panel(test, 2, Ears(quality=QUALITY, noise=0))
    deaf = take(test, "deaf", Ears(quality={**QUALITY, "good": 50}, noise=0)).record
    result = analyse([*good, deaf])
    assert "2 of 3 listeners after screening" in result.sentence
    assert any(note.startswith("deaf scored the hidden reference below 90 in 100%") for note in result.notes())
    assert {m.condition: m.value for m in result.means}["good"] == 100
    nobody = analyse([deaf])
    assert "nothing can be said" in nobody.sentence
    assert nobody.table()[1] == []
    assert "deaf scored" in repr(nobody)
    with pytest.raises(ValueError, match="no scores to draw"):
        listening_figure(nobody)


def test_the_rule_of_the_middle_anchor_is_an_option(given) -> None:  # type: ignore[no-untyped-def]
    test = mushra(given, "good")
    records = panel(test, 4, Ears(quality=QUALITY, noise=0))
    records.append(take(test, "odd", Ears(quality={**QUALITY, "anchor 7 kHz": 95}, noise=0)).record)
    assert "5 of 5" in analyse(records).sentence
    assert "4 of 5" in analyse(records, mid_rule=True).sentence


# --- merging ---


def test_files_of_several_listeners_are_one_result(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test = abx(given, 8)
    paths = [tmp_path / f"{name}.jsonl" for name in ("lin", "wang")]
    sessions = [take(test, path.stem, Ears(right=0.9), file=path) for path in paths]
    assert analyse(read(paths)).to_dict() == analyse([s.record for s in sessions]).to_dict()


def test_who_has_not_finished_is_left_out_and_named(given) -> None:  # type: ignore[no-untyped-def]
    test = abx(given, 8)
    session = ListeningSession(test, "lin", simulated=True)
    session.answer("A")
    result = analyse([session.record, take(test, "wang", Ears()).record])
    assert result.listeners == ("wang",)
    assert "lin has answered 1 of 8 trials and is left out." in result.notes()


def test_what_cannot_be_merged_is_a_sentence(given) -> None:  # type: ignore[no-untyped-def]
    test = abx(given, 4)
    lin = take(test, "lin", Ears()).record
    person = dataclasses.replace(take(test, "wang", Ears()).record, simulated=False)
    for records, part in (
        ([], "no answers"),
        ([lin, take(abx(given, 5), "wang", Ears()).record], "different tests, or to other sounds"),
        ([lin, lin], "lin comes twice"),
        ([lin, person], "simulated and some are not"),
    ):
        with pytest.raises(LabError, match=part):
            analyse(records)


def test_a_simulation_does_not_depend_on_the_last_bit_of_a_sound(given) -> None:  # type: ignore[no-untyped-def]
    """Bits decide the order of a test; on another processor the sounds of a notebook have others."""
    from tts_lab.experiments.listening import Sounds

    moved = {i: {n: s + (torch.arange(s.numel()) == 7) / 2**15 for n, s in of.items()} for i, of in given.of.items()}
    other = Sounds(moved, given.rate)
    for make in (lambda s: mushra(s, "good"), lambda s: preference(s, tie=True), lambda s: abx(s, 20)):
        results = [analyse(panel(make(s), 3, Ears(0.7, {"good": 1}, 0.2, QUALITY, own=5))) for s in (given, other)]
        assert results[0].test.key != results[1].test.key
        assert [r.tables() for r in results] == [results[0].tables()] * 2
