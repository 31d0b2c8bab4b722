"""Resampling keeps pitch, length and level."""

from __future__ import annotations

import math

import pytest
import torch

from tts_lab.audio.resample import resample
from tts_lab.errors import AudioError


def tone(rate: int, hertz: float = 440.0) -> torch.Tensor:
    phase = torch.arange(rate, dtype=torch.float64) / rate * 2 * math.pi * hertz
    return 0.5 * phase.sin().float()


@pytest.mark.parametrize(("source", "goal"), [(8_000, 22_050), (44_100, 22_050), (24_000, 16_000), (22_050, 48_000)])
def test_a_tone_stays_itself(source: int, goal: int) -> None:
    result = resample(tone(source), source, goal)
    assert result.shape == (goal,)
    middle = slice(goal // 10, -goal // 10)  # the filter rings at the ends
    assert (result - tone(goal))[middle].abs().max() < 2e-5


def test_what_the_lower_rate_cannot_hold_is_removed() -> None:
    assert resample(tone(48_000, 10_000), 48_000, 16_000)[200:-200].abs().max() < 1e-3


def test_rows_are_independent() -> None:
    rows = torch.stack([tone(24_000), tone(24_000, 1000)])
    both = resample(rows, 24_000, 22_050)
    assert both.shape == (2, 22_050)
    torch.testing.assert_close(both[1], resample(rows[1], 24_000, 22_050))


def test_equal_rates_cost_nothing() -> None:
    samples = tone(16_000)
    assert resample(samples, 16_000, 16_000) is samples


def test_impossible_rates() -> None:
    with pytest.raises(AudioError, match="positive"):
        resample(tone(16_000), 16_000, 0)
