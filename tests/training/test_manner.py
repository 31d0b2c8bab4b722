"""Teacher's speech in other manners: moved as it was to be, and learned from beside what was not moved."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

manner = pytest.importorskip("manner")
batches = pytest.importorskip("batches")

RATE = 22_050


@pytest.fixture
def world():
    """What takes a voice apart; it comes with the extra `train`."""
    pytest.importorskip("pyworld")


def voice(hertz=160.0, seconds=1.5):
    t = np.arange(round(seconds * RATE)) / RATE
    f0 = hertz * 2 ** (2 / 12 * np.sin(2 * np.pi * 1.5 * t))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    return 0.05 * sum(np.sin(k * phase) / k for k in range(1, 30)).astype(np.float32)


def pitch(samples):
    import pyworld

    f0, _ = pyworld.harvest(samples.astype(np.float64), RATE)
    return 12 * np.log2(f0[f0 > 0])[20:-20]


def share_above(samples, hertz):
    power = np.abs(np.fft.rfft(samples)) ** 2
    bins = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * np.log10(power[bins > hertz].sum() / power.sum())


@pytest.mark.usefixtures("world")
def test_level_and_range_of_the_pitch_are_moved():
    plain, high = pitch(voice()), pitch(manner.moved(voice(), RATE, manner.Manner(level=3.0, range=1.5)))
    assert np.median(high) - np.median(plain) == pytest.approx(3.0, abs=0.3)
    assert high.std() / plain.std() == pytest.approx(1.5, abs=0.12)


@pytest.mark.usefixtures("world")
def test_effort_and_breath_tilt_the_spectrum_and_keep_the_level():
    plain = manner.moved(voice(), RATE, manner.Manner())
    for how, up in ((manner.Manner(energy=6.0), True), (manner.Manner(energy=-6.0), False)):
        there = manner.moved(voice(), RATE, how)
        assert (share_above(there, 2000) > share_above(plain, 2000)) == up
        assert np.mean(there**2) == pytest.approx(np.mean(plain**2), rel=1e-3)


@pytest.mark.usefixtures("world")
def test_breath_makes_the_voice_less_periodic():
    import pyworld

    def aperiodic(samples):
        x = samples.astype(np.float64)
        f0, t = pyworld.dio(x, RATE)
        return pyworld.d4c(x, pyworld.stonemask(x, f0, t, RATE), t, RATE)[f0 > 0][:, 95:190].mean()  # 2 to 4 kHz

    breathy = manner.moved(voice(), RATE, manner.Manner(breath=1.0))
    assert aperiodic(breathy) > aperiodic(manner.moved(voice(), RATE, manner.Manner())) + 0.1


@pytest.mark.usefixtures("world")
def test_silence_stays_silence():
    assert np.abs(manner.moved(np.zeros(RATE, dtype=np.float32), RATE, manner.Manner(level=2.0))).max() < 1e-3


def test_an_utterance_has_one_manner_and_utterances_differ():
    assert manner.drawn("a_1") == manner.drawn("a_1")
    drawn = [manner.drawn(f"a_{i}") for i in range(200)]
    still = sum(one == manner.Manner() for one in drawn)
    assert 10 < still < 60
    assert {one.breath == 0 for one in drawn} == {True, False}
    assert max(one.level for one in drawn) > 3.5  # as high as a surprised voice
    assert min(one.range for one in drawn) < 0.65  # as flat as a sad one


def row(speaker, level, frames=12):
    return {
        "id": f"{speaker}{level}", "split": "train", "speaker": speaker, "symbol": [1, 2], "tone": [0, 1],
        "mel": np.full((frames, 80), level, np.float16), "place": [0, 0], "duration": [frames // 2, frames // 2],
        "log_f0": [5.0 + level, 5.2 + level], "voiced": [1.0, 1.0], "first": 0,
    }  # fmt: skip


def test_moved_rows_stand_beside_the_corpus_and_do_not_change_its_scale(tmp_path):
    features = manner.features
    plain = features.pack([row("a", 0), row("b", 1)]) | {"gain_names": np.array(["a", "b"]), "gains": np.ones(2)}
    more = [row("a", 2) | {"energy": 3.0, "breath": 0.5, "made": 1.0}]
    both = manner.joined(plain, features.pack(more), more)
    np.savez(tmp_path / "features.npz", **both)
    corpus = batches.Corpus(tmp_path)
    assert corpus.mean[0] == pytest.approx(0.5)  # of the rows that were not moved
    assert corpus.median_log_f0[0] == pytest.approx(5.1)
    batch = corpus.batch([0, 2])
    assert batch.manner.tolist() == [[0, 0, 0, 0], [0.5, 0.5, 1, 0]]
    assert batch.mel[1].mean() == pytest.approx((2 - 0.5) / float(corpus.std[0]), rel=1e-3)
