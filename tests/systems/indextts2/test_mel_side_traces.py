"""What each network allocates on the meta device is what it allocates on the CPU, event for event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import MIB, on_both
from torch import Tensor, nn

from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import trace
from tts_lab.nn.bigvgan import BigVGAN, set_activation_groups
from tts_lab.nn.campplus import CAMPPlus
from tts_lab.nn.dit import DiT
from tts_lab.nn.tiling import tiled
from tts_lab.systems.indextts2.cfm import generate
from tts_lab.systems.indextts2.codec import RepCodec
from tts_lab.systems.indextts2.s2mel import S2Mel
from tts_lab.systems.indextts2.sizes import DIT, SMALL, Sizes

DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["fp32", "fp16"])


@DTYPES
def test_length_regulator_and_latent_layer(dtype: torch.dtype) -> None:
    def build() -> tuple[Any, ...]:
        model = S2Mel(SMALL.s2mel).to(dtype)
        return model.content, torch.zeros(1, 12, 40, dtype=dtype), torch.zeros(1, 12, 56, dtype=dtype), 20

    on_both(build)


@DTYPES
@pytest.mark.parametrize(("guidance", "mode"), [(0.7, "batched"), (0.7, "sequential"), (0.0, "batched")])
def test_flow_matching(guidance: float, mode: str, dtype: torch.dtype) -> None:
    def build() -> tuple[Any, ...]:
        model = DiT(SMALL.s2mel.dit).to(dtype)

        def run(dit: nn.Module, *given: Tensor) -> Tensor:
            return generate(dit, *given, steps=5, guidance=guidance, mode=mode)[0]

        given = (torch.zeros(s, dtype=dtype) for s in ((1, 29, 48), (1, 24), (1, 20, 9)))
        return run, model, torch.zeros(1, 20, 29), *given

    log = on_both(build)
    assert log.repeats  # later steps are like the second, and left out


@DTYPES
def test_codec(dtype: torch.dtype) -> None:
    on_both(lambda: (RepCodec(SMALL.codec).to(dtype), torch.zeros(1, 19, 40, dtype=dtype)))


@DTYPES
@pytest.mark.parametrize("frames", [57, 251])
def test_speaker_encoder(frames: int, dtype: torch.dtype) -> None:
    on_both(lambda: (CAMPPlus(SMALL.campplus).to(dtype), torch.zeros(1, frames, 80, dtype=dtype)))


@DTYPES
@pytest.mark.parametrize("groups", [1, 3])
def test_vocoder(groups: int, dtype: torch.dtype) -> None:
    def build() -> tuple[Any, ...]:
        model = BigVGAN(SMALL.bigvgan).to(dtype)
        set_activation_groups(model, groups)
        return model, torch.zeros(1, 20, 7, dtype=dtype)

    on_both(build)


def test_vocoder_in_tiles() -> None:
    log = on_both(lambda: (lambda m, x: tiled(m, x, 8), BigVGAN(SMALL.bigvgan), torch.zeros(1, 20, 130)))
    assert log.repeats


# Figures at released size


def meta(build: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
    with torch.device("meta"):
        return build().to(dtype)


def activations(log: EventLog) -> float:
    return (log.peak_bytes() - log.bytes_of("weight")) / MIB


def vocoder(frames: int, dtype: torch.dtype = torch.float32, groups: int = 1) -> float:
    model = meta(lambda: BigVGAN(Sizes().bigvgan), dtype)
    set_activation_groups(model, groups)
    return activations(trace(model, torch.empty(1, 80, frames, dtype=dtype, device="meta")))


def test_vocoder_holds_eight_of_its_widest_tensors() -> None:
    """24 channels at the full rate: half of them an activation's, at twice the rate; in groups, parts of those."""
    second = 86
    widest = 24 * second * 256 * 4 / MIB
    assert vocoder(second) == pytest.approx(8 * widest, rel=0.02)
    assert vocoder(second, groups=8) == pytest.approx(5.5 * widest, rel=0.02)
    # The activation's inside stays in float32: half of the type is not half of the memory, unless it works in groups.
    assert vocoder(second, torch.float16) == pytest.approx(6 * widest, rel=0.02)
    assert vocoder(second, torch.float16, groups=8) == pytest.approx(3 * widest, rel=0.02)


def flow(dtype: torch.dtype, guidance: float, mode: str, t: int = 2583, p: int = 1291) -> EventLog:
    def run(dit: nn.Module, *given: Tensor) -> Tensor:
        return generate(dit, *given, guidance=guidance, mode=mode)[0]

    model = meta(lambda: DiT(DIT), dtype)
    shapes = (1, t, 512), (1, 192), (1, 80, p)
    given = (torch.empty(s, dtype=dtype, device="meta") for s in shapes)
    return trace(run, model, torch.empty(1, 80, t, device="meta"), *given)


def test_guidance_one_after_the_other_costs_hardly_more_than_none() -> None:
    """30 s of frames: the public code takes 1,133 MiB here, 354 with fused attention, 242 folded too."""
    batched, sequential, none = (
        activations(flow(torch.float32, *lever)) for lever in ((0.7, "batched"), (0.7, "sequential"), (0.0, "batched"))
    )
    assert batched < 220
    assert sequential < 115
    assert none < sequential < 1.1 * none
    assert activations(flow(torch.float16, 0.7, "batched")) < 0.55 * batched
