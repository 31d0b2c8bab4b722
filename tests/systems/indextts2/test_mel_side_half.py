"""Half precision: how far each network moves when its weights and activations are float16. `pytest -rP` prints it.

On the CPU, with the recordings' random weights; what is asserted is the order of the error, not its last digit.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from recorded import given, load, weights
from torch import Tensor, nn

from tts_lab.nn.antialias import snake
from tts_lab.nn.bigvgan import BigVGAN, BigVGANSizes
from tts_lab.nn.campplus import CAMPPlus
from tts_lab.nn.dit import DiT
from tts_lab.systems.indextts2 import codec, s2mel
from tts_lab.systems.indextts2.cfm import generate
from tts_lab.systems.indextts2.codec import RepCodec
from tts_lab.systems.indextts2.released import Layout, released_shapes
from tts_lab.systems.indextts2.s2mel import S2Mel
from tts_lab.systems.indextts2.sizes import SMALL
from tts_lab.systems.indextts2.vocoder_layout import bigvgan_layout, campplus_layout


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def both(model: nn.Module, layout: Layout) -> tuple[nn.Module, nn.Module]:
    """With random weights in float32, and a copy in float16."""
    state = weights(released_shapes(model, layout))
    state |= {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    load(model, state, layout)
    return model, copy.deepcopy(model).half()


def moved(half: Tensor, full: Tensor, name: str) -> float:
    """Root mean square of the difference, relative to that of the value; printed."""
    assert full.dtype == torch.float32
    size = float((half.float() - full).square().mean().sqrt() / full.square().mean().sqrt())
    print(f"{name}, float16: {size:.1e}")
    return size


def test_time_embedding_keeps_its_phases() -> None:
    full, half = both(DiT(SMALL.s2mel.dit), s2mel.dit_layout(SMALL.s2mel.dit))
    t = torch.linspace(0, 1, 26)
    assert torch.equal(half.time.frequencies, full.time.frequencies)
    assert moved(half.time(t), full.time(t), "time embedding") < 2e-3


def test_content() -> None:
    full, half = both(S2Mel(SMALL.s2mel), s2mel.layout(SMALL.s2mel))
    tokens, latent = given("tokens", (1, 25, 40)), given("latent", (1, 25, 56))
    ours = half.content(tokens.half(), latent.half(), 43)
    assert moved(ours, full.content(tokens, latent, 43), "gpt_layer and length regulator") < 5e-3


@pytest.mark.parametrize("mode", ["batched", "sequential"])
def test_flow_matching_over_25_steps(mode: str) -> None:
    full, half = both(DiT(SMALL.s2mel.dit), s2mel.dit_layout(SMALL.s2mel.dit))
    rest = (given("noise", (1, 20, 29)), given("mu", (1, 29, 48)), given("style", (1, 24)), given("prompt", (1, 20, 9)))
    ours, _ = generate(half, *rest, mode=mode)
    assert ours.dtype == torch.float32  # the state of the solver
    assert moved(ours, generate(full, *rest, mode=mode)[0], f"flow matching, {mode}") < 5e-3


def test_codec_chooses_nearly_the_same_tokens() -> None:
    full, half = both(RepCodec(SMALL.codec), codec.layout(SMALL.codec))
    x = given("features", (1, 1000, 40))
    (tokens, _), (theirs, embedded) = half(x.half()), full(x)
    assert moved(half.latent(x.half()), full.latent(x), "codec latent") < 5e-3
    assert moved(half.embed(theirs), embedded, "tokens embedded") < 2e-3
    other = float((tokens != theirs).float().mean())
    print(f"codec tokens that differ, float16: {other:.2%}")
    assert other < 0.01


def test_speaker_encoder() -> None:
    full, half = both(CAMPPlus(SMALL.campplus), campplus_layout(SMALL.campplus))
    x = given("filters", (2, 251, 80))
    a, b = half(x.half()), full(x)
    assert moved(a, b, "speaker encoder") < 5e-3
    assert float(torch.cosine_similarity(a.float(), b).min()) > 0.9999


def test_vocoder() -> None:
    sizes = replace(BigVGANSizes(), channels=64)
    full, half = both(BigVGAN(sizes), bigvgan_layout(sizes))
    mel = given("mel", (1, 80, 9))
    assert moved(half(mel.half()), full(mel), "vocoder") < 8e-3


def test_a_snake_with_a_tiny_beta_stays_finite() -> None:
    """1e-9 is zero in float16, and so is the e^beta of a flat channel: the division must not be done there."""
    x = torch.zeros(1, 1, 3, dtype=torch.float16)
    y = snake(x, torch.zeros(1, dtype=torch.float16), torch.full((1,), -20, dtype=torch.float16))
    assert bool(y.isfinite().all())
    loud = snake(torch.full((1, 1, 3), 40.0).half(), torch.ones(1).half(), torch.zeros(1).half())
    expected = 40 + torch.sin(torch.tensor(40 * torch.e)) ** 2
    torch.testing.assert_close(loud, expected.half().expand(1, 1, 3), rtol=1e-3, atol=0)
