"""A system whose acoustic model never ends by itself, and the word of all that were loaded."""

from __future__ import annotations

import threading
import time
import weakref

import torch
from torch import nn

from fake_system import ToneSystem, run_lengths

LOADED: list[ToneSystem] = []


class SlowSystem(ToneSystem):
    """Calls a network again and again until it is let go, as a long solver would."""

    name = "slow"

    def __init__(self) -> None:
        self.network, self.calls, self.begun = nn.Identity(), 0, threading.Event()
        self.enough = threading.Event()
        self.activation: weakref.ref[torch.Tensor] | None = None

    def acoustic(self, tokens, prompt, recipe):
        activation = torch.zeros(1000)
        self.activation = weakref.ref(activation)
        while not self.enough.wait(0.01):
            self.network(activation)
            self.calls += 1
            self.begun.set()
        return super().acoustic(tokens, prompt, recipe)


def load(device: str) -> SlowSystem:
    time.sleep(0.1)  # in which another one could ask for it
    LOADED.append(SlowSystem())
    return LOADED[-1]


__all__ = ["LOADED", "SlowSystem", "load", "run_lengths"]
