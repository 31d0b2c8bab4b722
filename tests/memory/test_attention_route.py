"""The choice of the attention kernel, case by case from PyTorch's rules, and what the chosen kernel allocates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import on_both
from torch import Tensor, nn

from tts_lab.memory.attention_route import CUDNN, EFFICIENT, FLASH, MATH, Call, outputs, prepared, route

F16, BF16, F32, F64 = torch.float16, torch.bfloat16, torch.float32, torch.float64
T4, RTX3060, RTX4090, H100, OLD = (7, 5), (8, 6), (8, 9), (9, 0), (3, 7)


def heads(t: int = 10, d: int = 64, dtype: torch.dtype = F16, h: int = 4) -> Tensor:
    return torch.empty(2, h, t, d, dtype=dtype, device="meta")


def call(dtype: torch.dtype = F16, d: int = 64, t: int = 10, s: int = 10, **options: Any) -> Call:
    return Call(heads(t, d, dtype), heads(s, d, dtype), heads(s, d, dtype), **options)


MASK = torch.empty(2, 1, 1, 10, dtype=torch.bool, device="meta")


@pytest.mark.parametrize(
    ("given", "card", "kernel"),
    [
        (call(F16), RTX3060, FLASH),
        (call(BF16), RTX4090, FLASH),
        (call(F32), RTX3060, EFFICIENT),  # flash computes in half precision only
        (call(F64), RTX3060, MATH),
        (call(F16), T4, EFFICIENT),  # flash needs compute capability 8.0
        (call(BF16), T4, MATH),
        (call(F16), OLD, MATH),
        (call(F16), H100, CUDNN),
        (call(F32), H100, EFFICIENT),
        (call(F16, d=256), H100, FLASH),  # wider than cuDNN takes
        (call(F16, attn_mask=MASK), RTX3060, EFFICIENT),  # flash takes no mask
        (call(F16, attn_mask=MASK), H100, CUDNN),
        (call(F16, is_causal=True), RTX3060, FLASH),
        (call(F16, t=5, is_causal=True), RTX3060, EFFICIENT),  # flash aligns a causal mask at the other corner
        (call(F16, d=256), RTX3060, FLASH),
        (call(F16, d=264), RTX3060, EFFICIENT),
        (call(F16, d=60), RTX3060, FLASH),  # padded to 64 first
        (call(F16, d=60), T4, MATH),  # not a multiple of 8
        (call(F32, d=60), RTX3060, EFFICIENT),
        (call(F32, d=62), RTX3060, MATH),  # not a multiple of 4
        (call(F32, d=62), T4, EFFICIENT),  # there without matrix units for float32
        (call(F16, t=1, s=1), H100, FLASH),  # cuDNN wants more than one key
        (Call(heads(), heads(h=2), heads(h=2), enable_gqa=True), RTX3060, FLASH),
        (Call(heads(), heads(h=2), heads(h=2)), RTX3060, MATH),
        (Call(heads()[0], heads()[0], heads()[0]), RTX3060, MATH),  # three axes
        (Call(heads(t=0), heads(), heads()), RTX3060, MATH),
        (Call(heads(d=10, t=64).mT, heads(), heads()), RTX3060, MATH),  # last axis not dense
        (Call(heads(dtype=F32), heads(), heads()), RTX3060, MATH),  # mixed types
        (Call(*(torch.empty(2 * 4 * 10 * 64 + 2, dtype=F32, device="meta")[2:].view(2, 4, 10, 64) for _ in "qkv")),
         RTX3060, MATH),  # starts at 8 bytes, the kernel wants 16
    ],
)  # fmt: skip
def test_route(given: Call, card: tuple[int, int], kernel: str) -> None:
    assert route(given, card) == kernel


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("kernel", [FLASH, EFFICIENT, CUDNN])
def test_outputs_are_those_of_pytorchs_own_description(kernel: str, turned: bool) -> None:
    q, k, v = ((heads(t).mT.contiguous().mT if turned else heads(t)) for t in (10, 12, 12))
    if turned:
        q, k, v = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
    operator = getattr(torch.ops.aten, kernel.split(".")[1]).default
    own = {FLASH: (q, k, v), EFFICIENT: (q, k, v, None, False), CUDNN: (q, k, v, None, False)}[kernel]
    theirs = [t for t in operator(*own) if isinstance(t, Tensor) and t.numel()]
    ours = [t for t in outputs(Call(q, k, v), kernel) if t.numel()]
    assert (ours[0].shape, ours[0].stride(), ours[0].dtype) == (theirs[0].shape, theirs[0].stride(), theirs[0].dtype)
    if kernel == CUDNN:  # the description always has the statistics; the kernel makes them for a backward pass only
        theirs = [t for t in theirs if t.dtype != F32]
    assert [t.nbytes for t in ours] == [t.nbytes for t in theirs]


def test_a_backward_pass_needs_statistics() -> None:
    q = heads().requires_grad_()
    assert [t.nbytes for t in outputs(Call(q, q, q), EFFICIENT)][1] == 2 * 4 * 32 * 4
    with torch.no_grad():
        assert [t.nbytes for t in outputs(Call(q, q, q), EFFICIENT)][1] == 0


def test_wide_heads_in_half_precision_are_summed_in_float32() -> None:
    assert [t.nbytes for t in outputs(call(F16, d=192), EFFICIENT)][-1] == 2 * 10 * 4 * 192 * 4
    assert len(outputs(call(F32, d=192), EFFICIENT)) == 4


def test_masks_become_numbers_with_rows_of_a_multiple_of_8() -> None:
    mask = prepared(call(F16, attn_mask=MASK), EFFICIENT).attn_mask
    assert mask is not None
    assert (mask.dtype, mask.shape, mask.untyped_storage().nbytes()) == (F16, (2, 4, 10, 10), 2 * 16 * 2)
    even = torch.empty(1, 1, 10, 16, dtype=F16, device="meta")
    kept = prepared(call(F16, s=16, attn_mask=even), EFFICIENT).attn_mask
    assert kept is not None
    assert kept.untyped_storage()._cdata == even.untyped_storage()._cdata


def test_flash_pads_narrow_heads_and_keeps_their_scale() -> None:
    ready = prepared(call(F16, d=60), FLASH)
    assert [t.shape[-1] for t in ready.tensors] == [64] * 3
    assert ready.scale == pytest.approx(60**-0.5)


def test_attention_inside_of_multihead_attention_is_seen() -> None:
    """PyTorch tells a mode of the function around it alone: written out, scores would be counted that no card makes."""

    def build() -> tuple[Any, ...]:
        layer = nn.TransformerEncoderLayer(64, 4, 64, batch_first=True)
        return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), torch.zeros(1, 300, 64)

    plain = F.scaled_dot_product_attention
    log = on_both(build)
    assert sum(log.meta["attention"].values()) == 2
    largest = max(event.bytes for event in log if event.category == "activation")
    assert largest < 4 * 300 * 300 * 4  # the scores of four heads
    assert F.scaled_dot_product_attention is plain
