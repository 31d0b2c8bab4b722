"""Sweeps that are killed, on the system of sine tones. As a program, `sweep_child.py FOLDER` kills twenty.

The system writes down every sound it makes, so that a test can count what was done twice.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import filelock  # noqa: F401
import numpy as np
import soundfile  # noqa: F401
import torch

from fake_system import ToneSystem
from tts_lab import pipeline  # noqa: F401
from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.experiments import distances, sweep
from tts_lab.systems import SYSTEMS

GRID = {
    "system": "counted",
    "levers": {"steps": [1, 2, 4], "guidance": [0, 1]},
    "texts": ["冬天快到了。", "你好，世界。"],
    "voices": ["low", "high"],
    "seeds": [0, 1],
}
LOG = "SWEEP_CHILD_LOG"


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


def killed_until_done(folder: Path, name: str, most: int) -> list[int]:
    """Run a sweep to its end in forks, the first `most` of them killed. Returns the cells finished at each kill."""
    out, kills = folder / f"{name}.jsonl", []
    while True:
        pid = os.fork()
        if pid == 0:
            run(str(out), str(folder / f"{name}.log"), 1, True)
            os._exit(0)
        if len(kills) < most:
            wait_for_sounds(folder / f"{name}.log", random.randint(0, 12), pid)
            time.sleep(random.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)  # a child that has ended is there until it is waited for
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            return kills
        kills.append(out.read_bytes().count(b'"kind": "cell"') if out.exists() else 0)


def wait_for_sounds(log: Path, more: int, pid: int) -> None:
    """Until the child has made so many more sounds or has ended: a time would hit elsewhere on a busy machine."""

    def size() -> int:
        return log.read_bytes().count(b"\n") if log.exists() else 0

    end = size() + more
    while size() < end and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)


def main(folder: Path) -> None:
    """A calm sweep, then sweeps until twenty kills have hit one. Prints the cells finished at each kill."""
    SYSTEMS["counted"] = "sweep_child"
    torch.set_num_threads(1)  # no thread pool that a fork would leave behind
    distances.cepstra(log_mel(torch.rand(22_050), MEL_22K)[0].T)  # what is imported here no fork need import again
    killed_until_done(folder, "calm", 0)
    kills: list[int] = []
    for number in itertools.count(1):
        kills += killed_until_done(folder, f"killed{number}", 20 - len(kills))
        if len(kills) >= 20:
            break
    print(json.dumps(kills))


if __name__ == "__main__":
    sys.modules["sweep_child"] = sys.modules["__main__"]
    main(Path(sys.argv[1]))
