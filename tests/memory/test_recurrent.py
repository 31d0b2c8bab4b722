"""An LSTM under trace: one kernel, the same on meta and on the CPU, and the right numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import on_both
from torch import Tensor, nn

from tts_lab.memory.recurrent import CUDNN_RNN
from tts_lab.memory.tracer import Tracer, trace


def repeated(layers: int, both: bool, batch_first: bool) -> Callable[[], tuple[Any, ...]]:
    def build() -> tuple[Any, ...]:
        model = nn.LSTM(8, 6, layers, batch_first=batch_first, bidirectional=both).requires_grad_(False)

        def run(x: Tensor) -> Tensor:
            state = None
            for _ in range(12):  # enough events for a comparison
                y, state = model(x, state)
                y = y + 1
            return y

        return run, torch.zeros(2, 30, 8)

    return build


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_meta_is_the_cpu(layers: int, both: bool, batch_first: bool) -> None:
    log = on_both(repeated(layers, both, batch_first))
    assert sum(e.operator == CUDNN_RNN and e.bytes > 0 and e.category == "activation" for e in log) == 12 * 3


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_traced_run_on_the_cpu_has_the_values_of_an_untraced_one(batch_first: bool) -> None:
    torch.manual_seed(0)
    model, x = nn.LSTM(8, 6, 2, batch_first=batch_first, bidirectional=True).requires_grad_(False), torch.randn(3, 7, 8)
    y, (h, c) = model(x)
    with Tracer("cpu"):
        ours, (ours_h, ours_c) = model(x)
    for a, b in ((ours, y), (ours_h, h), (ours_c, c)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # other kernels may add in another order
    assert ours.stride() == y.stride()


def test_results_and_work() -> None:
    with torch.device("meta"):
        model, x = nn.LSTM(8, 6, batch_first=True).requires_grad_(False), torch.zeros(2, 30, 8)
    log = trace(model, x)
    (work,) = (w for w in log.work if w.operator == CUDNN_RNN)
    assert work.count == 1
    assert work.flops == 2 * 60 * (24 * 8 + 24 * 6)
    sizes = [e.bytes for e in log if e.operator == CUDNN_RNN and e.bytes > 0]
    assert sizes == [2 * 30 * 6 * 4, 2 * 6 * 4, 2 * 6 * 4]
    weights = {e.module for e in log if e.category == "weight"}
    assert weights == {"LSTM"}


def test_packed_sequences_run_as_they_are() -> None:
    model, x = nn.LSTM(8, 6, batch_first=True).requires_grad_(False), torch.randn(2, 5, 8)
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]), batch_first=True)
    with Tracer("cpu"):
        y, _ = nn.utils.rnn.pad_packed_sequence(model(packed)[0], batch_first=True)
    torch.testing.assert_close(y[1:, :3], model(x[1:, :3])[0])
