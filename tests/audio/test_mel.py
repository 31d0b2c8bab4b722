"""Mel front ends against librosa, which computes them independently."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from tts_lab.audio.mel import MEL_16K_SAMBERT, MEL_22K, MEL_22K_FULL, MelSpec, log_mel, mel_filters
from tts_lab.errors import AudioError

SPECS = pytest.mark.parametrize("spec", [MEL_22K, MEL_22K_FULL, MEL_16K_SAMBERT], ids=["22k", "22k-full", "16k"])


def sound(seconds: float, rate: int) -> np.ndarray:
    """A gliding tone with overtones over a little noise: energy in every band, loud and quiet."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (120 * time + 60 * time**2)
    tone = sum(np.sin(k * phase) / k for k in range(1, 30)) * np.linspace(0, 0.3, time.size)
    return (tone + 1e-3 * np.random.default_rng(0).standard_normal(time.size)).astype(np.float32)


def librosa_mel(samples: np.ndarray, spec: MelSpec) -> np.ndarray:
    common = {"n_fft": spec.n_fft, "hop_length": spec.hop_length, "win_length": spec.win_length, "window": "hann"}
    filters = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.fmin, fmax=spec.fmax
    )
    if spec.padding == "zero":
        size = np.abs(librosa.stft(samples, center=True, pad_mode="constant", **common))
        decibels = 20 * np.log10(np.maximum(1e-5, filters @ size)) - 20
        return np.clip((decibels + 100) / 100, 0, 1)
    padded = np.pad(samples, (spec.n_fft - spec.hop_length) // 2, mode="reflect")
    power = np.abs(librosa.stft(padded, center=False, **common)) ** 2
    return np.log(np.maximum(1e-5, filters @ np.sqrt(power + 1e-9)))


@SPECS
def test_agrees_with_librosa(spec: MelSpec) -> None:
    samples = sound(1.5, spec.sample_rate)
    ours = log_mel(torch.from_numpy(samples), spec)[0].numpy()
    theirs = librosa_mel(samples, spec)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 1e-4
    assert theirs.std() > 0.05  # the comparison is of a picture with something on it


@SPECS
def test_filters_agree_with_librosa(spec: MelSpec) -> None:
    theirs = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.fmin, fmax=spec.fmax
    )
    np.testing.assert_allclose(mel_filters(spec).numpy(), theirs, atol=1e-6)


def test_full_band_differs_from_8_khz() -> None:
    samples = torch.from_numpy(sound(0.5, 22_050))
    assert (log_mel(samples, MEL_22K) - log_mel(samples, MEL_22K_FULL)).abs().max() > 0.1


@SPECS
def test_number_of_frames(spec: MelSpec) -> None:
    for length in (spec.shortest, spec.shortest + 1, 5 * spec.hop_length - 1, 5 * spec.hop_length, 12_345):
        if length < spec.shortest:
            continue
        assert log_mel(torch.zeros(length), spec).shape == (1, 80, spec.frames(length)), length
    expected = 12_345 // spec.hop_length + (1 if spec.padding == "zero" else 0)
    assert spec.frames(12_345) == expected


@SPECS
def test_too_short_is_a_sentence(spec: MelSpec) -> None:
    assert spec.frames(spec.shortest - 1) == 0
    with pytest.raises(AudioError, match=f"at least {spec.shortest} are needed"):
        log_mel(torch.zeros(spec.shortest - 1), spec)


def test_silence_is_the_floor() -> None:
    # 1e-9 under the root gives each bin 3e-5, and a band sums it by its filter: still under the clamp
    assert log_mel(torch.zeros(8000), MEL_22K).unique().numpy() == pytest.approx(np.log(1e-5), abs=1e-5)
    assert log_mel(torch.zeros(8000), MEL_16K_SAMBERT).unique().tolist() == [0.0]


def test_batch_rows_are_independent() -> None:
    rows = torch.stack([torch.from_numpy(sound(0.4, 22_050)), torch.zeros(8820)])
    together = log_mel(rows, MEL_22K)
    torch.testing.assert_close(together[:1], log_mel(rows[0], MEL_22K))
    torch.testing.assert_close(together[1:], log_mel(rows[1], MEL_22K))


def test_half_precision_is_computed_in_full() -> None:
    assert log_mel(torch.zeros(2, 4000, dtype=torch.float16), MEL_22K).dtype == torch.float32


def test_shapes_without_computing() -> None:
    assert log_mel(torch.zeros(2, 22_050, device="meta"), MEL_22K).shape == (2, 80, 86)


def test_usable_for_training_after_inference() -> None:
    mel_filters.cache_clear()
    with torch.inference_mode():
        log_mel(torch.zeros(4000), MEL_22K)
    samples = torch.full((1, 4000), 0.1, requires_grad=True)
    log_mel(samples, MEL_22K).sum().backward()
    assert samples.grad is not None
    assert bool(samples.grad.isfinite().all())
