"""Workers that train one model together: what they share, and that one alone shares nothing."""

import argparse
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

workers = pytest.importorskip("workers")


def options(*given):
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    workers.add_options(parser, port=29_611)
    return parser.parse_args(given)


def work(rank, args):
    """Each worker's loss pulls another way; what is learned is frozen in part."""
    model = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1).requires_grad_(False))
    nn.init.ones_(model[0].weight)
    (model[0].weight.sum() * (1 + 2 * rank)).backward()
    workers.average_gradients(model)
    seconds = workers.shared(10.0 + rank)
    torch.save((model[0].weight.grad, model[1].weight.grad, seconds), f"{args.out}{rank}.pt")


def test_one_alone_keeps_its_gradients(tmp_path):
    workers.start(work, options("--out", str(tmp_path / "only")))
    grad, frozen, seconds = torch.load(tmp_path / "only0.pt", weights_only=True)
    assert grad.tolist() == [[1, 1]]
    assert frozen is None
    assert seconds == 10


@pytest.mark.slow
def test_two_have_the_mean_of_their_gradients_and_stop_together(tmp_path):
    workers.start(work, options("--out", str(tmp_path / "of"), "--workers", "2"))
    for rank in (0, 1):
        grad, _, seconds = torch.load(tmp_path / f"of{rank}.pt", weights_only=True)
        assert grad.tolist() == [[2, 2]]
        assert seconds == 10
