"""The vocoders against recordings of the public modules; reach, tiles and the harmonic source."""

from __future__ import annotations

import math

import pytest
import torch
from sambert_recorded import acoustic_config, close, recorded, released, state, vocoder, vocoder_config
from torch import Tensor

from tts_lab.nn.tiling import tiled
from tts_lab.systems.sambert.config import Source, VocoderConfig
from tts_lab.systems.sambert.source import (
    CYCLE,
    Noise,
    NoiseStream,
    SourceModule,
    denormalised,
    folded,
    unfolded,
)
from tts_lab.systems.sambert.vocoder import KanHiFiGAN, vocoder_state

NARROW = {"in_channels": 8, "channels": 32}
CAUSAL = {**NARROW, "upsample_kernal_sizes": (20, 10, 4, 4), "causal": True}
KINDS = {
    "noncausal": VocoderConfig(**NARROW),
    "causal": VocoderConfig(**CAUSAL),
    "nsf": VocoderConfig(**NARROW, nsf_params=Source(7, 16_000)),
    "causal-nsf": VocoderConfig(**CAUSAL, nsf_params=Source(7, 16_000)),
    "24k": VocoderConfig(**NARROW, upsample_scales=(8, 5, 3, 2), upsample_kernal_sizes=(16, 10, 6, 4),
                         resblock_dilations=((1, 3, 5),) * 3, causal=True),
    "48k": VocoderConfig(**NARROW, upsample_scales=(10, 5, 3, 2, 2), upsample_kernal_sizes=(20, 10, 6, 4, 4),
                         causal=True),
}  # fmt: skip
REACH = {
    "noncausal": (18, 18),
    "causal": (35, 0),
    "nsf": (18, 18),
    "causal-nsf": (35, 0),
    "24k": (27, 0),
    "48k": (34, 0),
}


def given_noise(t: dict[str, Tensor]) -> Noise:
    phase = t["in.phase"].clone()
    phase[:, 0] = 0
    return Noise(phase, t["in.noise"])


@pytest.mark.parametrize("kind", ["noncausal", "causal", "nsf"])
def test_mel_to_wave(kind: str) -> None:
    t, model = recorded(f"vocoder_{kind}")[0], vocoder(kind)
    with torch.inference_mode():
        x = t["in.mel"]
        pre = model.conv_pre(x)
        close("conv_pre", pre, t["out.conv_pre"])
        s = pre + pre.sin()
        close("repeat 0", model.repeat_upsamples[0](s), t["out.repeat0"])
        close("transpose 0", model.transpose_upsamples[0](s), t["out.transpose0"])
        close("transpose 1", model.transpose_upsamples[1](t["out.repeat0"]), t["out.transpose1_of_repeat0"])
        if kind == "nsf":
            x = torch.cat((x, folded(model.source_module(t["in.f0"], t["in.uv"], given_noise(t)), 200)), 1)
        wave = model(x)
    close("wave", wave, t["out.wav"][:, 0])
    close("wave, folded", wave, t["out.wav_folded"][:, 0])


@pytest.mark.parametrize("naive", [True, False])
def test_the_source_with_given_noise(naive: bool) -> None:
    t, source = recorded("vocoder_nsf")[0], vocoder("nsf").source_module
    with torch.inference_mode():
        ours = source(t["in.f0"], t["in.uv"], given_noise(t), naive=naive)
    close("excitation", ours, t["out.excitation"], 1e-6 if naive else 1e-4)


@pytest.mark.parametrize(("name", "norm"), [("denorm_f0", "mean_std"), ("denorm_f0_global", "global")])
def test_pitch_in_hertz(name: str, norm: str) -> None:
    t = recorded("vocoder_nsf")[0]
    params = recorded("acoustic_small")[1]["config"] | {"num_mels": 82, "NSF": True, "nsf_norm_type": norm}
    mel = t["in.mel_f0_uv_norm"].T[None]
    ours = denormalised(mel, acoustic_config(params), t["in.f0_mvn"][:, 0].tolist() if norm == "mean_std" else ())
    close(name, ours[0].T, t[f"out.{name}"])
    assert torch.equal(ours[0, -1], t[f"out.{name}"][:, -1])


