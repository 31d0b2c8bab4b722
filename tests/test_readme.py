"""The README keeps its promises: its figures are the measured ones, its commands exist, its Python runs."""

import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
sys.path.append(str(ROOT / "benchmarks"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_tables_are_those_of_the_measured_data() -> None:
    import readme

    for document in readme.DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for marked in text.split("<!-- table:")[1:]:
            shown = marked.split("<!-- end -->")[0]
            assert "| ---" in shown or "Not measured yet" in shown, document
        assert readme.filled(document) == text, "run `python benchmarks/readme.py`"


def test_files_that_are_named_exist() -> None:
    named = set(re.findall(r"\]\(([^)#:]+)\)", README)) | set(
        re.findall(r"`((?:tts_lab|docs|notebooks|training|data)/[\w./]*)`", README)
    )
    assert len(named) > 8
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_shell_commands_are_ones_that_the_command_line_knows() -> None:
    from typer.main import get_command

    from tts_lab.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    lines = [part.strip() for block in blocks("bash") for line in block.splitlines() for part in line.split(";")]
    used = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("./lab ")]
    words = {args[0] for args in used if args}
    known = "test speak vram fit fetch claims sweep voices recipes doctor web listen"
    assert words == set(known.split())
    for args in used:
        if args and args[0] in commands:
            options = {name for p in commands[args[0]].params for name in p.opts}
            assert {a for a in args if a.startswith("--")} <= options


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs_as_it_stands(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert "xiaobei" in capsys.readouterr().out
