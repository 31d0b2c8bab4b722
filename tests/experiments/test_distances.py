"""Distances between sounds, against what can be worked out by hand and against librosa."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from tts_lab.audio.mel import MEL_22K
from tts_lab.experiments.distances import Distance, Features, cepstra, distance, features, fundamental
from tts_lab.types import NEPER

T = torch.arange(22_050) / 22_050


def tone(hertz: float, seconds: float = 1.0, rate: int = 22_050) -> torch.Tensor:
    """A voice-like sound: ten harmonics."""
    t = torch.arange(round(seconds * rate)) / rate
    return sum(0.2 / k * torch.sin(2 * math.pi * k * hertz * t) for k in range(1, 11))  # type: ignore[return-value]


def of(mel: torch.Tensor, f0: float = 200.0) -> Features:
    """Features of a made-up mel (t, m)."""
    level = NEPER * mel.max(1).values
    return Features(cepstra(mel).numpy(), level.numpy(), np.full(len(mel), f0, np.float32))


def test_a_sound_is_nothing_apart_from_itself() -> None:
    found = features(tone(200), 22_050)
    assert found.cepstra.shape == (MEL_22K.frames(22_050), 13)
    assert found.f0.shape == found.level.shape == (MEL_22K.frames(22_050),)
    assert distance(found, found) == Distance(0.0, 0.0, 0.0, "frames")


@pytest.mark.parametrize("order", [1, 5, 13])
def test_a_ripple_of_some_decibels_is_its_root_mean_square_apart(order: int) -> None:
    """mel + a cos(pi j (n + 1/2) / m) differs by a / sqrt 2 on average, in decibels 20/ln 10 a / sqrt 2."""
    mel = torch.randn(30, 80, generator=torch.Generator().manual_seed(0))
    ripple = 0.3 * torch.cos(math.pi * order * (torch.arange(80) + 0.5) / 80)
    assert distance(of(mel + ripple), of(mel)).mel_cepstral == pytest.approx(NEPER * 0.3 / math.sqrt(2), rel=1e-5)


def test_loudness_alone_is_no_distance_and_finer_ripples_are_not_seen() -> None:
    mel = torch.randn(30, 80, generator=torch.Generator().manual_seed(0))
    fine = 0.3 * torch.cos(math.pi * 20 * (torch.arange(80) + 0.5) / 80)
    assert distance(of(mel + 2), of(mel)).mel_cepstral == pytest.approx(0, abs=1e-5)
    assert distance(of(mel + fine), of(mel)).mel_cepstral == pytest.approx(0, abs=1e-5)


def test_pauses_of_the_reference_do_not_count() -> None:
    mel = torch.randn(30, 80, generator=torch.Generator().manual_seed(0))
    mel[20:] -= 10
    other = mel.clone()
    other[20:] = -5
    assert distance(of(other), of(mel)).mel_cepstral == 0


def test_the_fundamental_is_found_and_an_octave_is_1200_cents() -> None:
    low, high = features(tone(110), 22_050), features(tone(220), 22_050)
    assert np.nanmedian(low.f0) == pytest.approx(110, rel=0.01)
    assert distance(high, low).f0_cents == pytest.approx(1200, abs=20)


def test_noise_has_no_voice() -> None:
    noise = 0.1 * torch.randn(22_050, generator=torch.Generator().manual_seed(0))
    assert np.isnan(fundamental(noise)).mean() > 0.9
    apart = distance(features(noise, 22_050), features(tone(200), 22_050))
    assert apart.voicing is not None
    assert apart.voicing > 0.9


def test_another_sample_rate_is_the_same_sound() -> None:
    apart = distance(features(tone(200, rate=16_000), 16_000), features(tone(200, rate=22_050), 22_050))
    assert apart.alignment == "frames"
    assert apart.f0_cents == pytest.approx(0, abs=5)


def test_sounds_of_other_lengths_are_warped() -> None:
    slow = torch.cat((tone(150, 0.6), tone(250, 0.6)))
    fast = torch.cat((tone(150, 0.3), tone(250, 0.3)))
    apart = distance(features(fast, 22_050), features(slow, 22_050))
    assert apart.alignment == "warped"
    assert apart.f0_cents == pytest.approx(0, abs=150)


def test_what_is_too_long_to_be_warped_has_no_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    from tts_lab.experiments import distances

    monkeypatch.setattr(distances, "LONGEST_WARPED", 10)
    mel = torch.zeros(30, 80)
    assert distance(of(mel), of(mel[:20])) == Distance(None, None, None, "too long to be warped")


def test_nothing_voiced_in_both() -> None:
    found = of(torch.zeros(5, 80))
    mute = dataclasses.replace(found, f0=np.full(5, np.nan, np.float32))
    assert distance(found, mute) == Distance(0.0, None, 1.0, "frames")


@pytest.mark.parametrize("speaker", [None, np.ones(256, np.float32)])
def test_features_survive_the_disk(speaker: np.ndarray | None) -> None:
    found = dataclasses.replace(features(tone(200, 0.2), 22_050), speaker=speaker)
    again = Features.from_bytes(found.to_bytes())
    for field in dataclasses.fields(Features):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(found, field.name))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"nothing of the kind"])
def test_damaged_features_are_told(data: bytes) -> None:
    import zipfile

    with pytest.raises((ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile)):
        Features.from_bytes(data)


def test_cepstra_are_those_of_librosa_s_transform() -> None:
    from scipy.fft import dct

    mel = torch.randn(7, 80, generator=torch.Generator().manual_seed(0))
    expected = dct(mel.numpy(), axis=1, norm=None)[:, 1:14] / 80
    np.testing.assert_allclose(cepstra(mel).numpy(), expected, atol=1e-5)