def test_folding_leaves_what_is_folded() -> None:
    once = vocoder_state(state("vocoder_causal"))
    again = vocoder_state(once)
    assert all(torch.equal(again[name], value) for name, value in once.items())
    assert again.keys() == once.keys()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_reach_is_exact(kind: str) -> None:
    """By the gradient: what a frame's samples depend on is what the arithmetic says, no more and no less (float64)."""
    torch.manual_seed(0)
    c = KINDS[kind]
    model = KanHiFiGAN(c).double()
    before, after = model.reach()
    at, hop = before + 2, c.hop_length
    rows = 8 + (hop if c.nsf_params else 0)
    x = torch.randn(1, rows, before + after + 5, dtype=torch.float64, requires_grad=True)
    sound = model(x)[0, at * hop : (at + 1) * hop]
    (sound * torch.randn(hop)).sum().backward()
    seen = (x.grad.abs().sum((0, 1)) > 0).nonzero()[:, 0] - at
    assert (-int(seen.min()), int(seen.max())) == (before, after) == REACH[kind]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_tiles_and_pieces_are_the_whole(kind: str) -> None:
    torch.manual_seed(0)
    c = KINDS[kind]
    model = KanHiFiGAN(c).double().requires_grad_(False)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
    x = torch.randn(1, 8 + (c.hop_length if c.nsf_params else 0), 120, dtype=torch.float64)
    with torch.inference_mode():
        whole = model(x)
        for tile in (1, 7, 40) if kind == "noncausal" else (17,):
            assert float((tiled(model, x, tile) - whole).abs().max()) < 1e-12
        # Half the halo is not enough: the test can fail.
        model.receptive_field = lambda: max(model.reach()) // 2  # type: ignore[method-assign]
        assert float((tiled(model, x, 17) - whole).abs().max()) > 1e-12


def test_length_is_frames_times_hop_for_every_released_vocoder() -> None:
    for name, about in released().items():
        if "params" in about:
            config = vocoder_config(about["params"])
            with torch.device("meta"):
                model = KanHiFiGAN(config)
                mel = torch.empty(2, config.in_channels + (config.hop_length if config.nsf_params else 0), 5)
            assert model(mel).shape == (2, 5 * config.hop_length), name


def test_the_source_draws_one_noise_whatever_the_pieces() -> None:
    whole = NoiseStream(5, 1, 8, 200, torch.device("cpu")).next(7)
    parts = NoiseStream(5, 1, 8, 200, torch.device("cpu"))
    pieces = [parts.next(n) for n in (2, 0, 4, 1)]
    assert torch.equal(torch.cat([p.values for p in pieces], 2), whole.values)
    assert torch.equal(pieces[0].phase, whole.phase)
    assert not whole.phase[:, 0].any()
    assert float(whole.phase.abs().max()) <= math.pi
    assert float(whole.values.std()) == pytest.approx(0.003, rel=0.05)
    other = NoiseStream(6, 1, 8, 200, torch.device("cpu")).next(7)
    assert not torch.equal(other.values, whole.values)


def test_phases_do_not_drift_with_the_length() -> None:
    """Two minutes at a steady pitch: float32 sums are out by hundredths of a cycle, counted parts are not."""
    source = SourceModule(Source(7, 16_000), 200)
    t = 9600
    f0 = torch.full((1, 1, t), 211.37)
    exact = torch.arange(1, t * 200 + 1, dtype=torch.float64) * (f0[0, 0, 0].double() * 8 / 16_000)

    def off(cycles: Tensor) -> float:
        apart = (cycles[0, 7].double() - exact) % 1
        return float(torch.minimum(apart, 1 - apart).max())

    assert off(source.counted(f0, None)) < 0.01 < off(source.added_up(f0))


def test_phases_go_on_from_any_frame() -> None:
    source = SourceModule(Source(7, 16_000), 200)
    f0 = torch.rand(1, 1, 30, generator=torch.Generator().manual_seed(0)) * 300 + 30
    whole = source.counted(f0, None)
    phase = source.turned(f0[..., :11])
    assert torch.equal(torch.cat((source.counted(f0[..., :11], None), source.counted(f0[..., 11:], phase)), 2), whole)
    assert torch.equal(source.turned(f0[..., 11:], phase), source.turned(f0))
    assert 0 <= int(phase) < CYCLE


def test_unvoiced_frames_are_noise_and_voiced_ones_are_harmonics() -> None:
    source = SourceModule(Source(0, 16_000), 200)
    torch.nn.init.ones_(source.ffn[0].weight)
    torch.nn.init.zeros_(source.ffn[0].bias)
    f0 = torch.full((1, 1, 20), 160.0)
    noise = NoiseStream(0, 1, 1, 200, torch.device("cpu")).next(20)
    with torch.inference_mode():
        voiced, unvoiced = (source(f0, torch.full_like(f0, uv), noise)[0, 0].atanh() for uv in (1.0, 0.0))
    spectrum = torch.fft.rfft(voiced).abs()
    assert int(spectrum.argmax()) == 160 * 4000 // 16_000
    assert float(voiced.abs().max()) == pytest.approx(0.1, abs=0.02)
    assert float(unvoiced.std()) == pytest.approx(0.1 / 3, rel=0.1)


def test_rows_under_the_mel_fold_and_unfold() -> None:
    x = torch.arange(30.0).view(1, 1, 30)
    rows = folded(x, 5)
    assert rows.shape == (1, 5, 6)
    assert rows[0, :, 1].tolist() == [5, 6, 7, 8, 9]
    assert torch.equal(unfolded(rows), x)
