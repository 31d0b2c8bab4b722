"""The source-filter vocoder: what is known of its signal processing without any training."""

import math

import pytest
import torch

from tts_lab.nn.source_filter import LOWEST, SourceFilter, SourceFilterSizes, classes_of, fourier, hertz
from tts_lab.nn.tiling import tiled

SIZES = SourceFilterSizes(width=32, inner=48, layers=2, pitch_width=16, pitch_layers=1)
HOP, RATE = SIZES.hop_length, SIZES.sample_rate
PHASE = SIZES.mels + 3  # the row of a source that holds it


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
    pulses = vocoder._pulses(f0, vocoder.source(*spoken(frames)[:2], f0)[:, PHASE])[0]
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
    phase = vocoder.source(*spoken(frames)[:2], f0)[:, PHASE]
    ends = torch.remainder(phase + f0 * HOP / RATE, 1.0)
    off = torch.remainder(ends[:, :-1] - phase[:, 1:] + 0.5, 1.0) - 0.5
    assert off.abs().max() < 1e-4


def test_a_voice_is_spoken_at_the_pitch_it_is_moved_to_and_the_filters_are_told(vocoder):
    mel, noise, f0 = spoken()
    plain, moved = vocoder.source(mel, noise, f0), vocoder.source(mel, noise, f0, voice=f0 * 2**0.5)
    assert torch.equal(plain[:, SIZES.mels], moved[:, SIZES.mels])  # the mel's own pitch
    assert (plain[:, SIZES.mels + 1] == 0).all()
    torch.testing.assert_close(moved[:, SIZES.mels + 1], torch.full_like(f0, 0.5))
    turns = torch.remainder(moved[:, PHASE].diff(), 1.0)
    torch.testing.assert_close(turns, torch.remainder(f0[:, 1:] * 2**0.5 * HOP / RATE, 1.0), atol=1e-4, rtol=0)
    assert (vocoder.filters(plain) - vocoder.filters(moved)).abs().max() > 1e-4
    filters = torch.zeros(1, 60, 3 * SIZES.bins)
    filters[..., SIZES.bins : 2 * SIZES.bins] = -20  # pulses alone, all bins alike
    spectrum = torch.fft.rfft(vocoder.filtered(moved, filters)[0, 8 * HOP : -8 * HOP]).abs()
    hertz = torch.linspace(0, RATE / 2, len(spectrum))
    low = (hertz > 50) & (hertz < 420)
    assert float(hertz[low][spectrum[low].argmax()]) == pytest.approx(200 * 2**0.5, rel=0.01)


def test_breath_turns_the_upper_part_of_a_voice_into_noise_of_the_same_power_and_dulls_it(vocoder):
    voice, hiss = torch.full((1, 3, SIZES.bins), 2.0), torch.full((1, 3, SIZES.bins), 0.5)
    full, half, none = (vocoder._breathed(voice, hiss, torch.full((1, 3, 1), b)) for b in (1.0, 0.5, 0.0))
    assert torch.equal(none[0], voice)
    assert torch.equal(none[1], hiss)
    hertz = torch.linspace(0, RATE / 2, SIZES.bins)
    low, high = hertz < 500, hertz > 3000
    assert torch.equal(full[0][..., low], voice[..., low])
    decibels = 10 * torch.log10((full[0] ** 2 + full[1] ** 2) / (voice**2 + hiss**2))
    torch.testing.assert_close(decibels[..., high], torch.full_like(decibels[..., high], -5.0))
    share = full[0][..., high] ** 2 / (full[0][..., high] ** 2 + full[1][..., high] ** 2)
    torch.testing.assert_close(share, torch.full_like(share, 0.4 * 4 / 4.25))
    assert (half[1] > none[1])[..., high].all()
    assert (half[0] > full[0])[..., high].all()


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
