"""Weights in eight bits, computed with in the recipe's precision: the lever `quantisation`.

Saves: half of what fp16 weights take, on the card and on the bus. Costs: rounding (int8: to one of 255 values for each
output channel; fp8: to three bits of mantissa), and one pass over a layer's weights at every use, which makes that
layer's weights whole for as long as it runs. Does nothing for embeddings, norms and recurrent layers, which stay as
they are, nor on a CPU, where nothing is lent. Weight-only quantisation as in LLM.int8's absmax (Dettmers et al. 2022,
section 2), here for each output channel; e4m3 after Micikevicius et al. 2022, FP8 Formats for Deep Learning.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.levers.copies import structure
from tts_lab.nn.gpt2 import InOutLinear

M = TypeVar("M", bound=nn.Module)
FORMATS: dict[str, tuple[torch.dtype, float]] = {  # format -> type of the codes, largest code
    "int8": (torch.int8, 127.0), "fp8": (torch.float8_e4m3fn, 448.0),
}  # fmt: skip
OUTPUT: dict[type, int] = {  # kinds of layers -> dimension of the output channels in their weight
    nn.Linear: 0, nn.Conv1d: 0, nn.Conv2d: 0, nn.ConvTranspose1d: 1, InOutLinear: 1,
}  # fmt: skip
FEWEST = 4096  # numbers in a weight that is worth it
SLICE = 2**24  # numbers of a linear layer's weight that are made at a time


def quantised(module: M, kind: str) -> M:
    """A module with the weights of its large layers in `kind` (of FORMATS); the original stays as it is.

    A weight that hangs in another layer too, such as an embedding's, stays: it would be there twice.
    """
    twin = structure(module)
    hangs = Counter(id(t) for part in twin.modules() for t in part._parameters.values())
    for layer in twin.modules():
        weight, sort = layer._parameters.get("weight"), cast(Any, type(layer))
        output = _output(sort)
        if output is not None and weight is not None and weight.numel() >= FEWEST and hangs[id(weight)] == 1:
            codes, scale = rounded(weight.detach(), kind, output)
            del layer._parameters["weight"]
            layer.__class__ = _reading(sort)
            layer.register_buffer("codes", codes)
            layer.register_buffer("scale", scale)
    return twin


def _output(sort: type) -> int | None:
    """Dimension of the output channels in the weight of a kind of layer; None for one that stays as it is.

    The Conv1D of transformers, which its GPT-2 is made of, is told by its name: the library need not be there.
    """
    if (sort.__module__, sort.__name__) == ("transformers.pytorch_utils", "Conv1D"):
        return 1
    return OUTPUT.get(sort)


def rounded(weight: Tensor, kind: str, output: int) -> tuple[Tensor, Tensor]:
    """Codes of the weight's shape, and a scale for each output channel (size 1 in all other dimensions)."""
    dtype, most = FORMATS[kind]
    others = [i for i in range(weight.ndim) if i != output]
    scale = weight.abs().amax(others, keepdim=True) / most
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    codes = weight / scale
    return (codes.round() if kind == "int8" else codes).clamp(-most, most).to(dtype), scale


class Codes(nn.Module):
    """A layer that has codes and scales where its weight was."""

    codes: Tensor
    scale: Tensor

    @property
    def weight(self) -> Tensor:
        """The weight in the precision to compute in, made anew at each use."""
        return _product(self.codes, self.scale)


class LinearCodes(Codes):
    """A linear layer that never makes a very large weight whole. (..., in) -> (..., out)."""

    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        out, features = self.codes.shape
        rows = max(1, SLICE // features)
        if rows >= out:
            return F.linear(x, self.weight, self.bias)
        parts = (slice(start, start + rows) for start in range(0, out, rows))
        return torch.cat([self._part(x, part) for part in parts], -1)

    def _part(self, x: Tensor, rows: slice) -> Tensor:
        bias = None if self.bias is None else self.bias[rows]
        return F.linear(x, _product(self.codes[rows], self.scale[rows]), bias)


def _product(codes: Tensor, scale: Tensor) -> Tensor:
    return (codes if codes.dtype == torch.int8 else codes.to(scale.dtype)) * scale


@cache
def _reading(kind: type) -> Any:
    return type(f"Quantised{kind.__name__}", (LinearCodes if kind is nn.Linear else Codes, kind), {})
