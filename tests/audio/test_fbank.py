"""Kaldi filter banks against their definition, written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tts_lab.audio.fbank import filter_bank, frames
from tts_lab.errors import AudioError


def mel(hz: np.ndarray) -> np.ndarray:
    return 1127 * np.log(1 + hz / 700)


def by_definition(samples: np.ndarray) -> np.ndarray:
    """25 ms windows every 10 ms: mean away, pre-emphasis 0.97, Povey window, power, triangles in mel, logarithm."""
    window = np.hanning(400) ** 0.85
    edges = np.linspace(mel(np.array(20.0)), mel(np.array(8000.0)), 82)
    at = mel(np.arange(256) * 16_000 / 512)
    up = (at - edges[:-2, None]) / (edges[1] - edges[0])
    down = (edges[2:, None] - at) / (edges[1] - edges[0])
    triangles = np.maximum(0, np.minimum(up, down))
    rows = []
    for start in range(0, len(samples) - 399, 160):
        frame = samples[start : start + 400].astype(np.float64)
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate((frame[:1], frame[:-1]))
        power = np.abs(np.fft.rfft(frame * window, 512))[:256] ** 2
        rows.append(np.log(np.maximum(triangles @ power, np.finfo(np.float32).eps)))
    bank = np.array(rows)
    return bank - bank.mean(0)


def sound(samples: int) -> np.ndarray:
    time = np.arange(samples) / 16_000
    tone = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    return (0.1 * tone + 0.01 * np.random.RandomState(0).standard_normal(samples)).astype(np.float32)


def test_agrees_with_its_definition() -> None:
    samples = sound(8123)
    ours, theirs = filter_bank(torch.from_numpy(samples)).numpy(), by_definition(samples)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 2e-3
    assert theirs.std() > 0.2


def test_number_of_frames_and_repeatability() -> None:
    for n in (400, 559, 560, 16_000):
        x = torch.from_numpy(sound(n))
        assert filter_bank(x).shape == (frames(n), 80)
        assert torch.equal(filter_bank(x), filter_bank(x))
    assert frames(399) == 0


def test_works_without_values() -> None:
    """On the meta device, where lengths are all there is."""
    assert filter_bank(torch.empty(16_000, device="meta")).shape == (98, 80)


def test_too_short_is_a_sentence() -> None:
    with pytest.raises(AudioError, match="at least 400 are needed"):
        filter_bank(torch.zeros(399))
