"""Mels that mini writes with the teacher's durations and pitches, for the vocoder to learn from."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tts_lab.paths import voices_dir

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

written = pytest.importorskip("written")
VOICES = ("zf_xiaobei", "zf_xiaoxiao", "zm_yunjian", "zm_yunxi")


@pytest.fixture
def folder(tmp_path):
    """Features of an utterance of each voice, and a corpus that holds one of them."""
    rng = np.random.default_rng(0)
    rows = [
        {"id": f"u{k}", "split": "train", "speaker": name, "mel": rng.normal(size=(41, 80)), "first": 3 + k,
         "symbol": [1, 5, 6, 1], "tone": [0, 1, 1, 0], "place": [0, 0, 1, 0], "duration": [5, 15, 20, 1],
         "log_f0": [np.nan, 5.0, 5.1, np.nan], "voiced": [0, 1, 1, 0]}
        for k, name in enumerate(VOICES)
    ]  # fmt: skip
    np.savez(tmp_path / "features.npz", **written.features.pack(rows))
    (tmp_path / "manifest.jsonl").write_text(json.dumps({"id": "u2"}), encoding="utf-8")
    return tmp_path


def test_a_mel_is_as_long_as_the_recordings_and_each_draw_another(folder, one_thread):
    first, again, other = (written.mel((folder, voices_dir(), 2, draw)).astype(np.float32) for draw in (0, 0, 1))
    assert first.shape == (41, 80)
    assert np.array_equal(first, again)
    assert 0.05 < np.abs(first - other).mean() < 2
    assert -12 < first.min() < first.max() < 3  # a natural-log mel, not the normalised one


def test_only_what_mini_was_not_taught_is_written(folder, monkeypatch, capsys):
    out = folder / "written.npz"
    monkeypatch.setattr(sys, "argv", ["written.py", "--features", str(folder), "--corpus", str(folder), "--out",
                                      str(out), "--jobs", "1"])  # fmt: skip
    written.main()
    made = np.load(out)
    assert made["id"].tolist() == ["u2", "u2"]
    assert made["first"].tolist() == [5, 5]
    assert made["start"].tolist() == [0, 41, 82]
    assert made["mel"].shape == (82, 80)
    assert "2 mels, 82 frames" in capsys.readouterr().out


def test_a_corpus_without_features_is_told(folder, monkeypatch):
    (folder / "manifest.jsonl").write_text(json.dumps({"id": "elsewhere"}), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["written.py", "--features", str(folder), "--corpus", str(folder)])
    with pytest.raises(SystemExit, match="make features of both first"):
        written.main()
