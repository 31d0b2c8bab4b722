"""The reference clips that come with the lab."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import soundfile

from tts_lab import paths
from tts_lab.errors import WeightsError
from tts_lab.systems.indextts2 import voices


def test_four_short_clips_with_honest_labels() -> None:
    stored = voices.stored()
    assert list(stored) == ["xiaoxiao", "xiaobei", "yunjian", "yunxi"]
    for path, label in stored.values():
        clip = soundfile.info(path)
        assert 3 <= clip.duration <= 5
        assert (clip.samplerate, clip.channels) == (22_050, 1)
        assert "synthetic" in label
    assert sum(path.stat().st_size for path, _ in stored.values()) < 400_000


def test_they_are_described_and_are_those_that_are_listed() -> None:
    folder = paths.data_dir() / "references"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    listed = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
    for path, _ in voices.stored().values():
        assert f"`{path.name}`" in readme
        assert f"{soundfile.info(path).duration:.2f}" in readme
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[path.name]
    assert "Kokoro-82M v1.0" in readme
    assert "Apache-2.0" in readme


def test_a_missing_clip_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(paths.VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"lacks xiaoxiao\.flac, .*git checkout -- data/references.*--reference"):
        voices.stored()
