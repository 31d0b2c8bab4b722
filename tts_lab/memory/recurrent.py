"""A recurrent layer as a card runs it: one kernel, whatever the number of positions.

On the meta device `torch.lstm` falls apart into a dozen operators for each position, and on a CPU into a library's own;
on a card cuDNN takes the whole of it. What cuDNN allocates is its results, and a workspace whose size depends on the
version and the card, which is not logged (as with its convolutions).

Axes: b batch, t positions, d width, h units, l layers x directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

CUDNN_RNN = "aten._cudnn_rnn.default"


@dataclass(frozen=True)
class LstmCall:
    """Arguments of `torch.lstm` for a tensor that is not packed. input: (b, t, d), or (t, b, d) without batch_first."""

    input: Tensor
    state: Sequence[Tensor]
    weights: Sequence[Tensor]
    has_biases: bool
    num_layers: int
    dropout: float
    train: bool
    bidirectional: bool
    batch_first: bool

    @classmethod
    def of(cls, args: Sequence[Any]) -> LstmCall | None:
        """None where the call is for packed sequences, or spelt in another way than `torch.nn.LSTM` spells it."""
        return cls(*args) if len(args) == 9 and not isinstance(args[1], Tensor) else None

    def outputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """What the kernel allocates: outputs, laid out (t, b, h), and the last hidden and cell states."""
        units = self.weights[1].shape[1]
        b, t = self.input.shape[:2] if self.batch_first else self.input.shape[1::-1]
        both = 2 if self.bidirectional else 1
        y = self.input.new_empty((t, b, both * units))
        last = (self.num_layers * both, b, units)
        return y.transpose(0, 1) if self.batch_first else y, self.input.new_empty(last), self.input.new_empty(last)

    def flops(self) -> int:
        """Every weight matrix meets every position once; a multiply-add is two operations."""
        positions = self.input.shape[0] * self.input.shape[1]
        return 2 * positions * sum(w.numel() for w in self.weights if w.ndim == 2)
