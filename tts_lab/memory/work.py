"""What an operator has to do at the least: floating-point operations, and bytes read and written.

Counted on shapes only. Matrix products, convolutions and attention count a multiply-add as two operations; anything
else counts one operation an output element, which is bound by bytes on any card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

Key = tuple[str, str, str, int, int]  # stage, operator, dtype, flops, bytes
Tally = dict[Key, float]  # launches; halves stand for loops that were shortened
Flops = Callable[[Sequence[Any], Tensor], int]


def _mm(args: Sequence[Any], out: Tensor) -> int:
    return 2 * args[0].shape[-1] * out.numel()


def _addmm(args: Sequence[Any], out: Tensor) -> int:
    return 2 * args[1].shape[-1] * out.numel()


def _convolution(args: Sequence[Any], out: Tensor) -> int:
    """args: input, weight (out, in / groups, ...) or transposed (in, out / groups, ...), ..., transposed at 6."""
    x, weight, transposed = args[0], args[1], args[6]
    return 2 * (x if transposed else out).numel() * (weight.numel() // weight.shape[0])


TO_CARD, TO_HOST = "copy.to_card", "copy.to_host"  # a copy between the computer's memory and the card's

FLOPS: dict[str, Flops] = {
    "aten.mm.default": _mm,
    "aten.bmm.default": _mm,
    "aten.addmm.default": _addmm,
    "aten.baddbmm.default": _addmm,
    "aten.convolution.default": _convolution,
}
# Operators that tensor cores serve.
MATRIX = r"(^|\.)_?(mm|bmm|addmm|baddbmm|convolution|cudnn_rnn|scaled_dot_product_\w+)\."
# These read of their first input only what they write.
LOOKUPS = ("aten.embedding.", "aten.index.", "aten.index_select.", "aten.gather.")


def flops_of(operator: str, args: Sequence[Any], out: Tensor) -> int:
    """Floating-point operations of one call."""
    rule = FLOPS.get(operator)
    return rule(args, out) if rule else out.numel()


def bytes_of(operator: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    """Bytes that one call reads and writes at the least."""
    written = sum(_bytes(t) for t in outputs)
    if operator.startswith(LOOKUPS):
        return written + sum(_bytes(t) for t in inputs[1:]) + written
    return written + sum(_bytes(t) for t in inputs)


def attention_flops(q: Tensor, k: Tensor, causal: bool) -> int:
    """Two products of (t, d) x (d, s) a head; causal attention skips half of it."""
    return 4 * q.numel() * k.shape[-2] // (2 if causal and q.shape[-2] > 1 else 1)


def _bytes(t: Tensor) -> int:
    """An expanded tensor is read once: dimensions of stride 0 do not count."""
    return t.itemsize * math.prod(n for n, step in zip(t.shape, t.stride(), strict=True) if step or n == 0)
