"""Levers in pairs on Sambert-HiFiGAN, narrow and with random weights."""

from __future__ import annotations

import pytest
import tiny_voice

from compositions import Bench, Move, name_of, pairs
from tts_lab.systems import load_system
from tts_lab.types import Request

HEARD: tuple[Move, ...] = (("max_chars", 10), ("precision", "bf16"), ("quantisation", "int8"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tiny_voice.write(tmp_path_factory.mktemp("voices"))
    return Bench(load_system("sambert", "cpu", folder), Request("今天天气真好，我们去公园吧！", seed=3))


@pytest.mark.parametrize("pair", pairs(HEARD), ids=name_of)
def test_what_moves_only_memory_leaves_the_sound_alone(bench: Bench, pair: tuple[Move, Move]) -> None:
    bench.check_silent(*pair)
