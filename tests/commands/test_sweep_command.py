"""`tts-lab sweep` as a user and as a program see it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tts_lab import cli
from tts_lab.experiments import distances, sweep_work
from tts_lab.experiments.sweep import Sweep

ROOT = Path(__file__).resolve().parents[2]
GRID = """\
system: fake
levers:
  steps: [1, 2]
texts: [冬天快到了。, 你好，世界。]
voices: [low, high]
"""


@pytest.fixture
def run(tmp_path: Path, fake: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import numpy as np

    sweep_work._loaded.cache_clear()
    monkeypatch.setattr(distances, "fundamental", lambda samples: np.full(1 + len(samples) // 256, 200.0))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid.yaml").write_text(GRID, encoding="utf-8")
    return lambda *arguments: CliRunner().invoke(cli.app, ["sweep", *map(str, arguments)])


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_person_gets_a_plan_a_table_and_the_file(run: Any, tmp_path: Path) -> None:
    result = run("grid.yaml")
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[0] == "8 cells."
    assert "steps 1" in result.stdout
    assert "MCD dB" in result.stdout
    assert "Every cell is in grid.jsonl" in words(result.stdout)
    assert len(Sweep("grid.yaml", tmp_path / "grid.jsonl").results()) == 8


def test_the_same_command_goes_on(run: Any, tmp_path: Path) -> None:
    run("grid.yaml")
    path = tmp_path / "grid.jsonl"
    path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:-3]), encoding="utf-8")
    result = run("grid.yaml")
    assert result.stderr.splitlines()[0] == "8 cells: 5 are done, 3 are left."
    assert run("grid.yaml").stderr.splitlines() == ["All 8 cells are done."]


def test_a_program_gets_a_line_for_each_cell(run: Any) -> None:
    rows = [json.loads(line) for line in run("grid.yaml", "--json", "--out", "r.jsonl").stdout.splitlines()]
    assert [(row["steps"], row["voice"], row["status"]) for row in rows[:2]] == [
        (1, "low", "done"),
        (1, "high", "done"),
    ]
    assert len(rows) == 8
    assert {"mel_cepstral_distance", "f0_error_cents", "real_time_factor", "evaluations"} <= set(rows[0])


def test_sound_is_kept_beside_the_results(run: Any, tmp_path: Path) -> None:
    run("grid.yaml", "--keep-sound")
    assert len(list((tmp_path / "grid.jsonl.files" / "sound").glob("*.wav"))) == 8


def test_failed_cells_are_told_once_each_reason(run: Any, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID.replace("high", "hihg"), encoding="utf-8")
    result = run("grid.yaml")
    assert result.exit_code == 0
    assert "4 cells failed (--retry-failed tries them again): 4 x fake has no voice 'hihg'" in words(result.stdout)
    assert run("grid.yaml").stderr.startswith("All 8 cells are done.")
    assert "8 cells: 4 are done, 4 are left." in run("grid.yaml", "--retry-failed").stderr


def test_a_repeated_combination_is_left_out_with_its_reason(run: Any, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(
        GRID.replace("[1, 2]\n", "[1]\n  schedule: [sway, uniform]\n"), encoding="utf-8"
    )
    result = run("grid.yaml")
    assert "Left out" in result.stderr
    assert "a single step spans the whole way" in result.stderr
    assert "4 cells." in result.stderr


def test_the_rest_is_estimated_after_the_first_cells(run: Any, tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text(GRID.replace("[1, 2]", "[1, 2, 3, 4, 5]"), encoding="utf-8")
    assert "for the 16 cells that are left." in run("grid.yaml").stderr


def test_ctrl_c_leaves_what_is_done_and_says_how_to_go_on(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = sweep_work._measured, []

    def interrupted(job: Any, system: Any) -> Any:
        calls.append(job)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return whole(job, system)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_work, "_measured", interrupted)
        result = run("grid.yaml", "--out", "my results.jsonl", "--keep-sound", "--threads", 1)
    assert result.exit_code == 130
    assert "3 of 8 cells are finished and kept in my results.jsonl; go on with: " in words(result.stderr)
    again = "tts-lab sweep grid.yaml --out 'my results.jsonl' --threads 1 --keep-sound"
    assert again in words(result.stderr)
    assert "8 cells: 3 are done, 5 are left." in run("grid.yaml", "--out", "my results.jsonl", "--keep-sound").stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere.yaml",), "nowhere.yaml: the grid cannot be read"),
        (("bad.yaml",), "bad.yaml: A grid has no key 'txts' (did you mean 'texts'?)"),
        (("grid.yaml", "--out", "r.csv"), "r.csv does not end in .jsonl"),
        (("grid.yaml", "--out", "no/r.jsonl", "--workers", "0"), "workers must be a whole number of at least 1"),
        (("grid.yaml", "--threads", "0"), "--threads must be at least 1"),
        (("grid.yaml", "--out", "other.jsonl"), "holds something else than the results of a sweep"),
        (("grid.yaml", "--scheduler", "nonsense://x"), "No Dask scheduler answers at 'nonsense://x'"),
    ],
)
def test_bad_input_is_one_sentence(run: Any, tmp_path: Path, arguments: Any, sentence: str) -> None:
    (tmp_path / "bad.yaml").write_text("txts: [a]\n", encoding="utf-8")
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert sentence in words(result.stderr)
    assert "Traceback" not in result.output


def test_judges_that_are_not_installed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tts_lab.experiments import judges

    monkeypatch.setattr(judges, "missing", lambda: ("faster_whisper",))
    result = run("grid.yaml", "--judges")
    assert result.exit_code == 2
    assert "The judges need faster_whisper, which is not installed" in words(result.stderr)


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_the_bundled_voice_killed_on_the_way_gives_the_same_table(tmp_path: Path) -> None:
    """kill -9 of the command and of its workers' leader, at random moments; then it goes on."""
    grid = {"texts": ["你好。", "再见。"], "levers": {"steps": [1, 2]}, "device": "cpu"}
    (tmp_path / "grid.yaml").write_text(json.dumps(grid), encoding="utf-8")
    calm = Sweep(grid, tmp_path / "calm.jsonl").run(tell=lambda _: None, progress=False, threads=1)
    command = [sys.executable, "-m", "tts_lab.cli", "sweep", "grid.yaml", "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for lines in (1, 2):  # once before the first cell is finished, once after
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and lines_of(tmp_path / "grid.jsonl") < lines:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = Sweep(grid, tmp_path / "grid.jsonl").results()
    assert found.what() == calm.what()
    assert len((tmp_path / "grid.jsonl").read_text("utf-8").splitlines()) == 1 + 4
