"""FSMN: feed-forward layers with a memory, a depthwise convolution along time in place of a recurrence.

Zhang et al. 2018, arXiv:1803.05030, in the form of SAM-BERT (KAN-TTS, kantts/models/sambert/fsmn.py), whose parameter
names are kept. A whole sequence at once, or piece by piece with the same numbers.

Axes: b batch, t positions, d input width, m memory width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FsmnFeedForward(nn.Module):
    """Two pointwise layers with a ReLU between, the second without bias. (b, t, d) -> (b, t, m)."""

    def __init__(self, width: int, inner: int, out: int) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(width, inner, 1)
        self.w_2 = nn.Conv1d(inner, out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(F.relu(self.w_1(x.transpose(1, 2)))).transpose(1, 2)


class MemoryBlock(nn.Module):
    """x plus a depthwise convolution of it. (b, t, m) -> (b, t, m).

    left, right: positions on each side that the convolution sees. shift: moves that view into the past.
    """

    def __init__(self, width: int, filter_size: int, shift: int = 0) -> None:
        super().__init__()
        self.left = (filter_size - 1) - (filter_size - 1) // 2 + shift
        self.right = (filter_size - 1) // 2 - shift
        if self.right < 0:
            raise ValueError(
                f"a filter of {filter_size} can be shifted by {(filter_size - 1) // 2} at most, not {shift}"
            )
        self.conv_dw = nn.Conv1d(width, width, filter_size, groups=width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            x = x * mask[..., None]
        y = self.remembered(F.pad(x, (0, 0, self.left, self.right)))
        return y if mask is None else y * mask[..., None]

    def remembered(self, x: Tensor) -> Tensor:
        """(b, left + t + right, m), the margins included -> (b, t, m)."""
        y = self.conv_dw(x.transpose(1, 2)).transpose(1, 2)
        return y + x[:, self.left : self.left + y.shape[1]]


class Fsmn(nn.Module):
    """A stack of feed-forward layers and memory blocks; a residual wherever two widths are equal.

    forward(x (b, t, d), mask (b, t) True where real, or None) -> (b, t, m).
    """

    def __init__(self, width: int, memory: int, inner: int, layers: int, filter_size: int, shift: int = 0) -> None:
        super().__init__()
        widths = [width, *[memory] * (layers - 1)]
        self.ffn_lst = nn.ModuleList(FsmnFeedForward(w, inner, memory) for w in widths)
        self.memory_block_lst = nn.ModuleList(MemoryBlock(memory, filter_size, shift) for _ in range(layers))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for feed_forward, block in zip(self.ffn_lst, self.memory_block_lst, strict=True):
            y = block(feed_forward(x), mask)
            x = y + x if y.shape[-1] == x.shape[-1] else y
        return x

    @property
    def look_ahead(self) -> int:
        """Later positions that an output depends on."""
        return sum(block.right for block in self._blocks())

    @property
    def look_back(self) -> int:
        """Earlier positions that an output depends on."""
        return sum(block.left for block in self._blocks())

    def _blocks(self) -> Iterator[MemoryBlock]:
        for block in self.memory_block_lst:
            assert isinstance(block, MemoryBlock)
            yield block


class FsmnStream:
    """An `Fsmn` fed piece by piece: push(x (b, t, d)) -> the outputs that are certain by now, and `finish` the rest.

    Outputs lag `look_ahead` positions behind; together they are the whole sequence's. Held between pieces: for each
    layer, as many positions as its filter spans. lengths: of each item, where they differ.
    """

    def __init__(self, model: Fsmn, lengths: Sequence[int] | None = None) -> None:
        self.model, self.lengths = model, lengths
        self._seen = [0] * len(model.ffn_lst)  # inputs so far
        self._given = [0] * len(model.ffn_lst)  # outputs so far
        self._held: list[Tensor | None] = [None] * len(model.ffn_lst)  # what the filter still needs
        self._waiting: list[Tensor | None] = [None] * len(model.ffn_lst)  # inputs whose outputs are still to come

    def push(self, x: Tensor) -> Tensor:
        return self._through(x, last=False)

    def finish(self, x: Tensor) -> Tensor:
        """As `push`, for the last piece, which may be empty: (b, 0, d)."""
        return self._through(x, last=True)

    def _through(self, x: Tensor, last: bool) -> Tensor:
        for layer in range(len(self._held)):
            x = self._layer(layer, x, last)
        return x

    def _layer(self, i: int, x: Tensor, last: bool) -> Tensor:
        block = self.model.memory_block_lst[i]
        assert isinstance(block, MemoryBlock)
        new = self.model.ffn_lst[i](x) if x.shape[1] else x.new_zeros(len(x), 0, block.conv_dw.in_channels)
        new = self._masked(new, self._seen[i])
        self._seen[i] += x.shape[1]
        held, waiting = self._held[i], self._waiting[i]
        before = new.new_zeros(len(new), block.left, new.shape[2]) if held is None else held
        after = [new.new_zeros(len(new), block.right, new.shape[2])] if last else []
        window = torch.cat([before, new, *after], 1)
        span = block.left + block.right
        self._held[i] = window[:, max(window.shape[1] - span, 0) :].clone()
        y = block.remembered(window) if window.shape[1] > span else new[:, :0]
        y = self._masked(y, self._given[i])
        self._given[i] += y.shape[1]
        return self._with_residual(i, x, y, waiting)

    def _masked(self, x: Tensor, first: int) -> Tensor:
        """x (b, t, m) of positions `first` on, zero beyond each item's end."""
        if self.lengths is None:
            return x
        positions = torch.arange(first, first + x.shape[1], device=x.device)
        return x * (positions[None] < torch.tensor(self.lengths, device=x.device)[:, None])[..., None]

    def _with_residual(self, i: int, x: Tensor, y: Tensor, waiting: Tensor | None) -> Tensor:
        if y.shape[2] != x.shape[2]:
            return y
        x = x if waiting is None else torch.cat((waiting, x), 1)
        self._waiting[i] = x[:, y.shape[1] :].clone()
        return y + x[:, : y.shape[1]]
