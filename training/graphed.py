"""Gradients on a card, launched as one CUDA graph for each shape of a batch.

A small model's training step is some thousand short kernels, and launching them one by one takes several times as long
as they take. A graph launches them at once, and again for every batch of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from batches import Batch

WARM = 2  # runs before a graph is captured, in which libraries choose their ways

Loss = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Captured:
    """A graph, the batch that it reads, and the parameters that it gives gradients to."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    touched: frozenset[nn.Parameter]


class Graphed:
    """Leaves in every parameter's `grad` what `loss(batch, *how)` gives it.

    loss: gives what to learn from and what to tell, and waits for nothing; `how`: what else its kernels depend on.
    generator: the one on the card that it draws from. bfloat16: compute so, as `torch.autocast` does.
    """

    def __init__(self, model: nn.Module, loss: Loss, generator: torch.Generator, *, bfloat16: bool) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.loss, self.generator, self.bfloat16 = loss, generator, bfloat16
        self.captured: dict[Hashable, Captured] = {}
        self.gradients = {p: torch.zeros_like(p) for p in self.parameters}
        self.told = torch.zeros((), device=generator.device)
        self.pool: Any = None

    def __call__(self, batch: Batch, *how: Hashable) -> Tensor:
        """The number to tell, () on the card."""
        key = (*(tuple(value.shape) for value in vars(batch).values()), *how)
        if key not in self.captured:
            self.captured[key] = self._capture(batch, *how)
        own = self.captured[key]
        for mine, value in zip(vars(own.batch).values(), vars(batch).values(), strict=True):
            mine.copy_(value)
        self._place(own.touched)
        own.graph.replay()
        return self.told.clone()

    def _place(self, touched: frozenset[nn.Parameter]) -> None:
        for p in self.parameters:
            p.grad = self.gradients[p] if p in touched else None

    def _run(self, batch: Batch, *how: Hashable) -> None:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.bfloat16, cache_enabled=False):
            loss, told = self.loss(batch, *how)
        loss.backward()
        self.told.copy_(told.detach())

    def _capture(self, batch: Batch, *how: Hashable) -> Captured:
        own = Batch(**{name: value.clone() for name, value in vars(batch).items()})
        self._place(frozenset())
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._run(own, *how)
        torch.cuda.current_stream().wait_stream(aside)
        touched = frozenset(p for p in self.parameters if p.grad is not None)
        self._place(touched)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph, pool=self.pool):
            torch._foreach_zero_([self.gradients[p] for p in self.parameters if p in touched])
            self._run(own, *how)
        self.pool = graph.pool()
        return Captured(graph, own, touched)
