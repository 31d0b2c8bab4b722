"""Features of the training corpus: where sounds begin and end, and what a training step sees of them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

features = pytest.importorskip("features")

ENTRY = {
    "tokens": ["$", "n", "i", "↗", " ", "x", "a", "u", "↓", ",", " ", "p", "ʰ", "a", "→", "$"],
    "durations_s": [0.45, 0.05, 0.075, 0.05, 0.05, 0.05, 0.1, 0.05, 0.05, 0.2, 0.05, 0.1, 0.05, 0.15, 0.05, 0.025],
    "syllables": [
        {"pinyin": "ni2", "token_start": 1, "token_end": 4},
        {"pinyin": "hao3", "token_start": 5, "token_end": 9},
        {"pinyin": "pa1", "token_start": 11, "token_end": 15},
    ],
}


def test_spans_join_what_belongs_together_and_keep_the_length() -> None:
    got = features.spans(ENTRY)
    assert [p.symbol for p, _ in got] == ["^", "n", "i", "_", "x", "a", "u", ",", "pʰ", "a", ".", "$"]
    assert [p.tone for p, _ in got] == [0, 2, 2, 0, 3, 3, 3, 0, 1, 1, 0, 0]
    seconds = dict(zip(["^", "n", "i", "_", "x", "a", "u", ",", "pʰ"], [s for _, s in got], strict=False))
    assert seconds["i"] == pytest.approx(0.125)  # with its tone arrow
    assert seconds[","] == pytest.approx(0.25)  # with the space after it
    assert seconds["pʰ"] == pytest.approx(0.15)  # with its aspiration
    assert sum(s for _, s in got) == pytest.approx(sum(ENTRY["durations_s"]))


def test_borders_lie_within_half_a_frame_and_do_not_drift() -> None:
    """What a sound lacks of its last frame is taken from the last phone, not from all of them."""
    rng = np.random.default_rng(0)
    for count in (3, 30, 120):
        seconds = rng.integers(1, 12, count) * 0.025
        total = int(seconds.sum() * 22050) // 256
        frames = features.frames_of(list(seconds), total)
        assert frames.sum() == total
        assert (frames >= 0).all()
        places = seconds.cumsum()[:-1] * 22050 / 256
        assert np.abs(frames.cumsum()[:-1] - places).max() <= 0.5


def test_frames_sum_to_a_whole_that_is_too_short() -> None:
    assert features.frames_of([0.1, 0.1, 0.1], 12).tolist() == [9, 3, 0]


def test_silence_before_a_pause_moves_to_the_pause() -> None:
    durations = np.array([2, 10, 3, 4])
    silent = np.zeros(19, dtype=bool)
    silent[7:15] = True  # the last five frames of `a`, the pause, and the first of what follows
    features.move_silence_to_pauses(["n", "a", ",", "p"], durations, silent)
    assert durations.tolist() == [2, 5, 8, 4]


def test_cropping_keeps_frames_and_durations_together() -> None:
    durations = np.array([40, 5, 6, 50, 4])
    kept = features.crop(durations, 105)
    assert durations.tolist() == [features.LEAD_FRAMES, 5, 6, features.TAIL_FRAMES - 1, 1]
    assert kept.stop - kept.start == durations.sum()


def test_pitch_of_a_phone_is_of_its_voiced_frames() -> None:
    log_f0, voiced = features.phone_pitch(np.array([0.0, 200.0, 200.0, 0.0]))
    assert (log_f0, voiced) == (pytest.approx(np.log(200)), 0.5)
    assert np.isnan(features.phone_pitch(np.zeros(3))[0])


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A corpus of three made-up utterances, two speakers."""
    rng = np.random.default_rng(0)
    rows = []
    for k, n in enumerate((5, 8, 6)):
        durations = rng.integers(2, 9, n)
        rows.append({"id": f"u{k}", "split": ("train", "train", "dev")[k], "speaker": ("a", "b", "a")[k],
                     "mel": rng.normal(size=(durations.sum(), 80)), "symbol": rng.integers(1, 40, n),
                     "tone": rng.integers(0, 6, n), "place": rng.integers(0, 4, n), "duration": durations,
                     "log_f0": rng.normal(5, 0.2, n), "voiced": rng.uniform(0, 1, n), "first": 0})  # fmt: skip
    np.savez(tmp_path / "features.npz", **features.pack(rows))
    return tmp_path


