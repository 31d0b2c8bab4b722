"""Systems with weights of their own, from a folder, or random."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

from tts_lab import cli, paths
from tts_lab.errors import LabError, WeightsError
from tts_lab.systems import SYSTEMS, check_weights, load_system
from tts_lab.systems.indextts2 import checkpoint, parts


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """In the place of the system: what it would be made of. Weights are named, not read."""
    found: list[Any] = []

    class Made:
        emotions = ("happy",)

        def __init__(self, networks: Any, device: str, stored: dict[str, Any]) -> None:
            found.append((networks, device))

        def about_voices(self) -> dict[str, str]:
            return {"xiaobei": "a clip"}

    stages = ModuleType("stages")
    stages.IndexTTS2 = Made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tts_lab.systems.indextts2.stages", stages)
    monkeypatch.setattr(checkpoint, "load_parts", lambda folder: f"from {folder}")
    monkeypatch.setattr(parts.Parts, "build", lambda: "random")
    return found


def test_names() -> None:
    assert list(SYSTEMS) == ["mini", "indextts2", "sambert"]


def test_weights_from_a_folder_random_or_where_fetch_puts_them(loaded, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    load_system("indextts2", "cpu", tmp_path / "mine")
    load_system("indextts2", "cpu", weights="random")
    load_system("indextts2", "cpu")
    assert loaded == [
        (f"from {tmp_path / 'mine'}", "cpu"),
        ("random", "cpu"),
        (f"from {tmp_path / 'indextts2'}", "cpu"),
    ]


def test_no_weights_is_a_sentence_that_names_three_ways(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    for weights in (None, tmp_path / "none", "none"):
        with pytest.raises(WeightsError) as caught:
            load_system("indextts2", "cpu", weights)
        for way in ("does not exist", "tts-lab fetch indextts2", "--weights FOLDER", "--weights random"):
            assert way in str(caught.value)


def test_the_bundled_system_takes_no_others() -> None:
    for weights in ("random", Path("folder")):
        with pytest.raises(
            WeightsError, match=rf"mini has its own weights and cannot take {weights}: leave --weights out"
        ):
            load_system("mini", "cpu", weights)


def test_the_command_line_passes_weights_on(loaded, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli.app, ["voices", "--system", "indextts2", "--weights", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert loaded == [(f"from {tmp_path}", "cpu")]
    assert "xiaobei  a clip" in done.output
    done = CliRunner().invoke(cli.app, ["voices", "--weights", "random"])
    assert done.exit_code == 2
    assert "leave --weights out" in done.output


def test_speak_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--weights", "nowhere"]):
        monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
        done = CliRunner().invoke(cli.app, ["speak", "你好", "--system", "indextts2", "--device", "cpu", *more])
        assert done.exit_code == 2
        assert "'tts-lab fetch indextts2'" in done.stderr
        assert not list(tmp_path.iterdir())


def test_where_downloads_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.WEIGHTS_VARIABLE, str(tmp_path / "w"))
    assert paths.weights_dir() == tmp_path / "w"
    monkeypatch.delenv(paths.WEIGHTS_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert paths.weights_dir() == tmp_path / "tts-lab" / "weights"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert paths.weights_dir() == Path.home() / ".local" / "share" / "tts-lab" / "weights"


def test_weights_are_looked_for_without_loading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    check_weights("mini")  # brings its own
    for name in ("indextts2", "sambert"):
        check_weights(name, "random")
        with pytest.raises(WeightsError, match=f"tts-lab fetch {name}"):
            check_weights(name)
        (tmp_path / name).mkdir()
        with pytest.raises(WeightsError):
            check_weights(name, tmp_path / name)
    with pytest.raises(LabError, match="no system 'nobody'"):
        check_weights("nobody")
