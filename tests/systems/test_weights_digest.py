"""The hash of a system's weights changes with them and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tts_lab.errors import WeightsError
from tts_lab.systems import digest
from tts_lab.systems.digest import weights_digest, weights_files


def test_the_bundled_voice_and_its_vocoder_count() -> None:
    assert [path.name for path in weights_files("mini")] == [
        "mini.safetensors",
        "vocoder.safetensors",
        "generator_universal.pth.tar",
    ]
    assert len(weights_digest("mini")) == 16
    assert weights_digest("mini") == weights_digest("mini")


def test_random_weights_and_none() -> None:
    assert weights_digest("indextts2", "random") == "random"
    assert weights_digest("indextts2", "/nowhere") == "none"


def test_a_folder_counts_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.bin").write_bytes(b"1")
    (tmp_path / "two.bin").write_bytes(b"2")
    first = weights_digest("indextts2", tmp_path)
    (tmp_path / ".tts_lab").mkdir()
    (tmp_path / ".tts_lab" / "copy.bin").write_bytes(b"made from the others")
    assert weights_digest("indextts2", tmp_path) == first
    (tmp_path / "two.bin").write_bytes(b"changed")
    assert weights_digest("indextts2", tmp_path) != first
    assert weights_digest("indextts2", tmp_path / "two.bin") != "none"  # a single file, such as an archive


def test_a_large_file_is_sampled_from_its_first_byte_to_its_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest, "WHOLE_BYTES", 100)
    monkeypatch.setattr(digest, "SAMPLES", 4)
    monkeypatch.setattr(digest, "SAMPLE_BYTES", 10)
    path, seen = tmp_path / "large.bin", set()
    for place in (None, 0, 199):
        data = bytearray(200)
        if place is not None:
            data[place] = 1
        path.write_bytes(data)
        digest._file_digest.cache_clear()
        seen.add(weights_digest("indextts2", path))
    assert len(seen) == 3


def test_a_file_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "weights_files", lambda *_: (tmp_path / "gone.bin",))
    with pytest.raises(WeightsError, match="gone.bin cannot be read"):
        weights_digest("indextts2")
