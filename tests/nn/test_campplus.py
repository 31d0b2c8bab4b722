"""The speaker encoder's norm and gates against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tts_lab.nn.campplus import SEGMENT, CAMPPlus, CAMPPlusSizes, ContextGate, StoredNorm


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 7), (3, 5, 7, 2)])
def test_stored_norm_equals_batch_norm_at_inference(shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    theirs = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](5, affine=affine)
    theirs(torch.randn(shape) * 2 + 1)  # training mode: it takes statistics
    ours = StoredNorm(5, affine)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(shape)
    torch.testing.assert_close(ours(x), theirs.eval()(x))


@pytest.mark.parametrize("frames", [1, 57, SEGMENT, 230])
def test_a_gate_sees_the_mean_of_all_and_that_of_its_segment(frames: int) -> None:
    torch.manual_seed(0)
    gate = ContextGate(4, 3, 2)
    x = torch.randn(1, 4, frames)
    segments = [x[..., i : i + SEGMENT].mean(-1, keepdim=True).expand(-1, -1, len(x[0, 0, i : i + SEGMENT]))
                for i in range(0, frames, SEGMENT)]  # fmt: skip
    context = x.mean(-1, keepdim=True) + torch.cat(segments, -1)
    expected = gate.linear_local(x) * gate.linear2(gate.linear1(context).relu()).sigmoid()
    torch.testing.assert_close(gate(x), expected)


def test_released_size() -> None:
    with torch.device("meta"):
        model = CAMPPlus(CAMPPlusSizes())
        assert model(torch.zeros(2, 300, 80)).shape == (2, 192)
    assert sum(p.numel() for p in model.parameters()) == 6_848_544
