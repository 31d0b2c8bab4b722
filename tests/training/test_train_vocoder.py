"""Training of the small vocoder: what it is given, what it is judged by, and that a step is a step down."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

train_vocoder = pytest.importorskip("train_vocoder")

RATE, HOP = 22_050, 256


@pytest.fixture
def sounds(tmp_path):
    """Three hums of 80 frames, the last one held out."""
    t = np.arange(80 * HOP) / RATE
    hums = [0.1 * sum(np.sin(2 * np.pi * k * f0 * t) / k for k in range(1, 20)) for f0 in (120, 200, 160)]
    np.savez(tmp_path / "sound.npz", split=np.array(["train", "train", "dev"]), start=np.array([0, 80, 160, 240]),
             samples=np.concatenate([np.round(32767 * hum).astype(np.int16) for hum in hums]),
             f0=np.repeat(np.float32([120, 200, 160]), 80))  # fmt: skip
    return tmp_path / "sound.npz"


def test_pitch_is_drawn_straight_through_what_is_not_voiced():
    f0 = train_vocoder.drawn_through(np.array([0, 100.0, 0, 0, 0, 200.0, 0]))
    assert f0 == pytest.approx([100, 100, 100 * 2**0.25, 100 * 2**0.5, 100 * 2**0.75, 200, 200])
    assert (train_vocoder.drawn_through(np.zeros(4)) > 0).all()


def test_a_stretch_is_of_one_place_in_sound_mel_and_pitch(sounds):
    train = train_vocoder.Sounds(sounds, "train")
    samples, mel, f0 = train.stretches(np.random.default_rng(0), 6)
    assert samples.shape == (6, train_vocoder.FRAMES * HOP)
    assert mel.shape == (6, 80, train_vocoder.FRAMES)
    again = train_vocoder.log_mel(samples, train_vocoder.MEL_22K)
    inside = slice(4, -4)  # the edges of a stretch see its neighbours in one of the two
    assert (again - mel)[:, :, inside].abs().mean() < 0.02
    assert {float(row.unique()) for row in f0} <= {120.0, 200.0}
    assert train_vocoder.Sounds(sounds, "dev").ids.tolist() == [2]


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
    real, mel, f0 = train_vocoder.Sounds(sounds, "train").stretches(np.random.default_rng(0), 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        _, loss = train_vocoder.losses_of(model, mel, f0, real, torch.Generator().manual_seed(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    found = train_vocoder.validate(model, train_vocoder.Sounds(sounds, "dev"))
    assert set(found) == {"dev_spectra", "dev_cents"}
    assert all(np.isfinite(list(found.values())))
