"""Levers in pairs on IndexTTS-2, small and with random weights."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from compositions import Bench, Move, name_of, pairs
from tts_lab.systems.indextts2.parts import SMALL, Parts
from tts_lab.systems.indextts2.stages import IndexTTS2
from tts_lab.types import Request

HEARD: tuple[Move, ...] = (
    ("solver", "midpoint"), ("guidance", 0.0), ("beams", 2), ("precision", "bf16"), ("quantisation", "int8"),
)  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    clip, t = tmp_path_factory.mktemp("clips") / "voice.wav", np.arange(22_050) / 22_050
    noise = np.random.default_rng(0).standard_normal(len(t))
    soundfile.write(clip, 0.4 * np.sin(2 * np.pi * 180 * t) + 0.02 * noise, 22_050)
    return Bench(IndexTTS2(Parts.build(SMALL)), Request("你好！", reference=clip, seed=3))


@pytest.mark.parametrize("pair", pairs(HEARD), ids=name_of)
def test_what_moves_only_memory_leaves_the_sound_alone(bench: Bench, pair: tuple[Move, Move]) -> None:
    bench.check_silent(*pair)
