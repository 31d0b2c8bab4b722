"""Every pair of levers on `mini`, tiny and with random weights."""

from __future__ import annotations

import pytest
import torch

from compositions import BASE, SILENT, Bench, Move, heard_pairs, name_of, pairs, test_moves_cover_every_lever  # noqa: F401
from tts_lab.nn.hifigan import HiFiGAN, HiFiGANSizes
from tts_lab.nn.source_filter import SourceFilter, SourceFilterSizes
from tts_lab.systems.mini.checkpoint import MiniModel, Voice
from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
from tts_lab.systems.mini.stages import Mini
from tts_lab.types import Request

TINY = MiniConfig(("a", "b"), 8, 80, EncoderConfig(64, 4, 2, 64, 1), DiTConfig(64, 4, 3, 64),
                  SemanticConfig(64, 4, 2, 64))  # fmt: skip
TEXT = "你好，我们一起去公园吧！"


def missing(move: Move) -> bool:
    """mini has no beams, a single piece has no joins, and a cache in eight bits rounds too little to change a draw."""
    return move[0] in ("beams", "crossfade_ms", "cache")


@pytest.fixture(scope="module")
def bench() -> Bench:
    torch.manual_seed(0)
    sizes = SourceFilterSizes(width=32, inner=48, layers=2, pitch_width=16, pitch_layers=1)
    model, small, universal = MiniModel(TINY), SourceFilter(sizes), HiFiGAN(HiFiGANSizes(channels=16))
    for module in (model, small, universal):
        module.eval().requires_grad_(False)
    for parameter in (*model.parameters(), *small.parameters(), *universal.parameters()):
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.1)
    small.pitch.out.bias[80] = 100  # an untrained reader's likeliest class is anybody's
    torch.manual_seed(0)  # whatever the networks' sizes: in some voices' draws a rounding tips a duration
    model.acoustic_styles.normal_()
    model.semantic_styles.normal_()
    voices = (Voice("a", "", "female"), Voice("b", "", "male"))
    return Bench(Mini(model, small, universal, voices), Request(TEXT, seed=3), missing)


@pytest.mark.parametrize("pair", pairs(), ids=name_of)
def test_what_moves_only_memory_leaves_the_sound_alone(bench: Bench, pair: tuple[Move, Move]) -> None:
    bench.check_silent(*pair)


@pytest.mark.parametrize("pair", heard_pairs(), ids=name_of)
def test_both_of_two_levers_are_in_effect(bench: Bench, pair: tuple[Move, Move]) -> None:
    bench.check_heard(*pair)


@pytest.mark.parametrize("move", [move for move, limit in SILENT.items() if limit and move[0] != "cache"], ids=str)
def test_what_only_rounds_differently_really_does_something(bench: Bench, move: Move) -> None:
    """Else a lever that nobody looks at would pass."""
    assert not torch.equal(bench.sound(BASE), bench.sound(BASE.replace(**dict([move]))))
