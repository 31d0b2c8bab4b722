"""Tensors that the public modules gave, and the weights that they had then: made from names, so that none are stored.

RandomState is numpy's frozen generator: its numbers are the same in every version and on every machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tts_lab.systems.indextts2.checkpoint import fill
from tts_lab.systems.indextts2.converted import Converted
from tts_lab.systems.indextts2.fitting import check
from tts_lab.systems.indextts2.released import Layout

DATA = Path(__file__).resolve().parents[2] / "data" / "indextts2"
CONSTANT = ("freqs", "filter", "input_pos", "num_batches_tracked")  # what a module computes for itself


def weights(shapes: Mapping[str, Iterable[int]]) -> dict[str, Tensor]:
    """A state for tensors of these names and shapes; constants are left out."""
    return {
        name: value(name, tuple(shape)) for name, shape in shapes.items() if name.rpartition(".")[2] not in CONSTANT
    }


def load(model: nn.Module, state: Mapping[str, Tensor], layout: Layout) -> None:
    """A released state into a module, as it comes from a file."""
    check(Path("recorded"), state, layout, [model])
    fill(model, Converted(state, layout))


def value(name: str, shape: tuple[int, ...]) -> Tensor:
    """Random values of a size that keeps signals near one through any number of layers."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    leaf = name.rpartition(".")[2]
    if leaf in ("running_var", "weight_g") or (leaf in ("weight", "gamma") and len(shape) == 1):
        array = random.uniform(0.5, 1.5, shape)
    elif leaf in ("alpha", "beta", "bias", "running_mean"):
        array = 0.3 * random.standard_normal(shape)
    else:
        array = random.standard_normal(shape) / np.sqrt(max(np.prod(shape[1:]), 1))
    quiet = 0.001 if name.startswith("conv_post.") else 1  # so that a vocoder does not clip
    return torch.from_numpy(np.asarray(quiet * array, np.float32))


def given(name: str, shape: tuple[int, ...]) -> Tensor:
    """An input: standard normal, by its name."""
    return torch.from_numpy(np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32))


def recording(name: str) -> dict[str, Tensor]:
    """What the public module gave."""
    from safetensors.torch import load_file

    return load_file(DATA / f"{name}.safetensors")


def error(ours: Tensor, theirs: Tensor, name: str) -> float:
    """Largest difference, relative to the largest value; printed."""
    assert ours.shape == theirs.shape
    size = float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())
    print(f"{name}: {size:.1e}")
    return size
