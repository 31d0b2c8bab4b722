"""`tts-lab vram` as a user and as a program see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.commands.vram import beside
from tts_lab.experiments.vram import traced, vram, vram_cards
from tts_lab.memory.cards import cards
from tts_lab.memory.events import EventLog
from tts_lab.recipe import PRESETS, Recipe

SHORT = ("--seconds", "3")


@pytest.fixture
def run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(cli.app, ["vram", *map(str, arguments)])


def test_the_json_has_the_promised_keys_and_agrees_with_the_library(run: Any) -> None:
    result = run("mini", "--card", "rtx3070", "--seconds", "3", "--json")
    assert result.exit_code == 0, result.output
    plain = json.loads(result.stdout)
    assert set(plain["stages"]) >= {"speaker", "semantic", "acoustic", "vocoder"}
    assert all({"peak_allocated_bytes", "seconds_estimated"} <= set(stage) for stage in plain["stages"].values())
    assert (plain["system"], plain["card"], plain["recipe"], plain["verdict"]) == ("mini", "rtx3070", "default", "fits")
    report = vram("mini", "rtx3070", seconds=3)
    assert plain["peak_allocated_bytes"] == report.peak_allocated
    assert plain["peak_reserved_bytes"] == report.peak_reserved
    assert plain["streaming_floor_bytes"] == report.floor.bytes < report.peak_allocated  # type: ignore[union-attr]
    assert plain["trace_seconds"] > 0
    assert plain["replay_seconds"] > 0
    assert plain["operators"] > 1000


def test_a_person_gets_the_verdict_the_stages_and_the_peak(run: Any) -> None:
    result = run("mini", *SHORT)
    assert result.exit_code == 0
    assert "✓ Fits:" in result.stdout
    for word in ("semantic", "acoustic", "vocoder", "Largest at the peak", "seconds: estimated"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_every_card_at_once(run: Any) -> None:
    result = run("mini", *SHORT, "--card", "all")
    assert all(key in result.stdout for key in cards())
    lines = run("mini", *SHORT, "--card", "rtx3070", "--card", "300mb", "--json").stdout.splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["fits", "out_of_memory"]


def test_out_of_memory_is_told_in_pytorch_s_words(run: Any) -> None:
    result = run("mini", *SHORT, "--card", "350mb")
    assert result.exit_code == 0  # the question was answered
    told = " ".join(result.stdout.split())
    assert "CUDA out of memory. Tried to allocate" in told
    assert "[stage " in told


def test_files_are_written(run: Any, tmp_path: Any) -> None:
    result = run(
        "mini", *SHORT, "--html", "a.html", "--figure", "a.png", "--snapshot", "a.pickle", "--save-log", "a.npz"
    )
    assert result.exit_code == 0, result.output
    assert {p.name for p in tmp_path.iterdir()} == {"a.html", "a.png", "a.pickle", "a.npz"}
    again = run("a.npz", "--card", "rtx3070", "--json")
    assert json.loads(again.stdout)["peak_allocated_bytes"] == vram("mini", "rtx3070", seconds=3).peak_allocated
    assert isinstance(EventLog.load("a.npz"), EventLog)


def test_levers_change_the_answer(run: Any) -> None:
    plain, half, streamed = (
        json.loads(run("mini", *SHORT, "--json", *(f"--set={lever}" for lever in levers)).stdout)
        for levers in ((), ("precision=fp16",), ("precision=fp16", "offload=stage"))
    )
    assert plain["peak_allocated_bytes"] > half["peak_allocated_bytes"] > streamed["peak_allocated_bytes"]
    assert half["recipe"] == "default with precision fp16"


def test_the_allocator_can_be_set(run: Any) -> None:
    plain, rounded = (
        json.loads(run("mini", *SHORT, "--json", "--alloc-conf", conf).stdout)
        for conf in ("", "roundup_power2_divisions:2")
    )
    assert rounded["peak_allocated_bytes"] > plain["peak_allocated_bytes"]
    assert rounded["peak_requested_bytes"] == plain["peak_requested_bytes"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mni",), "There is no system 'mni' (did you mean 'mini'?)"),
        (("mini", "--card", "rtx3o70"), "Did you mean rtx3070"),
        (("mini", "--card=-8gb"), "must be more than nothing"),
        (("mini", "--card", "100mb"), "no room beside the CUDA context"),
        (("mini", "--recipe", "fastst"), "did you mean 'fastest'"),
        (("mini", "--set", "precison=fp16"), "did you mean 'precision'"),
        (("mini", "--set", "precision"), "wants lever=value"),
        (("mini", "--set", "precision=fp17"), "one of fp32, fp16, bf16"),
        (("mini", "--seconds", "0"), "length of the speech must be a number of seconds above 0"),
        (("mini", "--seconds", "nan"), "length of the speech must be a number of seconds above 0"),
        (("mini", "--reference-seconds", "-3"), "length of the reference clip must be"),
        (("mini", "--alloc-conf", "max_split_size:1"), "did you mean 'max_split_size_mb'"),
        (("nowhere.npz",), "give an existing file"),
        (("mini", "--html", "a.txt"), "does not end in .html"),
        (("mini", "--html", "nowhere/a.html"), "choose another folder"),
        (("mini", "--figure", "a.gif"), "does not end in .png"),
        (("mini", "--card", "all", "--html", "a.html"), "for one card only"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_and_leaves_no_file(run: Any, tmp_path: Any, arguments: Any, words: str) -> None:
    result = run(*arguments, *(() if "--seconds" in arguments else SHORT))
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_log_is_refused(run: Any, tmp_path: Any) -> None:
    run("mini", *SHORT, "--save-log", "a.npz")
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    result = run("a.npz")
    assert result.exit_code == 2
    assert "damaged, cut short or of another version" in " ".join(result.stderr.split())


def test_cards_that_take_the_same_kernels_share_a_trace() -> None:
    logs = {key: traced("mini", card, Recipe(steps=1), 1.0) for key, card in cards().items()}
    assert logs["rtx3070"] is logs["rtx4090"] is logs["a100-80gb"]
    assert logs["h100"] is logs["h200"]
    assert len({id(log) for log in logs.values()}) == 3
    assert [r.card.key for r in vram_cards("mini", ["t4", "8gb"], Recipe(steps=1), 1.0)] == ["t4", "8gb"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_predicted(name: str) -> None:
    report = vram("mini", "rtx3070", name, seconds=2)
    assert report.recipe == name
    assert report.verdict == "fits"
    assert report.floor is not None
    assert report.floor.bytes <= report.peak_requested


@pytest.mark.parametrize(("recipe", "told"), [("smallest", True), ("default", False)])
def test_what_overlap_gains_is_told_where_there_is_any(recipe: str, told: bool) -> None:
    report = vram("mini", "rtx3070", recipe, seconds=3.0)
    assert report.overlapped is not None
    lines = beside(report)
    assert bool(lines) == told
    if told:
        assert lines[0].startswith(f"{report.overlapped:.1f} s with copies beside the computing")
    assert report.to_dict()["seconds_overlapped"] == report.overlapped
