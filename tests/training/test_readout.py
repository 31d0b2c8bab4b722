"""Reading a mel from what the teacher makes its sound of."""

import argparse
import sys
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import readout
from teacher import Inner

train_readout = pytest.importorskip("train_readout")


def inner(frames: int = 60, pitch: float = 200.0) -> Inner:
    """So many of the teacher's 12.5 ms frames; the first content channel is the time in these frames, plus a half."""
    content = np.zeros((readout.CONTENT, frames), dtype=np.float32)
    content[0] = np.arange(frames) + 0.5
    energy = 2 * content[0]
    return Inner(content, np.full(frames, pitch, dtype=np.float32), energy, np.array([frames // 2]))


def test_what_is_read_lies_at_the_middle_of_its_mel_frame():
    middles = np.arange(40) + 0.5
    content, pitch, energy = readout.at_frames(inner(), middles)
    seconds = middles * 256 / 22_050
    inside = (seconds > 0.5 / 80) & (seconds < 59.5 / 80)
    np.testing.assert_allclose(content[inside, 0], seconds[inside] * 80, rtol=1e-5)
    np.testing.assert_allclose(energy[inside], 2 * seconds[inside] * 80, rtol=1e-5)
    assert content.shape == (40, 512)
    assert content[0, 0] >= 0.5  # before the first one's middle it is the first one
    assert pitch.tolist() == [200.0] * 40


def test_an_edge_of_the_pitch_stays_an_edge():
    given = inner()
    given.pitch[30:] = 0
    _, pitch, _ = readout.at_frames(given, np.arange(40) + 0.5)
    assert set(pitch.tolist()) == {200.0, 0.0}


def test_a_comb_stands_high_at_its_harmonics_and_low_between_them():
    table = readout.combs()
    assert table.shape == (readout.COMBS, 80)
    pitches = np.geomspace(readout.LOWEST, readout.HIGHEST, readout.COMBS)
    middles = librosa.mel_frequencies(82, fmax=8000)[1:-1]
    comb = table[int(np.abs(pitches - 300).argmin())]
    at, between = ([int(np.abs(middles - hertz).argmin()) for hertz in row] for row in ((300, 600), (450, 750)))
    assert comb[at].min() > comb[between].max() + 0.5


@pytest.mark.parametrize(("bias", "pitch", "heard"), [(1, 200, 200), (-1, 200, 0), (1, 30, 0)])
def test_a_pitch_is_heard_where_there_is_one_and_it_is_voiced(bias, pitch, heard):
    network = readout.Readout().eval()
    torch.nn.init.zeros_(network.voicing.weight)
    torch.nn.init.constant_(network.voicing.bias, bias)
    network.mean.fill_(-4)
    mel, hertz = network.read(inner(pitch=pitch), np.arange(40) + 0.5)
    assert hertz.tolist() == [heard] * 40
    assert mel.shape == (40, 80)
    assert -7 < mel.mean() < -1  # natural-log mel about its mean


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    found = []
    for k, split in enumerate(["train"] * 6 + ["dev"] * 2):
        frames = 100
        length = int(frames * readout.INNER_RATE * readout.FRAME_SECONDS) + 1
        content = np.zeros((512, length), dtype=np.float16)
        content[:8] = rng.normal(size=(8, length))
        pitch = np.where(np.arange(length) % 20 < 12, 150.0 + 10 * k, 0.0).astype(np.float32)
        given = Inner(content, pitch, rng.normal(size=length).astype(np.float32), np.array([length // 2]))
        told, hertz, _ = readout.at_frames(given, np.arange(frames) + 0.5)
        mel = (3 * told[:, :1] - 5 + np.zeros(80)).astype(np.float16)  # to be read from the content of the moment
        found.append(train_readout.Example(split, given, mel, hertz > 0))
    return found


def test_it_learns_and_is_read_as_it_was_saved(rows, tmp_path, monkeypatch, one_thread):
    monkeypatch.setattr(train_readout, "examples", lambda args: rows)
    of_steps = partial(train_readout.Trainer, steps=25)
    monkeypatch.setattr(
        train_readout, "Trainer", lambda *args, **options: of_steps(*args, **options | {"minutes": 1e6})
    )
    monkeypatch.setattr(sys, "argv", ["train_readout.py", "--corpus", "c", "--features", "f", "--out", str(tmp_path),
                                      "--rate", "0.02"])  # fmt: skip
    before = train_readout.validate(train_readout.scaled(rows), rows[6:])
    train_readout.main()
    network = readout.load(tmp_path)
    after = train_readout.validate(network, rows[6:])
    assert after < 0.7 * before
    mel, hertz = network.read(rows[7].inner, np.arange(100) + 0.5)
    error = np.square((mel - rows[7].mel) / network.std.numpy())[8:-8].mean()
    assert error == pytest.approx(train_readout.validate(network, rows[7:]), rel=0.02)
    assert hertz.shape == (100,)


def test_other_durations_are_left_out(tmp_path, monkeypatch):
    class Fake:
        def inner(self, tokens, voice, speed):
            return Inner(np.zeros((512, 8)), np.zeros(8), np.zeros(8), np.array([2, 2]))

    monkeypatch.setattr(train_readout, "_teacher", Fake())
    entry = {"tokens": ["$", "$"], "speaker": "zf_x", "speed": 1.0, "file": "wavs/x.flac", "split": "train"}
    assert train_readout.example((entry | {"durations_s": [0.05, 0.075]}, tmp_path, 1.0, tmp_path)) is None


def test_examples_are_counted(monkeypatch, capsys):
    class Pool:
        def __init__(self, jobs): ...
        def __enter__(self):
            return self

        def __exit__(self, *error): ...
        def map(self, act, jobs, chunksize):
            return [None if job[0]["speaker"] == "b" else job for job in jobs]

    entries = [({"speaker": name}, Path()) for name in "aab"]
    monkeypatch.setattr(train_readout, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(train_readout.features, "manifest", lambda corpora: entries)
    monkeypatch.setattr(train_readout.features, "known_gains", lambda folder: {"a": 1.0, "b": 2.0})
    args = argparse.Namespace(corpus=[Path()], features=Path(), packages=Path(), jobs=1, limit=None)
    assert len(train_readout.examples(args)) == 2
    assert "2 utterances; 1 of other durations were left out" in capsys.readouterr().out
