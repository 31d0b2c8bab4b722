"""A sweep in a process that can be killed, on the system of sine tones. Imported once by the process that forks it.

The system writes down every sound it makes, so that a test can count what was done twice.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from fake_system import ToneSystem
from tts_lab.experiments import distances, sweep  # the forks find all modules loaded
from tts_lab.systems import SYSTEMS

GRID = {
    "system": "counted",
    "levers": {"steps": [1, 2, 4], "guidance": [0, 1]},
    "texts": ["冬天快到了。", "你好，世界。"],
    "voices": ["low", "high"],
    "seeds": [0, 1],
}
SYSTEMS["counted"] = "sweep_child"
LOG = "SWEEP_CHILD_LOG"

torch.set_num_threads(1)  # no thread pool that a fork would leave behind


def quick_fundamental(samples: torch.Tensor) -> Any:
    """Some frequency that depends on the sound, in no time: a test of what is kept needs no good one."""
    return np.full(1 + len(samples) // 256, 100 + 100 * float(samples.abs().mean()))


class Counted(ToneSystem):
    name = "counted"

    def vocoder(self, mel: Any, recipe: Any) -> Any:
        if LOG in os.environ:
            with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
                log.write(f"{mel.semantic.chunk} {mel.semantic.codes['pitch'].sum()} {recipe.to_dict()}\n")
        return super().vocoder(mel, recipe)


def load(device: str) -> Counted:
    return Counted()


def run(out: str, log: str, workers: int = 1, keep_sound: bool = False) -> None:
    """What a child does: all of the sweep that is left, if it is not killed before."""
    os.environ[LOG], distances.fundamental = log, quick_fundamental
    sweep.Sweep(GRID, out, keep_sound=keep_sound).run(workers, tell=lambda _: None, progress=False)
