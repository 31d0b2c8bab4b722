from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts in benchmarks/ import each other as if run from there."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setattr(sys, "argv", ["benchmarks/some.py", "--flag"])


class FakeJudges:
    """Hear every sentence but for its last character, and rate by its length. Counts what it heard."""

    heard = 0

    def __init__(self, threads: int = 1) -> None:
        type(self).heard = 0

    def hear(self, sentence, samples, rate, cost=None):
        from tts_lab.experiments.quality import Row
        from tts_lab.experiments.scoring import Errors

        assert samples.ndim == 1
        type(self).heard += 1
        n = len(sentence.pinyin)
        errors = Errors(n, 1, 1, 1)
        return Row(sentence.id, sentence.voice, sentence.text, "…", errors, 4.0, samples.shape[0] / rate, cost or {})


@pytest.fixture
def fake_judges(monkeypatch: pytest.MonkeyPatch) -> type[FakeJudges]:
    from tts_lab.experiments import judges, quality

    monkeypatch.setattr(quality, "Judges", FakeJudges)
    monkeypatch.setattr(judges, "require", lambda: None)
    monkeypatch.setattr(judges, "versions", lambda: {"fake": "1"})
    return FakeJudges
