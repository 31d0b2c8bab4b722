"""Released names of the vocoder and of the speaker encoder."""

from __future__ import annotations

import torch

from tts_lab.nn.antialias import TAPS
from tts_lab.nn.bigvgan import BigVGANSizes
from tts_lab.nn.campplus import CAMPPlus, CAMPPlusSizes
from tts_lab.systems.indextts2.released import Layout, Shape, renamed


def bigvgan_layout(sizes: BigVGANSizes) -> Layout:
    """Of bigvgan_generator.pt's key `generator`. Each activation is released with its own copy of the two filters."""
    blocks = range(len(sizes.rates) * len(sizes.block_kernels))
    pairs = range(len(sizes.dilations))
    rows = [("conv_pre", "conv_pre")] + [(f"ups.{i}.0", f"ups.{i}") for i in range(len(sizes.rates))]
    rows += [(name, name) for b in blocks for i in pairs for name in _convolutions(b, i)]
    convolutions = renamed(rows) | {"conv_post.weight": "conv_post.weight"}
    snakes = [f"resblocks.{b}.activations.{i}" for b in blocks for i in range(2 * len(sizes.dilations))]
    snakes.append("activation_post")
    unused: dict[str, Shape] = {}
    for name in snakes:
        unused[f"{name}.upsample.filter"] = unused[f"{name}.downsample.lowpass.filter"] = (1, 1, TAPS)
    names = convolutions | renamed(((s + ".act", s) for s in snakes), ("alpha", "beta"))
    return Layout(names, frozenset(name for name in convolutions if name.endswith("weight")), unused)


def _convolutions(block: int, i: int) -> tuple[str, str]:
    return f"resblocks.{block}.convs1.{i}", f"resblocks.{block}.convs2.{i}"


def campplus_layout(sizes: CAMPPlusSizes) -> Layout:
    """Of campplus_cn_common.bin, whose names are ours."""
    with torch.device("meta"):
        names = CAMPPlus(sizes).state_dict()
    return Layout({name: name for name in names})
