"""Full size, on the meta device: names, shapes and counts are the released ones, and a wrong checkpoint is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
import torch
from recorded import DATA, load, weights
from torch import nn

from tts_lab.errors import WeightsError
from tts_lab.nn.bigvgan import BigVGAN
from tts_lab.nn.campplus import CAMPPlus
from tts_lab.systems.indextts2 import codec, s2mel
from tts_lab.systems.indextts2.codec import RepCodec
from tts_lab.systems.indextts2.converted import Converted
from tts_lab.systems.indextts2.fitting import difference
from tts_lab.systems.indextts2.released import Layout, released_shapes, to_released
from tts_lab.systems.indextts2.s2mel import S2Mel
from tts_lab.systems.indextts2.sizes import SMALL, Sizes
from tts_lab.systems.indextts2.vocoder_layout import bigvgan_layout, campplus_layout

FULL = Sizes()
PARAMETERS = {"s2mel": 103_668_688, "repcodec": 44_289_808, "campplus": 6_848_544, "bigvgan_weightnorm": 112_231_249}
NOT_PARAMETERS = ("freqs", "filter", "input_pos", "running_mean", "running_var", "num_batches_tracked")
Case = tuple[Callable[[Sizes], nn.Module], Callable[[Sizes], Layout]]
CASES: dict[str, Case] = {
    "s2mel": (lambda z: S2Mel(z.s2mel), lambda z: s2mel.layout(z.s2mel)),
    "repcodec": (lambda z: RepCodec(z.codec), lambda z: codec.layout(z.codec)),
    "campplus": (lambda z: CAMPPlus(z.campplus), lambda z: campplus_layout(z.campplus)),
    "bigvgan_weightnorm": (lambda z: BigVGAN(z.bigvgan), lambda z: bigvgan_layout(z.bigvgan)),
}
each = pytest.mark.parametrize("name", CASES)


def names(checkpoint: str) -> dict[str, tuple[int, ...]]:
    with gzip.open(DATA / "mel_side_names.json.gz") as file:
        shapes: dict[str, list[int]] = json.load(file)[checkpoint]
    return {name.removeprefix("models."): tuple(shape) for name, shape in shapes.items()}


def full(name: str) -> tuple[nn.Module, Layout]:
    build, layout = CASES[name]
    with torch.device("meta"):
        return build(FULL), layout(FULL)


@each
def test_every_released_tensor_has_its_name_and_shape(name: str) -> None:
    model, layout = full(name)
    released = names(name)
    assert released_shapes(model, layout) == released
    assert set(layout.names.values()) == set(model.state_dict())
    counted = sum(torch.Size(s).numel() for k, s in released.items() if not k.endswith(NOT_PARAMETERS))
    assert counted == PARAMETERS[name]


def test_the_folded_vocoder_has_the_released_names_too() -> None:
    model, layout = full("bigvgan_weightnorm")
    assert released_shapes(model, layout, fold=True) == names("bigvgan_folded")


def test_names_are_few_kilobytes() -> None:
    assert (DATA / "mel_side_names.json.gz").stat().st_size < 100_000
    assert sum(file.stat().st_size for file in DATA.glob("*.safetensors")) < 3_000_000


@each
def test_a_released_state_goes_in_and_comes_out(name: str) -> None:
    """Both ways over all values: what was loaded is what is given back, and folding again changes nothing."""
    build, make_layout = CASES[name]
    model, layout = build(SMALL), make_layout(SMALL)
    state = weights(released_shapes(model, layout))
    state |= {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    load(model, state, layout)
    back = to_released(model.state_dict(), layout)
    assert not difference(back, layout, [model])
    again = Converted(back, layout)
    assert all(torch.equal(again[k], v) for k, v in model.state_dict().items())
    for weight, tensor in back.items():
        if weight in layout.normed:
            norm = tensor.flatten(1).norm(dim=1)
            torch.testing.assert_close(norm, state[weight + "_g"].flatten().abs(), rtol=1e-5, atol=1e-7)
        else:
            assert torch.equal(tensor, state[weight])


@each
def test_a_checkpoint_with_other_names_is_refused(name: str) -> None:
    model, layout = full(name)
    state = {k: torch.empty(s, device="meta") for k, s in released_shapes(model, layout).items()}
    first = next(iter(layout.names))
    assert not difference(state, layout, [model])
    assert difference(state | {"extra.weight": torch.empty(1)}, layout, [model]).unknown == ("extra.weight",)
    key = first + "_g" if first in layout.normed else first
    short = {k: v for k, v in state.items() if not k.startswith(key.removesuffix("_g"))}
    assert first in difference(short, layout, [model]).missing
    assert difference({}, layout, [model]).missing == tuple(layout.names)


def test_what_inference_never_reads_may_be_missing_or_of_another_age() -> None:
    model, layout = full("s2mel")
    state = {k: torch.empty(s, device="meta") for k, s in released_shapes(model, layout).items()}
    needed = {k: v for k, v in state.items() if k not in layout.unused}
    assert len(needed) < len(state)
    older = {"cfm.estimator.input_pos": torch.zeros(8192), "cfm.estimator.transformer.causal_mask": torch.zeros(9, 9)}
    assert not any(difference(found, layout, [model]) for found in (state, needed, state | older))


def test_a_checkpoint_of_another_size_is_refused() -> None:
    model, layout = BigVGAN(SMALL.bigvgan), bigvgan_layout(SMALL.bigvgan)
    before = model.conv_pre.weight.clone()
    state = {k: torch.ones(shape) for k, shape in released_shapes(model, layout).items()}
    state["ups.1.0.bias"] = torch.ones(7)
    with pytest.raises(WeightsError, match=r"1 of another shape \(ups\.1\.0\.bias 7 in place of"):
        load(model, state, layout)
    assert torch.equal(model.conv_pre.weight, before)


def test_s2mel_is_flattened_and_rid_of_the_prefix_of_training() -> None:
    x = torch.zeros(1)
    flat = s2mel.flat({"cfm": {"module.estimator.conv1.bias": x}, "gpt_layer": {"0.bias": x}})
    assert set(flat) == {"cfm.estimator.conv1.bias", "gpt_layer.0.bias"}
    assert set(flat) <= set(s2mel.layout(FULL.s2mel).names)
