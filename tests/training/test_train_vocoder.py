"""Training of the small vocoder: what it is given, what it is judged by, and that a step is a step down."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

recordings = pytest.importorskip("recordings")
train_vocoder = pytest.importorskip("train_vocoder")

RATE, HOP = 22_050, 256


@pytest.fixture
def sounds(tmp_path):
    """Three hums of 80 frames, the last one held out."""
    t = np.arange(80 * HOP) / RATE
    hums = [0.1 * sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 20)) for f0 in (120, 200, 160)]
    np.savez(tmp_path / "sound.npz", id=np.array(["a", "b", "c"]), split=np.array(["train", "train", "dev"]),
             start=np.array([0, 80, 160, 240]),
             samples=np.concatenate([np.round(32767 * hum).astype(np.int16) for hum in hums]),
             f0=np.repeat(np.float32([120, 200, 160]), 80))  # fmt: skip
    return tmp_path / "sound.npz"


def test_pitch_is_drawn_straight_through_what_is_not_voiced():
    f0 = recordings.drawn_through(np.array([0, 100.0, 0, 0, 0, 200.0, 0]))
    assert f0 == pytest.approx([100, 100, 100 * 2**0.25, 100 * 2**0.5, 100 * 2**0.75, 200, 200])
    assert (recordings.drawn_through(np.zeros(4)) > 0).all()


def test_a_stretch_is_of_one_place_in_sound_mel_and_pitch(sounds):
    train = recordings.Sounds(sounds, "train")
    samples, mel, f0, voice = train.stretches(np.random.default_rng(0), 6)
    assert torch.equal(f0, voice)
    assert samples.shape == (6, recordings.FRAMES * HOP)
    assert mel.shape == (6, 80, recordings.FRAMES)
    again = train_vocoder.log_mel(samples, train_vocoder.MEL_22K)
    inside = slice(4, -4)  # the edges of a stretch see its neighbours in one of the two
    assert (again - mel)[:, :, inside].abs().mean() < 0.02
    assert {float(row.unique()) for row in f0} <= {120.0, 200.0}
    assert recordings.Sounds(sounds, "dev").ids.tolist() == [2]


def test_half_of_the_stretches_come_with_the_mel_that_was_written_for_them(sounds):
    raw = dict(np.load(sounds))
    raw["f0"] = np.arange(240, dtype=np.float32)  # tells the place
    np.savez(sounds, **raw)
    mels = [np.full((70, 80), 80 + 5, np.float16), np.full((70, 80), 160, np.float16), np.zeros((20, 80), np.float16)]
    mels[0] += np.arange(70, dtype=np.float16)[:, None]
    np.savez(sounds.parent / "written.npz", id=np.array(["b", "c", "a"]), first=np.array([5, 0, 0]),
             mel=np.concatenate(mels), start=np.array([0, 70, 140, 160]))  # fmt: skip
    train = recordings.Sounds(sounds, "train", sounds.parent / "written.npz")
    assert [(i, first) for i, first, _ in train.written] == [(1, 5)]  # the others are held out and too short
    samples, mel, f0, voice = train.stretches(np.random.default_rng(0), 6)
    assert torch.equal(f0, voice)
    written = mel[1::2]
    torch.testing.assert_close(written[:, 0], f0[1::2])  # mel and pitch of one place
    for row, place in zip(samples[1::2], written[:, 0, 0].int().tolist(), strict=True):
        sound = raw["samples"][place * HOP : (place + recordings.FRAMES) * HOP] / np.float32(32767)
        assert np.array_equal(row.numpy(), sound)
    assert not (mel[::2, 0] == f0[::2]).any()  # the rest come with their own


def test_moved_stretches_take_their_mel_from_the_recording_and_their_sound_and_pitch_from_what_was_moved(sounds):
    other = np.arange(80 * HOP) % 1000
    np.savez(sounds.parent / "moved.npz", id=np.array(["c", "b"]), start=np.array([0, 80, 160]),
             samples=np.concatenate([0 * other, other]).astype(np.int16),
             f0=np.repeat(np.float32([300, 250]), 80))  # fmt: skip
    train = recordings.Sounds(sounds, "train", moved=sounds.parent / "moved.npz")
    assert train.moved == [(1, 1)]  # the other is held out
    samples, mel, f0, voice = train.stretches(np.random.default_rng(0), 4)
    assert {float(row.unique()) for row in voice[1::2]} == {250.0}
    assert {float(row.unique()) for row in f0[1::2]} == {200.0}
    assert torch.equal(f0[::2], voice[::2])
    steps = torch.diff(samples[1] * 32767).round().unique().tolist()
    assert set(steps) <= {1.0, -999.0}  # of the moved sound
    recording = train.whole(1)[1]
    assert min(float((recording[:, k : k + 64] - mel[1]).abs().max()) for k in range(17)) == 0


def test_only_what_is_moved_at_all_is_moved(tmp_path, monkeypatch):
    entries = [({"id": f"u{k}", "split": "train" if k % 5 else "dev"}, tmp_path) for k in range(40)]
    monkeypatch.setattr(recordings.features, "known_gains", lambda packed: {})
    monkeypatch.setattr(recordings.features, "manifest", lambda corpora: entries)
    found = {}
    monkeypatch.setattr(recordings, "_collect", lambda path, take, chosen, gains: found.update({path.name: chosen}))
    recordings.collected([], tmp_path, tmp_path, moved=True)
    assert found["sound.npz"] == entries
    assert 5 < len(found["moved.npz"]) < 14
    for entry, _ in found["moved.npz"]:
        assert entry["split"] == "train"
        assert recordings.manner.drawn(entry["id"]) != recordings.manner.Manner()
    found.clear()
    recordings.collected([], tmp_path, tmp_path)
    assert list(found) == ["sound.npz"]


def test_spectra_tell_sounds_apart_and_do_not_hear_a_phase():
    t = torch.arange(8192) / RATE
    hum = lambda hertz, turn: 0.1 * torch.sin(2 * torch.pi * hertz * t + turn)[None]  # noqa: E731
    same = train_vocoder.spectral_loss(hum(200, 1.0), hum(200, 0.0))
    assert train_vocoder.spectral_loss(hum(200, 0.0), hum(200, 0.0)) == 0
    assert same < 0.3 * train_vocoder.spectral_loss(hum(300, 0.0), hum(200, 0.0))


def test_judges_learn_and_the_vocoder_is_told_how_to_please_them(one_thread):
    torch.manual_seed(0)
    judges = train_vocoder.Judges()
    real, made = 0.1 * torch.randn(2, 8192), (0.01 * torch.randn(2, 8192)).requires_grad_(True)
    optimizer = torch.optim.AdamW(judges.parameters(), lr=2e-3)
    losses = []
    for _ in range(8):
        loss = judges.own_loss(made.detach(), real)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    fooled, alike = judges.losses_of(made, real)
    (fooled + alike).backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert float(judges.losses_of(real, real)[1].detach()) == 0


def test_a_few_steps_make_a_hum_more_like_the_recording(sounds, one_thread):
    torch.manual_seed(0)
    model = train_vocoder.begun()
    batch = recordings.Sounds(sounds, "train").stretches(np.random.default_rng(0), 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        _, loss = train_vocoder.losses_of(model, batch, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    found = train_vocoder.validate(model, recordings.Sounds(sounds, "dev"))
    assert set(found) == {"dev_spectra", "dev_cents"}
    assert all(np.isfinite(list(found.values())))
