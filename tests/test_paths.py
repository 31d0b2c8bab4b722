"""Where the data lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tts_lab import paths
from tts_lab.errors import WeightsError


def test_beside_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(paths.VARIABLE, raising=False)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "tts_lab" / "paths.py"))
    (tmp_path / "data" / "voices").mkdir(parents=True)
    assert paths.data_dir() == tmp_path / "data"
    assert paths.voices_dir() == tmp_path / "data" / "voices"


def test_where_the_variable_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.VARIABLE, str(tmp_path))
    assert paths.data_dir() == tmp_path


def test_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.VARIABLE, str(tmp_path / "none"))
    with pytest.raises(WeightsError, match="TTS_LAB_DATA names .*none, which is not a folder"):
        paths.data_dir()
    monkeypatch.delenv(paths.VARIABLE)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "tts_lab" / "paths.py"))
    with pytest.raises(WeightsError, match="complete checkout"):
        paths.data_dir()
    (tmp_path / "data").mkdir()
    with pytest.raises(WeightsError, match="no bundled voices"):
        paths.voices_dir()
