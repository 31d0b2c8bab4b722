"""Loudness: the standard's reference tone, short clips, silence, and the peak limit of matching."""

from __future__ import annotations

import math

import pytest
import torch

from tts_lab.audio.loudness import match, measure


def tone(seconds: float, rate: int = 22_050, amplitude: float = 0.1, hertz: float = 997.0) -> torch.Tensor:
    return amplitude * torch.sin(torch.arange(round(seconds * rate)) / rate * 2 * math.pi * hertz)


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_reference_tone(rate: int) -> None:
    """ITU-R BS.1770: a full-scale 997 Hz sine in one channel reads -3.01 LUFS."""
    assert measure(tone(2.0, rate, amplitude=1.0), rate) == pytest.approx(-3.01, abs=0.1)


def test_ten_times_quieter_is_20_lufs_less() -> None:
    assert measure(tone(1, amplitude=0.5), 22_050) - measure(tone(1, amplitude=0.05), 22_050) == pytest.approx(20)


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.2, 0.39])
def test_short_clips_read_like_long_ones(seconds: float) -> None:
    assert measure(tone(seconds), 22_050) == pytest.approx(measure(tone(2.0), 22_050), abs=0.5)


@pytest.mark.parametrize("samples", [torch.zeros(22_050), torch.zeros(0), tone(0.005)])
def test_nothing_to_measure(samples: torch.Tensor) -> None:
    assert measure(samples, 22_050) == -math.inf
    assert torch.equal(match(samples, 22_050), samples)


@pytest.mark.parametrize("seconds", [0.1, 1.5])
def test_match_reaches_the_target(seconds: float) -> None:
    assert measure(match(tone(seconds), 22_050, -30.0), 22_050) == pytest.approx(-30.0, abs=0.01)


def test_match_never_clips() -> None:
    spiky = tone(1.0, amplitude=0.01)
    spiky[500] = 0.9
    louder = match(spiky, 22_050, target=-10.0)
    assert louder.abs().max().item() == pytest.approx(0.99, abs=1e-4)
    assert measure(louder, 22_050) < -20