def test_a_batch_holds_each_utterance_once_and_masks_the_rest(packed: Path) -> None:
    from batches import Corpus

    corpus = Corpus(packed)
    batch = next(corpus.batches("train", 10_000))
    assert len(batch.symbol) == 2
    assert batch.mel.shape[2] % 2 == 0
    assert torch.equal(batch.frames.sum(1), batch.duration.sum(1))
    assert bool((batch.symbol[~batch.phones] == 0).all())
    assert batch.mel[~batch.frames[:, None].expand_as(batch.mel)].abs().sum() == 0
    normal = batch.mel.transpose(1, 2)[batch.frames]
    torch.testing.assert_close(normal.mean(0), torch.zeros(80), atol=1e-3, rtol=0)


def test_training_resumes_where_it_stopped(tmp_path: Path) -> None:
    from loop import Trainer

    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    trainer = Trainer(model, tmp_path, steps=10)
    x = torch.randn(16, 3)
    losses = []
    for _ in range(4):
        loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
        trainer.update(loss, warm_up=1)
        losses.append(float(loss.detach()))
    trainer.save()
    other = Trainer(torch.nn.Linear(3, 1), tmp_path, steps=10)
    assert other.resume()
    assert other.step == 4
    assert not other.done
    torch.testing.assert_close(other.model.weight, model.weight)
    torch.testing.assert_close(other.average.weight, trainer.average.weight)
    assert losses[-1] < losses[0]


def corpus_of(folder: Path, prefix: str, level: float) -> Path:
    """A corpus of two utterances of noise at `level`, one of each of two speakers."""
    (folder / "wavs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = []
    for speaker in ("a", "b"):
        name = f"{prefix}_{speaker}"
        soundfile.write(folder / "wavs" / f"{name}.wav", level * rng.standard_normal(33_075), 22_050, subtype="FLOAT")
        lines.append({"id": name, "split": "train", "speaker": speaker, "file": f"wavs/{name}.wav"} | ENTRY)
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return folder


def test_further_corpora_are_packed_beside_the_first_at_its_gains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyworld")
    monkeypatch.setattr(features, "GAIN_FILES", 1)
    first, further = corpus_of(tmp_path / "first", "c", 0.1), corpus_of(tmp_path / "further", "d", 0.05)

    def packed_from(*corpora: Path) -> dict[str, np.ndarray]:
        arguments = ["features.py", "--jobs", "1", "--out", str(tmp_path / "out"), "--corpus", *map(str, corpora)]
        monkeypatch.setattr(sys, "argv", arguments)
        features.main()
        return dict(np.load(tmp_path / "out" / "features.npz"))

    alone, both = packed_from(first), packed_from(first, further)
    assert both["id"].tolist() == ["c_a", "c_b", "d_a", "d_b"]
    for name in ("mel", "symbol", "duration"):
        np.testing.assert_array_equal(both[name][: len(alone[name])], alone[name])
    np.testing.assert_array_equal(both["gains"], alone["gains"])
    mel, starts = both["mel"].astype(np.float32), both["frame_start"]
    quieter = mel[: starts[1]].mean() - mel[starts[2] : starts[3]].mean()
    assert quieter == pytest.approx(np.log(2), abs=0.02)  # natural-log mels: the further corpus keeps its own level


def test_a_corpus_given_twice_is_told(tmp_path: Path) -> None:
    first = corpus_of(tmp_path / "first", "c", 0.1)
    with pytest.raises(SystemExit, match="c_a and 1 more stand twice"):
        features.manifest([first, first])
