"""What every training script shares: learning rate, moving average, checkpoints, a log of curves."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn


class Trainer:
    """AdamW with warm-up, constant rate and a cosine end; moving average of the weights; resumable.

    `steps` or `minutes` (whichever ends first) set the length; the cosine covers the last 30 % of it.
    """

    def __init__(self, model: nn.Module, folder: Path, *, rate: float = 1e-3, minutes: float = 30.0,
                 steps: int = 1_000_000, decay: float = 0.999, weight_decay: float = 0.01) -> None:  # fmt: skip
        torch.set_flush_denormal(True)
        self.model, self.folder = model, folder
        self.rate, self.minutes, self.steps, self.decay = rate, minutes, steps, decay
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        fused = all(p.is_cuda for p in model.parameters())
        self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=fused or None)
        self.step, self.seconds, self._clock = 0, 0.0, time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def progress(self) -> float:
        return max(self.seconds / 60 / self.minutes, self.step / self.steps)

    @property
    def done(self) -> bool:
        return self.progress >= 1

    def update(self, loss: Tensor, warm_up: int = 100, between: Callable[[], None] | None = None) -> None:
        """One optimiser step from a loss. `between` may change the gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if between is not None:
            between()
        self.follow(warm_up)

    def follow(self, warm_up: int = 100) -> None:
        """One optimiser step along the gradients that are there, unless one of them is no number."""
        rate = self.rate * min(1, (self.step + 1) / warm_up)
        rate *= 0.5 * (1 + math.cos(math.pi * max(0.0, min(1.0, (self.progress - 0.7) / 0.3)))) * 0.98 + 0.02
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if norm.is_cuda:  # a card is told to leave a step out; looking at the norm would wait for it
            self.optimizer.found_inf = (~norm.isfinite()).float()
            self.optimizer.step()
        elif math.isfinite(float(norm)):
            self.optimizer.step()
        self.step += 1
        decay = min(self.decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            averages, weights = list(self.average.parameters()), list(self.model.parameters())
            torch._foreach_lerp_(averages, weights, 1 - decay)
        now = time.monotonic()
        self.seconds, self._clock = self.seconds + now - self._clock, now

    def log(self, **values: float) -> None:
        row = {"step": self.step, "minutes": round(self.seconds / 60, 2)} | {k: round(v, 5) for k, v in values.items()}
        print(json.dumps(row), flush=True)
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def save(self) -> None:
        state = {"model": self.model.state_dict(), "average": self.average.state_dict(), "step": self.step,
                 "optimizer": self.optimizer.state_dict(), "seconds": self.seconds}  # fmt: skip
        temporary = self.folder / "state.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / "state.pt")

    def resume(self) -> bool:
        """Load the last state, if there is one."""
        path = self.folder / "state.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        return True


def every(trainer: Trainer, steps: int, act: Callable[[], None]) -> None:
    if trainer.step % steps == 0:
        act()
