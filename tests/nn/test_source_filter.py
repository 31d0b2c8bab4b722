"""The source-filter vocoder: what is known of its signal processing without any training."""

import math

import pytest
import torch

from tts_lab.nn.source_filter import LOWEST, SourceFilter, SourceFilterSizes, classes_of, fourier, hertz
from tts_lab.nn.tiling import tiled

SIZES = SourceFilterSizes(width=32, inner=48, layers=2, pitch_width=16, pitch_layers=1)
HOP, RATE = SIZES.hop_length, SIZES.sample_rate


@pytest.fixture(scope="module")
def vocoder() -> SourceFilter:
    torch.manual_seed(0)
    return SourceFilter(SIZES).eval().requires_grad_(False)


def spoken(frames: int = 60, hertz: float = 200.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mel = torch.randn(1, SIZES.mels, frames, generator=generator) - 4
    return mel, torch.randn(1, HOP, frames, generator=generator), torch.full((1, frames), hertz)


def test_windows_taken_apart_and_put_together_are_the_sound(vocoder):
    x = torch.randn(2, 40 * HOP, generator=torch.Generator().manual_seed(0))
    again = vocoder._sound(vocoder._spectrum(x))
    assert again.shape == x.shape
    inside = slice(SIZES.window, -SIZES.window)
    torch.testing.assert_close(again[:, inside], x[:, inside], atol=1e-5, rtol=0)


def test_the_fourier_matrix_is_torchs_fft(vocoder):
    x = torch.randn(1, SIZES.window, generator=torch.Generator().manual_seed(0))
    want = torch.fft.rfft(x * torch.hann_window(SIZES.window))
    torch.testing.assert_close(x.to(torch.complex64) @ vocoder.analysis, want, atol=1e-4, rtol=1e-4)


def test_the_shortest_ringing_filter_is_causal():
    """A filter of poles inside the circle has the phase that `minimum` reads off its magnitude."""
    k = torch.arange(513, dtype=torch.float64) * 2 * math.pi / 1024
    poles = torch.polar(torch.tensor([0.9, 0.8]).double(), torch.tensor([0.5, 1.4]).double())
    z = torch.exp(-1j * k)
    response = torch.ones_like(z)
    for p in poles:
        response = response / ((1 - p * z) * (1 - p.conj() * z))
    phase = response.abs().log().float() @ torch.view_as_real(fourier(1024)["minimum"]).flatten(1)[:, :513]
    turned = torch.remainder(phase - response.angle().float() + math.pi, 2 * math.pi) - math.pi
    assert turned[1:-1].abs().max() < 1e-2


def test_pulses_have_every_harmonic_alike_and_none_above(vocoder):
    frames = 86
    pitch = 215 * RATE / (frames * HOP)  # harmonics lie on bins of the spectrum
    f0 = torch.full((1, frames), pitch)
    _, _, phase, _ = vocoder.source(*spoken(frames)[:2], f0).split((SIZES.mels, 1, 1, HOP), 1)
    pulses = vocoder._pulses(f0, phase[:, 0])[0]
    assert pulses.square().mean() == pytest.approx(1.0, rel=1e-2)
    spectrum = torch.fft.rfft(pulses * torch.hann_window(len(pulses))).abs()
    at = lambda hertz: float(spectrum[round(hertz * len(pulses) / RATE)])  # noqa: E731
    harmonics = [at(k * pitch) for k in range(1, 49)]
    assert max(harmonics) < 1.02 * min(harmonics)
    assert at(1.5 * pitch) < 1e-3 * harmonics[0]
    assert float(spectrum[-40:].max()) < 1e-2 * harmonics[0]


def test_a_moving_pitch_has_no_jump_in_it(vocoder):
    frames = 40
    f0 = torch.linspace(120, 240, frames)[None]
    phase = vocoder.source(*spoken(frames)[:2], f0)[:, SIZES.mels + 1]
    ends = torch.remainder(phase + f0 * HOP / RATE, 1.0)
    off = torch.remainder(ends[:, :-1] - phase[:, 1:] + 0.5, 1.0) - 0.5
    assert off.abs().max() < 1e-4


def test_pitch_classes_and_hertz_are_each_others_inverse():
    f0 = torch.tensor([[60.0, 110.0, 237.0, 510.0]])
    scores = torch.nn.functional.one_hot(classes_of(f0, 184), 184).float() * 20
    cents = 1200 * torch.log2(hertz(scores) / f0)
    assert cents.abs().max() <= 12.6  # half a class
    assert float(hertz(torch.eye(184)[None] * 50)[0, 0]) == pytest.approx(LOWEST, rel=1e-3)


def test_tiles_of_one_source_are_the_whole(vocoder):
    mel, noise, _ = spoken(90)
    source = vocoder.source(mel, noise)
    whole = vocoder(source)
    for tile in (7, 32):
        torch.testing.assert_close(tiled(vocoder, source, tile), whole, atol=2e-5, rtol=0)


def test_nothing_beyond_the_receptive_field_is_heard(vocoder):
    mel, noise, f0 = spoken(90)
    source = vocoder.source(mel, noise, f0)
    reach = vocoder.receptive_field()
    moved = source.clone()
    moved[:, : SIZES.mels, 45 + reach + 1 :] += 1
    one, two = vocoder(source), vocoder(moved)
    frame = slice(45 * HOP, 46 * HOP)
    torch.testing.assert_close(one[:, frame], two[:, frame])
    assert (one - two).abs().max() > 1e-3


def test_the_same_noise_makes_the_same_sound_and_other_noise_another(vocoder):
    mel, noise, _ = spoken()
    sound = lambda noise: vocoder(vocoder.source(mel, noise))  # noqa: E731
    assert torch.equal(sound(noise), sound(noise))
    assert not torch.equal(sound(noise), sound(noise.flip(2)))
