"""`mini` with explicit lengths: the whole spine traced, on meta as on the CPU, and no length guessed."""

from __future__ import annotations

from typing import Any

import pytest
from networks import assert_same

from tts_lab.errors import LabError
from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.hifigan import HiFiGAN, HiFiGANSizes
from tts_lab.nn.source_filter import SourceFilter, SourceFilterSizes
from tts_lab.recipe import PRESETS, Recipe
from tts_lab.systems.mini.checkpoint import MiniModel
from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
from tts_lab.systems.mini.lengths import Lengths, VocoderSizes, trace_mini

TINY = MiniConfig(("a", "b"), 8, 80, EncoderConfig(16, 2, 1, 16, 1), DiTConfig(16, 2, 2, 16),
                  SemanticConfig(16, 2, 1, 16))  # fmt: skip
SMALL = SourceFilterSizes(width=16, inner=24, layers=2, pitch_width=16, pitch_layers=1)
VOCODER = VocoderSizes(SMALL, HiFiGANSizes(channels=32))


def log(recipe: Recipe, device: str = "meta", pieces: tuple[tuple[int, int], ...] = ((3, 7), (2, 9))) -> EventLog:
    return trace_mini(recipe, Lengths(pieces), Tracer(device), TINY, VOCODER)


def acoustic_peak(log: EventLog) -> int:
    begin, end = (m.position for m in log.markers if m.stage == "acoustic")
    return int(log.live_bytes()[begin:end].max())


@pytest.mark.parametrize(
    "levers",
    [
        {}, {"guidance": 0.0}, {"guidance_mode": "sequential"},
        {"guidance_mode": "alternate", "solver": "adams"}, {"attention": "math"}, {"cache": "growing"},
        {"vocoder": "small"}, {"vocoder": "small", "tile": 4}, {"vocoder": "small", "precision": "bf16"},
        {"solver": "midpoint"}, {"temperature": 0.0}, {"offload": "stage"}, {"precision": "fp16"},
        {"precision": "bf16", "offload": "stage", "cache": "growing", "solver": "heun", "guidance_mode": "sequential"},
    ],
)  # fmt: skip
def test_meta_equals_the_cpu_event_for_event(levers: dict[str, Any]) -> None:
    recipe = Recipe(steps=2).replace(**levers)
    on_meta, on_cpu = log(recipe), log(recipe, "cpu")
    assert_same(on_meta, on_cpu)
    assert {m.stage for m in on_meta.markers} == {"speaker", "semantic", "acoustic", "vocoder"}


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_on_meta_equals_the_cpu(name: str) -> None:
    recipe = PRESETS[name][0]
    assert_same(log(recipe), log(recipe, "cpu"))


def test_on_the_card_are_the_stages_and_nothing_of_their_originals() -> None:
    model, vocoder = MiniModel(TINY), HiFiGAN(VOCODER.universal)
    stages = (model.semantic, model.acoustic, vocoder)
    tensors = [t for stage in stages for t in (*stage.parameters(), *stage.buffers())]
    traced = log(Recipe(steps=2))
    weights = sum(t.nbytes for t in tensors)
    assert traced.bytes_of("weight") == weights
    assert weights < traced.peak_bytes() < weights + 2**18
    assert traced.live_bytes()[-1] == weights  # they stay; all else has gone
    assert log(Recipe(steps=2, offload="stage")).live_bytes()[-1] == 0
    assert {e.stage for e in traced if e.bytes > 0} == {"semantic", "acoustic", "vocoder"}  # the speaker is on the host


def test_levers_do_to_memory_what_they_say() -> None:
    base = log(Recipe(steps=2))
    weights = base.bytes_of("weight")
    assert log(Recipe(steps=2, precision="fp16")).bytes_of("weight") == pytest.approx(weights / 2, rel=0.01)
    offloaded = log(Recipe(steps=2, offload="stage"))
    assert offloaded.bytes_of("weight") == 2 * weights  # each of two pieces brings them anew
    assert offloaded.peak_bytes() < base.peak_bytes()
    math, fused = (
        acoustic_peak(log(Recipe(steps=1, guidance=1.0, attention=k), pieces=((20, 1000),))) for k in ("math", "sdpa")
    )
    assert math > fused + 2 * 2 * 500**2 * 4  # batch x heads x patches^2 scores, at least
    kernels = log(Recipe(steps=1, precision="fp16")).meta["attention"]
    assert set(kernels) == {"_scaled_dot_product_flash_attention"}


def test_only_the_vocoder_that_speaks_is_on_the_card_and_its_fourier_matrix_stays_in_float32() -> None:
    small, universal = SourceFilter(VOCODER.small), HiFiGAN(VOCODER.universal)
    size = lambda tensors: sum(t.nbytes for t in tensors)  # noqa: E731
    weights = {v: log(Recipe(steps=1, vocoder=v)).bytes_of("weight") for v in ("small", "universal")}
    own = size((*small.parameters(), *small.buffers()))
    assert weights["small"] - weights["universal"] == own - size(universal.parameters())
    halved = log(Recipe(steps=1, vocoder="small", precision="fp16")).bytes_of("weight")
    fixed = size(small.buffers())
    assert halved == pytest.approx((weights["small"] - fixed) / 2 + fixed, rel=0.01)


def test_the_log_says_what_was_traced() -> None:
    meta = log(Recipe(steps=2, cache="growing")).meta
    assert meta["system"] == "mini"
    assert meta["recipe"]["cache"] == "growing"
    assert meta["lengths"] == [[3, 7], [2, 9]]
    assert meta["operators"] > 500


def test_equal_pieces_are_traced_until_they_repeat() -> None:
    recipe = Recipe(steps=1)
    many = log(recipe, pieces=((3, 9),) * 12)
    full = trace_mini(recipe, Lengths(((3, 9),) * 12), Tracer(shorten=False), TINY, VOCODER)
    assert len(many) < 0.6 * len(full)
    assert many.peak_bytes() == full.peak_bytes()
    assert sum(w.count * w.flops for w in many.work) == sum(w.count * w.flops for w in full.work)


def test_lengths_of_a_duration() -> None:
    lengths = Lengths.of(30, Recipe())
    assert sum(t for _, t in lengths.pieces) == pytest.approx(30 * 22050 / 256, abs=len(lengths.pieces))
    assert max(n for n, _ in lengths.pieces) <= 69
    assert len(set(lengths.pieces)) == 1
    assert len(Lengths.of(30, Recipe(max_chars=12)).pieces) > len(lengths.pieces)
    assert Lengths.of(0.01, Recipe()).pieces == ((1, 1),)


@pytest.mark.parametrize("pieces", [(), ((0, 5),), ((5, 4),), ((3,),), ((2, 2.5),), ((1, 64),)])
def test_a_missing_or_impossible_length_is_named(pieces: Any) -> None:
    with pytest.raises(LabError, match=r"needs explicit lengths|A piece is \(phones, mel frames\)|frames at most"):
        Lengths(pieces)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "ten", True])
def test_an_impossible_duration_is_named(seconds: Any) -> None:
    with pytest.raises(LabError, match="number of seconds above 0"):
        Lengths.of(seconds, Recipe())
