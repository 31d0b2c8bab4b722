"""Our modules against recordings of the public ones (tests/data/indextts2/README.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from recorded import error, given, load, recording, weights
from torch import Tensor, nn

from tts_lab.audio.mel import MEL_22K_FULL, log_mel
from tts_lab.nn.bigvgan import BigVGAN, BigVGANSizes, set_activation_groups
from tts_lab.nn.campplus import CAMPPlus
from tts_lab.nn.dit import DiT
from tts_lab.nn.flow import Step, evaluations
from tts_lab.systems.indextts2 import codec, length_regulator, s2mel
from tts_lab.systems.indextts2.cfm import generate
from tts_lab.systems.indextts2.codec import RepCodec
from tts_lab.systems.indextts2.length_regulator import LengthRegulator, frames_of, nearest
from tts_lab.systems.indextts2.released import Layout, released_shapes
from tts_lab.systems.indextts2.s2mel import S2Mel
from tts_lab.systems.indextts2.sizes import SMALL, LengthRegulatorSizes, Sizes
from tts_lab.systems.indextts2.vocoder_layout import bigvgan_layout, campplus_layout

LIMIT = 1e-4


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def filled(model: nn.Module, layout: Layout, prefix: str = "") -> nn.Module:
    """With the weights that the recorded module had; `prefix`: its name inside what was recorded."""
    state = weights({prefix + k: shape for k, shape in released_shapes(model, layout).items()})
    state |= {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    load(model, state, layout.under(prefix, ""))
    return model


def dit() -> DiT:
    return filled(DiT(SMALL.s2mel.dit), s2mel.dit_layout(SMALL.s2mel.dit, 30), "estimator.")


def test_length_regulator() -> None:
    sizes = LengthRegulatorSizes(48, 32, codebook=20)
    model, said = filled(LengthRegulator(sizes), length_regulator.layout(sizes)), recording("length_regulator")
    y = model(given("x", (2, 23, 48)), 31, torch.tensor([31, 24]))
    assert error(y, said["y"], "length regulator") <= LIMIT
    assert error(model(given("edge", (1, 26, 48)), 44), said["edge"], "length regulator 26 -> 44") <= LIMIT


def test_nearest_positions_follow_float32_and_not_exact_arithmetic() -> None:
    exact = torch.tensor([i * 26 // 44 for i in range(44)])
    ours = nearest(26, 44)
    assert (ours != exact).any()
    for n in (1, 2, 13, 26, 100, 750, 1499):
        frames = max(1, frames_of(n))
        theirs = nn.functional.interpolate(torch.arange(n, dtype=torch.float32)[None, None], size=frames)[0, 0]
        assert torch.equal(nearest(n, frames).float(), theirs)


def test_frames_of_tokens_are_truncated() -> None:
    assert [frames_of(n) for n in (1, 2, 25, 50, 750)] == [1, 3, 43, 86, 1290]


def test_gpt_layer() -> None:
    with torch.device("meta"):
        layer = S2Mel(Sizes().s2mel).gpt_layer
    layer = layer.to_empty(device="cpu")
    layer.load_state_dict(weights({k: v.shape for k, v in layer.state_dict().items()}))
    assert error(layer(given("latent", (1, 3, 1280))), recording("gpt_layer")["y"], "gpt_layer") <= LIMIT


def dit_call(model: DiT) -> Tensor:
    x, prompt = given("x", (2, 20, 27)), given("prompt_x", (2, 20, 27))
    cond, style = given("cond", (2, 27, 48)), given("style", (2, 24))
    mask = torch.arange(27)[None] < torch.tensor([[27], [21]])
    return model(x, torch.tensor([0.13, 0.77]), cond, style, prompt, mask)


def test_dit_with_items_of_two_lengths() -> None:
    model, said = dit(), recording("cfm")
    assert error(dit_call(model), said["dit"], "dit") <= LIMIT
    assert error(model.time(torch.tensor([0.13, 0.77])), said["time"], "time embedding") <= LIMIT
    model.merge.weight[:, 20:] = 0  # the same as everything after x zeroed
    assert error(dit_call(model), said["masked"], "dit, content masked") <= LIMIT


def flow(model: DiT, **levers: object) -> Tensor:
    noise, mu = given("noise", (1, 20, 29)), given("mu", (1, 29, 48))
    return generate(model, noise, mu, given("spk_style", (1, 24)), given("prompt", (1, 20, 9)), **levers)[0]


@pytest.mark.parametrize("mode", ["batched", "sequential"])
@pytest.mark.parametrize(("name", "steps", "guidance"), [("guided", 4, 0.7), ("plain", 4, 0.0), ("guided25", 25, 0.7)])
def test_flow_matching(name: str, steps: int, guidance: float, mode: str) -> None:
    theirs = recording("cfm")[name]
    assert float(theirs[:, :, :9].abs().max()) == 0  # the prompt's frames
    ours = flow(dit(), steps=steps, guidance=guidance, mode=mode)
    assert error(ours, theirs[:, :, 9:], f"{name}, {mode}") <= LIMIT


def test_flow_matching_holds_the_prompt_at_zero_whatever_the_solver() -> None:
    seen: list[Step] = []
    for solver in ("euler", "midpoint", "heun"):
        flow(dit(), steps=3, solver=solver, callback=seen.append)
    assert len(seen) == 9
    assert all(float(s.x[:, :, :9].abs().max()) == 0 for s in seen)
    assert all(float(s.x[:, :, 9:].abs().max()) > 0.1 for s in seen)


def test_flow_matching_counts_its_evaluations_and_leaves_its_inputs_alone() -> None:
    model, calls = dit(), []
    model.register_forward_hook(lambda *_: calls.append(1))
    noise, prompt = given("noise", (1, 20, 29)), given("prompt", (1, 20, 9))
    before = noise.clone()
    given_rest = (given("mu", (1, 29, 48)), given("spk_style", (1, 24)), prompt)
    _, count = generate(model, noise, *given_rest, steps=3, mode="sequential")
    assert count == len(calls) == evaluations(3, "euler", 0.7) == 6
    assert torch.equal(noise, before)
    assert generate(model, noise, *given_rest, steps=3, guidance=0)[1] == 3
    with pytest.raises(ValueError, match="sideways"):
        generate(model, noise, *given_rest, mode="sideways")


def test_codec() -> None:
    sizes = SMALL.codec
    model, said = filled(RepCodec(sizes), codec.layout(sizes)), recording("repcodec")
    x, x1 = given("x", (2, 19, 40)), given("x1", (1, 13, 40))
    assert error(model.encoder(x), said["encoded"], "codec encoder") <= LIMIT
    for features, end in ((x, ""), (x1, "1")):
        tokens, quantised = model(features)
        assert torch.equal(tokens, said["tokens" + end])
        assert error(quantised, said["quantised" + end], "quantised") <= LIMIT
    embedded = model.embed(torch.tensor([[0, 3, 49, 7, 7, 21, 48]]))
    assert error(embedded.transpose(1, 2), said["embedded"], "tokens embedded") <= LIMIT


def test_speaker_encoder_at_full_size() -> None:
    sizes = Sizes().campplus
    model, said = filled(CAMPPlus(sizes), campplus_layout(sizes)), recording("campplus")
    x = given("filters", (2, 251, 80))
    assert error(model(x), said["style"], "speaker encoder") <= LIMIT
    assert error(model(given("short", (1, 57, 80))), said["short"], "speaker encoder, short") <= LIMIT
    first = model.xvector.block1.tdnnd1(model.xvector.tdnn(model.head(x.transpose(1, 2))))
    assert error(first, said["dense"], "first dense layer") <= LIMIT


@pytest.mark.parametrize("groups", [1, 3])
def test_vocoder(groups: int) -> None:
    sizes = replace(BigVGANSizes(), channels=64)
    model, said = filled(BigVGAN(sizes), bigvgan_layout(sizes)), recording("bigvgan")
    set_activation_groups(model, groups)
    mel = given("mel", (1, 80, 9))
    assert float(said["wave"].abs().max()) < 0.99  # nothing clipped away
    assert error(model(mel), said["wave"][:, 0], "vocoder") <= LIMIT
    up = model.ups[0](model.conv_pre(mel))
    block = model.resblocks[0]
    assert error(block.activations[0](up, model.taps), said["snake"], "snake") <= LIMIT
    assert error(block(up, model.taps), said["block"], "residual block") <= LIMIT
    for name in ("filter", "filter_down"):
        assert error(model.taps, said[name].flatten(), name) <= 1e-6


def test_mel_front_end() -> None:
    mel = log_mel(given("sound", (2, 4321)) * 0.2, MEL_22K_FULL)
    assert error(mel, recording("mel")["mel"], "mel") <= LIMIT
