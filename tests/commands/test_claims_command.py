"""`tts-lab claims` as a user and as a program see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tts_lab import cli

QUICK = ("--only", "steps-quality", "--only", "trick-fp16-quality")  # read from measured data


@pytest.fixture
def run() -> Any:
    return lambda *arguments: CliRunner().invoke(cli.app, ["claims", *arguments])


def test_the_json_is_a_list_with_the_promised_keys(run: Any) -> None:
    result = run(*QUICK, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [each["id"] for each in found] == ["steps-quality", "trick-fp16-quality"]
    for each in found:
        assert {"id", "article", "measured", "verdict", "reason"} <= set(each)
        assert all({"value", "unit"} <= set(figure) for figure in each["measured"].values())


def test_a_person_gets_claim_figures_verdict_and_reason(run: Any) -> None:
    result = run(*QUICK)
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    for words in ("steps-quality", "holds", "MOS", "2 claims:"):
        assert words in told
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_traced_claims_run_from_the_command_line(run: Any) -> None:
    (found,) = json.loads(run("--only", "trick-offload-ram", "--json").stdout)
    assert found["article"]["value"] == 16
    assert found["kind"] == "does not hold"


def test_an_unknown_id_is_one_sentence(run: Any) -> None:
    result = run("--only", "trick-offlod")
    assert result.exit_code == 2
    told = " ".join(result.stderr.split())
    assert "There is no claim 'trick-offlod' (did you mean 'trick-offload'?)" in told
    assert "Traceback" not in result.output
    assert result.stdout == ""
