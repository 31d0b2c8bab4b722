from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from tts_lab.errors import AudioError, LabError, OutputError, WeightsError
from tts_lab.experiments import judges


def test_absent_judges_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "NEEDED", ("json", "no_such_judge"))
    with pytest.raises(LabError, match=r"need no_such_judge,.*pip install.*judges"):
        judges.require()


def test_parts_become_one_file_and_only_once(tmp_path: Path) -> None:
    for name, data in (("one", b"ab" * 500), ("two", b"cd" * 300)):
        (tmp_path / name).write_bytes(data)
    target = tmp_path / "whole"
    sources = [tmp_path / "one", tmp_path / "two"]
    judges._assemble(sources, target)
    assert target.read_bytes() == b"ab" * 500 + b"cd" * 300
    made = target.stat().st_mtime_ns
    judges._assemble(sources, target)
    assert target.stat().st_mtime_ns == made
    target.write_bytes(b"cut short")
    judges._assemble(sources, target)
    assert target.stat().st_size == 1600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one", "two", "whole"]


def test_an_interrupted_assembly_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").write_bytes(b"ab")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(judges.shutil, "copyfileobj", stop)
    with pytest.raises(KeyboardInterrupt):
        judges._assemble([tmp_path / "one"], tmp_path / "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"part1 is missing; install .* again"):
        judges._assemble([tmp_path / "model.bin.part1"], tmp_path / "whole")


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (torch.zeros(0), "at least one"),
        (torch.zeros(2, 100), r"\(2, 100\)"),
        (torch.tensor([0.1, float("nan")]), "not numbers"),
    ],
)
def test_sound_that_is_none_is_refused(samples: torch.Tensor, match: str) -> None:
    with pytest.raises(AudioError, match=match):
        judges._at_16k(samples, 22_050)


# ---------------------------------------------------------------------------------------------- the judges themselves

ABSENT = f"the extra `judges` is not installed: {', '.join(judges.missing())}"
with_judges = [pytest.mark.judges, pytest.mark.skipif(bool(judges.missing()), reason=ABSENT)]


@pytest.fixture(scope="module")
def recogniser() -> judges.Recogniser:
    return judges.Recogniser()


@pytest.fixture(scope="module")
def rating() -> judges.Rating:
    return judges.Rating()


def voice_like(seconds: float) -> torch.Tensor:
    """A buzz of 120 Hz with two formants that moves like syllables do: no words, but not noise. (s,) at 22.05 kHz."""
    t = torch.arange(round(seconds * 22_050)) / 22_050
    buzz = sum(torch.sin(2 * torch.pi * 120 * k * t) / (1 + abs(120 * k - 700) / 200) for k in range(1, 20))
    return 0.1 * buzz * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * t))


class TestJudges:
    pytestmark = with_judges

    def test_folder_is_complete_and_made_anew_where_damaged(self, tmp_path: Path) -> None:
        folder = judges.whisper_folder(tmp_path)
        sizes = {p.name: p.stat().st_size for p in folder.iterdir()}
        assert set(sizes) == {"model.bin", "config.json", "tokenizer.json", "vocabulary.json"}
        assert 140e6 < sizes["model.bin"] < 150e6
        os.truncate(folder / "model.bin", 1000)
        judges.whisper_folder(tmp_path)
        assert {p.name: p.stat().st_size for p in folder.iterdir()} == sizes

    def test_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError, match="cannot be written"):
            judges.whisper_folder(tmp_path / "file")

    def test_one_sound_one_transcription(self, recogniser: judges.Recogniser) -> None:
        sound = voice_like(2)
        assert recogniser.transcribe(sound, 22_050) == recogniser.transcribe(sound, 22_050)

    def test_too_long_for_the_window(self, recogniser: judges.Recogniser) -> None:
        with pytest.raises(AudioError, match="at most 30 s"):
            recogniser.transcribe(torch.zeros(31 * 8000), 8000)

    def test_noise_is_rated_low_and_loudness_does_not_matter(self, rating: judges.Rating) -> None:
        noise = torch.randn(22_050 * 2, generator=torch.Generator().manual_seed(0)) * 0.2
        low = rating.rate(noise, 22_050)
        assert 1 <= low < 2
        assert rating.rate(noise * 0.25, 22_050) == pytest.approx(low, abs=0.01)

    def test_rating_says_nothing_on_stdout(self, capsys: pytest.CaptureFixture[str]) -> None:
        judges.Rating()
        assert capsys.readouterr().out == ""

    def test_versions_are_named(self) -> None:
        assert {"faster-whisper", "distillmos"} <= judges.versions().keys()
