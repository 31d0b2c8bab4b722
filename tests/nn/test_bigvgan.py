"""BigVGAN: the anti-aliased snake, the receptive field, lengths, and half precision."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv1d, conv_transpose1d, pad

from tts_lab.nn.antialias import REACH, AntiAliasedSnake, low_pass, snake
from tts_lab.nn.bigvgan import BigVGAN, BigVGANSizes, set_activation_groups

SMALL = BigVGANSizes(mels=6, channels=64)
RELEASED_FOLDED = 112_199_472  # sum over bigvgan_generator.pt after folding, filters aside


def small(sizes: BigVGANSizes = SMALL) -> BigVGAN:
    torch.manual_seed(0)
    model = BigVGAN(sizes).double()
    for name, p in model.named_parameters():
        if name.endswith(("alpha", "beta")):
            torch.nn.init.normal_(p, std=0.3)
    model.conv_post.weight.data *= 0.5  # keep clear of the clipping
    return model


def test_v2_has_the_published_size() -> None:
    with torch.device("meta"):
        model = BigVGAN()
    assert sum(p.numel() for p in model.parameters()) == RELEASED_FOLDED
    assert model.sizes.hop_length == 256


def test_low_pass_has_unit_sum_and_halves_the_band() -> None:
    taps = low_pass().double()
    assert float(taps.sum()) == pytest.approx(1, abs=1e-6)
    assert torch.equal(taps, taps.flip(0))
    gain = torch.fft.rfft(taps, 64).abs()
    assert float(gain[:8].min()) > 0.8  # up to an eighth of the rate
    assert float(gain[28:].max()) < 0.05


def test_snake_equals_its_formula() -> None:
    x = torch.randn(2, 3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha, beta = torch.tensor([-0.5, 0.0, 0.7]).double(), torch.tensor([0.2, -0.3, 0.0]).double()
    a, b = alpha.exp()[:, None], beta.exp()[:, None]
    torch.testing.assert_close(snake(x, alpha, beta), x + torch.sin(x * a) ** 2 / (b + 1e-9))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_level_is_kept_in_every_number_format(dtype: torch.dtype) -> None:
    """Where the snake does not bend (its sine's weight is nil), what goes in comes out."""
    act = AntiAliasedSnake(1).to(dtype)
    act.beta.data[:] = 20
    x = torch.full((1, 1, 30), 3.0, dtype=dtype)
    out = act(x, low_pass().to(dtype))
    assert float((out.float() - 3).abs().max()) <= 3 * torch.finfo(dtype).eps


@pytest.mark.parametrize("t", [1, 2, 7, 40])
def test_anti_aliased_snake_equals_padding_at_each_rate(t: int) -> None:
    """The plain way: up and crop, bend, pad with the edges, down (BigVGAN's own order)."""
    torch.manual_seed(0)
    x, act = torch.randn(2, 3, t, dtype=torch.float64), AntiAliasedSnake(3).double()
    torch.nn.init.normal_(act.alpha)
    taps = low_pass().double().expand(3, 1, -1)
    up = 2 * conv_transpose1d(pad(x, (5, 5), mode="replicate"), taps, stride=2, groups=3)[..., 15:-15]
    assert up.shape[-1] == 2 * t
    bent = pad(snake(up, act.alpha, act.beta), (5, 6), mode="replicate")
    torch.testing.assert_close(act(x, low_pass().double()), conv1d(bent, taps, stride=2, groups=3))


def test_anti_aliased_snake_reaches_five_samples_a_side() -> None:
    act = AntiAliasedSnake(1).double()
    x = torch.randn(1, 1, 41, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., 20] += 1
    with torch.inference_mode():
        moved = ((act(x, low_pass().double()) - act(changed, low_pass().double()))[0, 0].abs() > 0).nonzero()[:, 0]
    assert (int(moved.min()), int(moved.max())) == (20 - REACH, 20 + REACH)


def test_working_through_channels_in_groups_changes_nothing() -> None:
    model, mel = small(), torch.randn(1, 6, 5, dtype=torch.float64)
    with torch.inference_mode():
        whole = model(mel)
        set_activation_groups(model, 3)  # of 32, 16, ... and 1 channels
        assert torch.equal(model(mel), whole)
    with pytest.raises(ValueError, match="at least 1"):
        set_activation_groups(model, 0)


def test_length_is_frames_times_hop_and_sound_stays_in_range() -> None:
    with torch.inference_mode():
        loud = small()(torch.randn(2, 6, 4, dtype=torch.float64) * 1000)
    assert loud.shape == (2, 4 * 256)
    assert float(loud.abs().max()) == 1


@pytest.mark.parametrize(
    ("sizes", "field"),
    [(SMALL, 38), (BigVGANSizes(6, 16, (4, 2), (8, 4), (3, 7), (1, 3)), None)],
)
def test_receptive_field_is_exact(sizes: BigVGANSizes, field: int | None) -> None:
    """One frame that is no number reaches just as far as the formula says, and no sample farther.

    A changed number would fade below the last digit of float64 some frames before the rim: the filters' ends are small.
    """
    model = small(sizes)
    reach, hop = model.receptive_field(), sizes.hop_length
    assert field in (None, reach)
    mel = torch.randn(1, 6, 2 * reach + 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mel[:, :, reach + 3] = torch.nan
    with torch.inference_mode():
        frames = model(mel)[0].isnan().nonzero()[:, 0] // hop
    assert (int(frames.min()), int(frames.max())) == (3, 2 * reach + 3)
    assert frames.unique().numel() == 2 * reach + 1


def test_receptive_field_does_not_depend_on_channels() -> None:
    with torch.device("meta"):
        assert BigVGAN().receptive_field() == 38
