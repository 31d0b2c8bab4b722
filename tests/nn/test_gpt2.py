"""GPT-2's body: torch's own transformer as reference, caches, beams, bytes, traces."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import decoding, on_both
from torch import Tensor, nn

from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.beams import reorder, spread
from tts_lab.nn.cache import Int8Cache, StaticCache
from tts_lab.nn.gpt2 import GPT2, InOutLinear

KINDS = ["growing", "static"]


def small(layers: int = 2) -> GPT2:
    torch.manual_seed(0)
    model = GPT2(16, 2, layers).eval()
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    return model


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_linear_is_torchs_with_the_weight_turned() -> None:
    torch.manual_seed(0)
    layer, x = InOutLinear(6, 10), torch.randn(2, 3, 6)
    same(layer(x), F.linear(x, layer.weight.T, layer.bias))
    assert layer.weight.shape == (6, 10)


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_the_stack_is_torchs_encoder_with_a_causal_mask(kernel: str) -> None:
    ours = small()
    gelu = partial(F.gelu, approximate="tanh")
    layer = nn.TransformerEncoderLayer(16, 2, 64, 0.0, gelu, batch_first=True, norm_first=True)
    theirs = nn.TransformerEncoder(layer, 2, ours.ln_f, enable_nested_tensor=False).eval()
    for a, b in zip(ours.h, theirs.layers, strict=True):
        b.self_attn.load_state_dict(
            {
                "in_proj_weight": a.attn.c_attn.weight.T, "in_proj_bias": a.attn.c_attn.bias,
                "out_proj.weight": a.attn.c_proj.weight.T, "out_proj.bias": a.attn.c_proj.bias,
            }
        )  # fmt: skip
        for name, part in (("linear1", a.mlp.c_fc), ("linear2", a.mlp.c_proj)):
            getattr(b, name).load_state_dict({"weight": part.weight.T, "bias": part.bias})
        b.norm1, b.norm2 = a.ln_1, a.ln_2
    set_attention_kernel(ours, kernel)
    assert ours.h[1].attn.kernel == kernel
    x = torch.randn(2, 7, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    with torch.inference_mode():
        same(ours(x), theirs(x, mask))


@pytest.mark.parametrize("kind", KINDS)
def test_cached_decoding_equals_the_whole_pass(kind: str) -> None:
    model, x = small(), torch.randn(2, 9, 16)
    cache = model.cache(kind, 2, 9)
    with torch.inference_mode():
        whole = model(x)
        parts = [model(x[:, :4], cache), *(model(x[:, i : i + 1], cache) for i in range(4, 9))]
    same(torch.cat(parts, 1), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_beams_share_a_prefix_that_is_run_once_and_change_their_pasts(kind: str) -> None:
    model, prefix, steps = small(), torch.randn(1, 5, 16), torch.randn(3, 3, 16)
    cache = model.cache(kind, 3, 8)
    origins = [None, [2, 0, 0], [1, 1, 2]]
    past = prefix.expand(3, -1, -1)
    with torch.inference_mode():
        model(prefix, cache)
        spread(cache, 3)
        for i, origin in enumerate(origins):
            if origin:
                reorder(cache, torch.tensor(origin))
                past = past[origin]
            past = torch.cat((past, steps[:, i : i + 1]), 1)
            same(model(steps[:, i : i + 1], cache)[:, 0], model(past)[:, -1])


def test_cache_bytes_are_what_a_static_cache_takes() -> None:
    model = small(3)
    cache = model.cache("static", 3, 50)
    assert isinstance(cache, StaticCache)
    held = sum(t.untyped_storage().nbytes() for t in (cache._keys, cache._values))
    assert model.cache_bytes(3, 50) == held == 2 * 3 * 3 * 50 * 16 * 4
    with torch.device("meta"):
        released = GPT2(1280, 20, 24)
    assert released.cache_bytes(1, 1) == 240 * 2**10
    assert sum(p.numel() for p in released.parameters()) == 472_261_120


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_cache_in_eight_bits_is_near_the_whole_pass_and_a_quarter_of_its_size(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model, x = GPT2(64, 2, 2).eval().to(dtype), torch.randn(3, 9, 64).to(dtype)
    cache = model.cache("int8", 3, 9)
    assert isinstance(cache, Int8Cache)
    with torch.inference_mode():
        whole = model(x)
        parts = [model(x[:, :4], cache), *(model(x[:, i : i + 1], cache) for i in range(4, 9))]
    error = (torch.cat(parts, 1) - whole).float().norm() / whole.float().norm()
    assert 1e-5 < error < 0.01
    held = sum(part.nbytes for part in cache.parts)
    assert held == model.cache_bytes(3, 9, torch.int8) * (32 + dtype.itemsize) // 32
    with pytest.raises(IndexError, match="holds 9 positions, 10"):
        model(x[:, :1], cache)


def test_beams_change_their_pasts_in_eight_bits_too() -> None:
    model, x = small(), torch.randn(2, 5, 16)
    turned, straight = model.cache("int8", 2, 6), model.cache("int8", 2, 6)
    with torch.inference_mode():
        model(x, turned)
        model(x.flip(0), straight)
        reorder(turned, torch.tensor([1, 0]))
        step = torch.randn(2, 1, 16)
        assert torch.equal(model(step, turned), model(step, straight))


def test_wrong_use_is_named() -> None:
    with pytest.raises(ValueError, match="width 16 is not a multiple of 3 heads"):
        GPT2(16, 3, 1)
    model = small(1)
    cache = model.cache("growing", 1, 0)
    model(torch.zeros(1, 2, 16), cache)
    with pytest.raises(ValueError, match="one position at a time"):
        model(torch.zeros(1, 2, 16), cache)


def test_half_precision_stays_near_single() -> None:
    model, x = small(), torch.randn(1, 20, 16)
    with torch.inference_mode():
        full, half = model(x), model.half()(x.half())
    assert float((half - full).abs().max() / full.abs().max()) < 0.02


@pytest.mark.parametrize("kind", [*KINDS, "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_trace_on_meta_equals_the_cpu(kind: str, dtype: torch.dtype) -> None:
    def build() -> tuple[Any, ...]:
        return decoding(GPT2(64, 4, 3).to(dtype), kind, 5), torch.zeros(1, 12, 64, dtype=dtype)  # type: ignore[arg-type]

    log = on_both(build)
    if kind == "static":
        assert log.bytes_of("cache") == GPT2(64, 4, 3).cache_bytes(1, 17, dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_reordering_holds_one_layer_twice_and_no_more(kind: str) -> None:
    def run(model: GPT2, x: Tensor, origin: Tensor) -> None:
        cache = model.cache(kind, 3, 400)
        model(x, cache)
        spread(cache, 3)
        model(x[:, :1].expand(3, -1, -1), cache)
        held.append(sum(t.numel() * 4 for t in tensors(cache)))
        reorder(cache, origin)

    def tensors(cache: Any) -> list[Tensor]:
        return [cache._keys, cache._values] if kind == "static" else [t for kept in cache._kept.values() for t in kept]

    held: list[int] = []
    log = on_both(lambda: (run, GPT2(16, 2, 6), torch.zeros(1, 399, 16), torch.zeros(3, dtype=torch.long)))
    rows = log.columns().bytes.cumsum()
    last = max(i for i, e in enumerate(log) if e.operator == "aten.index_select.default" and e.bytes > 0)
    layer = 3 * 400 * 16 * 4
    assert rows[last] - rows[last - 3] <= 2 * layer
    assert rows[last - 12 :].max() <= held[0] + log.bytes_of("weight") + 2 * layer + 4 * 399 * 16 * 4
