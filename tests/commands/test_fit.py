"""`tts-lab fit` and `speak --fit` as a user and as a program see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.recipe import Recipe

CLIP = ("--reference-seconds", "3")
SHORT = ("--seconds", "3", *CLIP)  # the lengths of tests/experiments/test_planner.py, whose traces are kept


@pytest.fixture
def run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli.app, [*map(str, arguments)])


def test_a_person_gets_the_front_the_choice_and_what_is_given_up(run: Any) -> None:
    result = run("fit", "mini", "--card", "rtx3070", *SHORT)
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    assert "✓ For 3 s of speech with mini on GeForce RTX 3070" in told or "✓ For 3 s of speech with mini on" in told
    for words in ("Given up against default", "which was not measured on sound", "DistillMOS", "recipes in question"):
        assert words in told
    assert max(map(len, result.stdout.splitlines()[2:])) <= 200


def test_the_json_has_the_promised_keys(run: Any) -> None:
    result = run("fit", "mini", "--card", "8gb", *SHORT, "--json")
    plain = json.loads(result.stdout)
    assert (plain["system"], plain["card"], plain["verdict"], plain["safety"]) == ("mini", "8gb", "fits", 0.05)
    assert {"recipe", "peak_reserved_bytes", "latency_estimated_seconds", "pareto", "given_up"} <= set(plain)
    assert Recipe.from_dict(plain["recipe"]).precision == "fp16"


def test_the_file_is_one_that_speak_takes(run: Any) -> None:
    written = run("fit", "mini", "--card", "8gb", *SHORT, "--quality", "mos>=4.2", "--out", "plan.yaml")
    assert written.exit_code == 0, written.output
    assert "tts-lab speak --recipe plan.yaml" in " ".join(written.stdout.split())
    spoken = run("speak", "你好。", "--recipe", "plan.yaml", "--out", "a.wav", "--json")
    assert spoken.exit_code == 0, spoken.output
    assert json.loads(spoken.stdout)["recipe"] == Recipe.load("plan.yaml").to_dict()


def test_the_length_is_that_of_the_text(run: Any, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("今天天气真好，我们去公园。", encoding="utf-8")
    plain = json.loads(run("fit", "mini", "--card", "8gb", "--text-file", "a.txt", *CLIP, "--json").stdout)
    assert plain["seconds"] == 3


def test_nothing_fits(run: Any, tmp_path: Any) -> None:
    result = run("fit", "mini", "--card", "400mb", *SHORT, "--out", "plan.yaml")
    assert result.exit_code == 2
    assert "Nothing fits a card of 400mb" in " ".join(result.stderr.split())
    assert "would do" in result.stderr
    assert not (tmp_path / "plan.yaml").exists()
    plain = run("fit", "mini", "--card", "400mb", *SHORT, "--json")
    assert plain.exit_code == 2
    assert json.loads(plain.stdout)["missing_bytes"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mni",), "did you mean 'mini'?"),
        (("mini", "--card", "rtx3o70"), "Did you mean rtx3070"),
        (("mini", "--card=-8gb"), "must be more than nothing"),
        (("mini", "--card", "all"), "A plan is for one card"),
        (("mini", "--seconds", "-1"), "length of the speech must be a number of seconds above 0"),
        (("mini", "--reference-seconds", "-1"), "length of the reference clip must be"),
        (("mini", "--text-file", "nowhere.txt"), "cannot be read"),
        (("mini", "--text-file", "empty.txt"), "There is no text"),
        (("mini", "--text-file", "bytes.txt"), "not text in UTF-8"),
        (("mini", "--text-file", "a.txt", "--seconds", "3"), "not both"),
        (("mini", "--quality", "error<=1%"), "No measured setting of mini meets"),
        (("mini", "--quality", "good"), "A floor of quality cannot be 'good'"),
        (("indextts2", "--quality", "mos>=4"), "is not measured"),
        (("mini", "--safety", "much"), "--safety wants a share"),
        (("mini", "--safety", "100%"), "from 0 to below 1"),
        (("mini", "--out", "plan.txt"), "does not end in .yaml"),
        (("mini", "--out", "nowhere/plan.yaml"), "choose another folder"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_leaves_no_file(run: Any, tmp_path: Any, arguments: Any, words: str) -> None:
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "a.txt").write_text("你好。", encoding="utf-8")
    lengths = () if {"--seconds", "--text-file"} & set(arguments) else SHORT
    result = run("fit", *lengths, *arguments)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert {p.name for p in tmp_path.iterdir()} == {"a.txt", "bytes.txt", "empty.txt"}


def test_speak_fit_without_a_card_says_so_and_speaks(run: Any, tmp_path: Any) -> None:
    result = run("speak", "你好。", "--fit", "--device", "cpu", "--out", "a.wav", "--json")
    assert result.exit_code == 0, result.output
    assert "There is no card to fit to: on cpu the default recipe speaks." in " ".join(result.stderr.split())
    assert json.loads(result.stdout)["recipe"] == Recipe().to_dict()
    assert (tmp_path / "a.wav").exists()


def test_speak_fit_chooses_the_recipe_itself(run: Any) -> None:
    result = run("speak", "你好。", "--fit", "--steps", "3")
    assert result.exit_code == 2
    assert "--fit chooses the recipe itself" in result.stderr
