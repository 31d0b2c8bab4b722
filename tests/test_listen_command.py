"""`tts-lab listen analyse` puts files together and prints what they show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from listening_fakes import made
from tts_lab.cli import app
from tts_lab.experiments.listening import abx, mushra
from tts_lab.experiments.listening.simulated import Ears, take


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    test = abx(made(), 16)
    return [str(take(test, name, Ears(0.9), file=tmp_path / f"{name}.jsonl").file.path) for name in ("lin", "wang")]


def run(*args: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(app, ["listen", "analyse", *args])


def test_the_table_of_several_files(files: list[str]) -> None:
    done = run(*files)
    assert done.exit_code == 0, done.stderr
    assert "SIMULATED listeners: The difference between good and bad is heard" in done.stdout.replace("\n", " ")
    assert [word for word in ("lin", "wang", "all") if word not in done.stdout] == []


def test_json_is_one_line(files: list[str]) -> None:
    done = run(*files, "--json")
    data = json.loads(done.stdout)
    assert (data["kind"], data["listeners"], data["simulated"]) == ("abx", ["lin", "wang"], True)


def test_a_figure_is_drawn_when_asked(files: list[str], tmp_path: Path) -> None:
    assert run(*files, "--figure", str(tmp_path / "a.png")).exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_one_sentence(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("notes", encoding="utf-8")
    deaf = take(mushra(made(), "good"), "deaf", Ears(quality={"good": 20}), file=tmp_path / "deaf.jsonl")
    for args, part in (
        ([str(tmp_path / "none.jsonl")], "There are no answers in"),
        ([str(tmp_path / "notes.txt")], "something else than the answers"),
        ([files[0], files[0]], "lin comes twice"),
        ([files[0], "--figure", str(tmp_path / "a.gif")], "does not end in"),
        ([str(deaf.file.path), "--figure", str(tmp_path / "a.png")], "There is nothing to draw"),
    ):
        done = run(*args)
        assert done.exit_code == 2, args
        assert part in done.stderr
        assert done.stderr.count("\n") == 1
