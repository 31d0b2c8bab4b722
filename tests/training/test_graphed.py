"""On a card: a step launched as one graph teaches what the same step launched kernel by kernel teaches."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

from batches import Batch
from graphed import Graphed

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"),
]


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(80, 16), nn.Linear(16, 80)

    def loss(self, batch: Batch, whole: bool) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self.first(batch.mel.transpose(1, 2))
        if not whole:
            return hidden.square().mean(), hidden.mean()
        error = (self.second(hidden) - batch.mel.transpose(1, 2)).square().mean()
        return error, error


def batch(rows: int, frames: int) -> Batch:
    phones, names = torch.ones(rows, 4, dtype=torch.int64), ("symbol", "tone", "place", "duration", "pitch")
    made = Batch(**dict.fromkeys(names, phones), speaker=torch.zeros(rows, dtype=torch.int64),
                 manner=torch.zeros(rows, 4), phones=phones > 0, mel=torch.randn(rows, 80, frames),
                 frames=torch.ones(rows, frames, dtype=torch.bool))  # fmt: skip
    return made.to(torch.device("cuda"))


def test_gradients_are_those_of_launching_one_by_one() -> None:
    model = Two().cuda()
    graphed = Graphed(model, model.loss, torch.Generator("cuda").manual_seed(0), bfloat16=False)
    for given, whole in [(batch(2, 64), True), (batch(3, 32), False), (batch(2, 64), True), (batch(3, 32), True)]:
        told = graphed(given, whole)
        own = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
        assert (own["second.weight"] is None) == (not whole)
        model.zero_grad(set_to_none=True)
        loss, expected = model.loss(replace(given), whole)
        loss.backward()
        torch.testing.assert_close(told, expected.detach())
        del loss, expected  # what keeps a graph of gradients alive keeps the next one from being captured
        for name, p in model.named_parameters():
            if p.grad is not None:
                torch.testing.assert_close(own[name], p.grad)
    assert len(graphed.captured) == 3
