"""Levers for a module that is not ours: one context that makes any `nn.Module` smaller, and leaves it as it was.

    with lend(model, "cuda", precision="fp16", offload="layers") as small, torch.inference_mode():
        y = small(x.half().cuda())

Saves and costs what `levers.residency`, `levers.quantisation` and `levers.streaming` say; here they are without a
system or a recipe around them. The group offloading of diffusers and accelerate's `cpu_offload` do the same for their
own models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tts_lab.errors import RecipeError
from tts_lab.levers.quantisation import FORMATS
from tts_lab.levers.residency import PRECISIONS, STREAMED, Residency
from tts_lab.levers.streaming import units

M = TypeVar("M", bound=nn.Module)
OFFLOADS = ("none", *STREAMED)
QUANTISATIONS = ("none", *FORMATS)


@contextmanager
def lend(
    module: M, device: torch.device | str, *, precision: str = "fp32", quantisation: str = "none",
    offload: str = "none", checkpointing: bool = False,
    on_copy: Callable[[nn.Module, nn.Module, str], None] | None = None,
) -> Iterator[M]:  # fmt: skip
    """The module on `device` under levers; the original, in the computer's memory, is not changed.

    precision: fp32, fp16 or bf16; quantisation: none, int8 or fp8 (weights of large linear and convolutional layers);
    offload: none, layers (weights come one layer at a time) or disk (out of a file); checkpointing: layers keep no
    activations for a backward pass and compute them again in it; it does nothing without autograd. on_copy: as in
    `Residency`. Also on a CPU, where it saves nothing, a copy is lent: so results can be compared.

    To lend takes a pass over all weights: lend once and call often. With autograd on a graph keeps the weights of every
    layer, and streaming saves nothing. Layers are the entries of the outermost `nn.ModuleList`s, and single layers of
    4 MiB and more. A module that reads weights of layers that it does not call cannot be streamed.
    Raises RecipeError for a value that is none of these, or where streaming and checkpointing are asked for at once.
    """
    _check(precision, quantisation, offload, checkpointing)
    home = Residency(device, lends=True, on_copy=on_copy)
    with ExitStack() as stack:
        lent = stack.enter_context(home.use(module, precision, offload, quantisation))
        if checkpointing:
            stack.enter_context(checkpointed(lent))
        try:
            yield lent
        finally:
            home.clear()


@contextmanager
def checkpointed(module: M) -> Iterator[M]:
    """Inside, each layer of the module keeps its input for a backward pass, and nothing else (Chen et al. 2016)."""
    layers = list(units(module).values())
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=layer.training)
    try:
        yield module
    finally:
        for layer in layers:
            del layer.forward


def _check(precision: str, quantisation: str, offload: str, checkpointing: bool) -> None:
    asked = {"precision": precision, "quantisation": quantisation, "offload": offload}
    for (name, value), known in zip(asked.items(), (tuple(PRECISIONS), QUANTISATIONS, OFFLOADS), strict=True):
        if value not in known:
            raise RecipeError(f"{name} must be one of {', '.join(known)} for a module of your own, not {value!r}.")
    if checkpointing and offload in STREAMED:
        raise RecipeError("checkpointing calls layers again after their weights have left: take offload none with it.")
