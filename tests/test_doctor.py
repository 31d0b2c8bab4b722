"""The doctor's report: what it finds, what it calls a problem, and that it never fails itself."""

from __future__ import annotations

import hashlib
import json
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from tts_lab import doctor


@pytest.fixture
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "mini.safetensors").write_bytes(b"weights" * 1000)
    digest = hashlib.sha256(b"weights" * 1000).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  mini.safetensors\n")
    monkeypatch.setenv("TTS_LAB_DATA", str(tmp_path))
    monkeypatch.setattr(doctor, "LEAST_MEMORY", 0)
    return folder


def test_healthy(voices: Path) -> None:
    found = doctor.report()
    assert found["problems"] == []
    assert found["torch"]["version"] == torch.__version__
    assert found["python"]["version"] == sys.version.split()[0]
    assert found["torchaudio"]["mode"] in ("native", "prepared")
    assert found["weights"]["files"] == [{"name": "mini.safetensors", "bytes": 7000, "intact": True}]
    assert found["vocoder"]["bytes"] > 50_000_000
    assert found["machine"]["memory"] > found["machine"]["memory_free"] > 0
    assert doctor.render(found).endswith("Everything is in place.")


def test_plain_data(voices: Path) -> None:
    found = doctor.report()
    assert json.loads(json.dumps(found)) == found


def test_text_names_every_part_and_survives_rich(voices: Path) -> None:
    from rich.text import Text

    text = doctor.render(doctor.report())
    for name in ("python", "torch", "torchaudio", "device", "card", "labels", "voices", "vocoder", "memory", "disk"):
        assert f"\n{name} " in f"\n{text}", name
    assert Text.from_markup(text).plain == text


def test_a_damaged_voice(voices: Path) -> None:
    (voices / "mini.safetensors").write_bytes(b"weights" * 999)
    found = doctor.report()
    assert [problem for problem in found["problems"] if "mini.safetensors" in problem and "is damaged" in problem]
    assert "DAMAGED" in doctor.render(found)


def test_a_missing_voice(voices: Path) -> None:
    (voices / "mini.safetensors").unlink()
    problems = doctor.report()["problems"]
    assert any("no bundled voices" in problem for problem in problems)
    assert any("mini.safetensors" in problem and "is missing" in problem for problem in problems)


def test_a_file_without_a_checksum_is_not_called_intact(voices: Path) -> None:
    (voices / "card.md").write_text("x")
    files = {file["name"]: file["intact"] for file in doctor.report()["weights"]["files"]}
    assert files == {"card.md": None, "mini.safetensors": True}


def test_no_data_folder(voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_LAB_DATA", str(voices / "nowhere"))
    found = doctor.report()
    assert any("TTS_LAB_DATA" in problem for problem in found["problems"])
    assert "voices      none" in doctor.render(found)


def test_no_vocoder(voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    found = doctor.report()
    assert any("vocoder's weights are missing" in problem for problem in found["problems"])
    assert "missing" in doctor.render(found)


def test_little_memory(voices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LEAST_MEMORY", 1 << 60)
    assert any("of memory are free" in problem for problem in doctor.report()["problems"])


def test_cards_are_listed(voices: Path) -> None:
    found = doctor.report()
    found["cards"] = [{"name": "Some Card", "bytes": 8 << 30, "capability": "8.6"}]
    assert "Some Card, 8.0 GiB, sm 8.6" in doctor.render(found)


def test_sizes() -> None:
    assert doctor._size(55_788_858) == "53.2 MiB"
    assert doctor._size(3 << 29) == "1.5 GiB"
