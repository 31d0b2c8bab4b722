"""What is measured of prosody: known sounds, moved in a known way."""

import math

import pytest
import torch

from tts_lab.experiments.prosody_measures import averaged, measures, moved, prominence

RATE = 22_050


def voice(hertz=150.0, swing=2.0, seconds=2.0, level=0.1, fall=1.0, noise=0.0):
    """A buzz whose pitch swings by so many semitones, whose harmonics fall so steeply, with so much noise."""
    t = torch.arange(round(seconds * RATE)) / RATE
    f0 = hertz * 2 ** (swing / 12 * torch.sin(2 * math.pi * 1.5 * t))
    phase = 2 * math.pi * f0.cumsum(0) / RATE
    sound = sum(torch.sin(k * phase) / k**fall for k in range(1, 40))
    hiss = torch.randn(len(t), generator=torch.Generator().manual_seed(0))
    sound = sound / sound.square().mean().sqrt() + noise * hiss
    return level * sound / sound.square().mean().sqrt()


def change(**how):
    return moved(measures(voice(), RATE), measures(voice(**how), RATE))


def test_the_same_sound_has_not_moved():
    still = change()
    assert (still.level_semitones, still.loudness, still.balance, still.prominence) == (0, 0, 0, 0)
    assert (still.range, still.tempo) == (1, 1)


def test_pitch_goes_up_by_the_semitones_it_was_raised():
    assert change(hertz=150 * 2 ** (3 / 12)).level_semitones == pytest.approx(3, abs=0.15)


def test_range_is_the_factor_of_the_swing():
    assert change(swing=3.0).range == pytest.approx(1.5, abs=0.1)


def test_tempo_is_the_shorter_sound():
    assert change(seconds=1.6).tempo == pytest.approx(1.25, rel=0.01)


def test_loudness_is_decibels():
    assert change(level=0.2).loudness == pytest.approx(6.02, abs=0.05)


def test_a_steeper_spectrum_has_less_balance():
    assert change(fall=1.5).balance < -5


def test_breath_lowers_the_cepstral_peak():
    a, b = change(noise=0.3).prominence, change(noise=1.0).prominence
    assert b < a < 0


def test_noise_alone_has_hardly_a_peak():
    frames = torch.randn(50, 1024, generator=torch.Generator().manual_seed(1))
    buzz = voice(swing=0.0).unfold(0, 1024, 512)
    assert prominence(buzz) > 2 * prominence(frames)


def test_silence_has_no_prosody():
    with pytest.raises(ValueError, match="voiced"):
        measures(torch.zeros(RATE), RATE)


def test_factors_are_averaged_by_their_logarithms():
    twice, half = change(seconds=1.0), change(seconds=4.0)
    assert averaged([twice, half])["tempo"] == pytest.approx(1, abs=0.01)
