from __future__ import annotations

import json
from pathlib import Path

import pytest

from tts_lab.experiments import kept
from tts_lab.experiments.ladder import Lengths, need
from tts_lab.memory.cards import find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import trace
from tts_lab.recipe import Recipe


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(kept.VARIABLE)
    kept._folder.cache_clear()
    yield tmp_path / "tts-lab" / "traces"
    kept._folder.cache_clear()


def never() -> None:
    raise AssertionError("asked again")


def test_an_answer_is_made_once(folder: Path) -> None:
    assert kept.kept_data(("a", 1), lambda: {"x": 1}) == {"x": 1}
    assert kept.kept_data(("a", 1), never) == {"x": 1}
    assert kept.kept_data(("a", 2), lambda: 5) == 5


def test_a_log_comes_back_as_it_was(folder: Path) -> None:
    import torch

    first = kept.kept_log("log", lambda: trace(lambda: torch.zeros(9, device="cuda")))
    again = kept.kept_log("log", never)
    assert list(again) == list(first)
    assert again.meta == first.meta
    assert isinstance(again, EventLog)


def test_a_damaged_answer_is_made_again(folder: Path) -> None:
    kept.kept_data("a", lambda: 1)
    (file,) = folder.glob("*/*.json")
    file.write_text("{")
    assert kept.kept_data("a", lambda: 2) == 2
    assert json.loads(file.read_text()) == 2


def test_another_version_of_the_code_asks_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.kept_data("a", lambda: 1)
    monkeypatch.setattr(kept, "_fingerprint", lambda: "other")
    kept._folder.cache_clear()
    assert kept.kept_data("a", lambda: 2) == 2


def test_old_answers_make_room(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FILES", 3)
    for i in range(6):
        kept.kept_data(i, lambda i=i: i)
    assert len(list(folder.glob("*/*.json"))) == 3
    for i in range(5):
        monkeypatch.setattr(kept, "_fingerprint", lambda i=i: f"version{i}")
        kept._folder.cache_clear()
        kept.kept_data("a", lambda: 1)
    assert len(list(folder.iterdir())) == kept.FOLDERS


def test_without_a_place_to_keep_it_everything_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv(kept.VARIABLE)
    kept._folder.cache_clear()
    assert [kept.kept_data("a", lambda i=i: i) for i in (1, 2)] == [1, 2]
    kept._folder.cache_clear()


def test_a_need_is_the_same_when_it_was_kept(folder: Path) -> None:
    from tts_lab.experiments import ladder

    arguments = ("mini", Recipe(), Lengths(2.0, 2.0), find_card("rtx3070"))
    first = need(*arguments)
    ladder._need.cache_clear()
    again = need(*arguments)
    assert again == first
    assert again.work == first.work
    assert first is not again
