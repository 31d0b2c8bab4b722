"""What attention in bands remembers: a few steps back of the decoder's own, a few ahead of the text.

The buffers are as long as a block of steps and the widest band, whatever the length of the speech; they are allocated
once and written in place. Every step sees windows of one size, and a bias says which of their places are real, so that
all steps are alike.

Axes: b batch, h heads, k width of a head, l layers, s steps of a block, w steps of a window (band + 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

ALIGNED = 8  # a memory-efficient kernel copies a bias whose rows are no multiple of this


def aligned(window: int) -> int:
    """Numbers in a row of the bias."""
    return -(-window // ALIGNED) * ALIGNED


def cache_bytes(layers: int, width: int, bands: Sequence[int], block: int, dtype: torch.dtype = torch.float32) -> int:
    """Bytes of a `BandCache`. width: all heads together.

    Keys and values of the own steps and of the text, b x l x width x (block + band) each; a bias for each step of the
    block; and each item's band and steps.
    """
    b, span = len(bands), max(bands)
    numbers = 4 * layers * b * width * (block + span) + 2 * block * b * aligned(span + 1)
    return numbers * dtype.itemsize + 16 * b


class BandCache:
    """Keys and values of one block of steps.

    bands: of each item, in steps. steps: of each item in all. block: most steps that a block has. `cache_bytes` says
    what it takes.
    """

    def __init__(self, layers: int, heads: int, width: int, bands: Sequence[int], steps: Sequence[int], block: int,
                 like: Tensor) -> None:  # fmt: skip
        self.span, self.block = max(bands), block
        if block < self.span:
            raise ValueError(f"a block of {block} steps is shorter than the band of {self.span}")
        shape = (2, layers, len(bands), heads, self.span + block, width)
        self._own, self._text = like.new_zeros(shape), like.new_zeros(shape)
        self._bands = torch.tensor(bands, device=like.device)[:, None]
        self._steps = torch.tensor(steps, device=like.device)[:, None]
        # For own and text: step, item, head, query, place of the window.
        self._bias = like.new_empty(2, block, len(bands), 1, 1, aligned(self.span + 1))
        self._at = 0

    def begin(self, first: int, count: int, text: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Start the block of steps first .. first + count - 1.

        text: for each layer, keys and values (b, h, count + band, k) of the memory from step `first` on.
        """
        if first:
            self._own[..., : self.span, :] = self._own[..., self.block : self.block + self.span, :]
        for layer, (keys, values) in enumerate(text):
            self._text[0, layer, :, :, : keys.shape[2]] = keys
            self._text[1, layer, :, :, : keys.shape[2]] = values
        hidden = ~self._seen(first, count)[:, :, :, None, None]
        self._bias[:, :count].zero_().masked_fill_(hidden, -torch.inf)
        self._at = 0

    def _seen(self, first: int, count: int) -> Tensor:
        """(own and text, s, b, w): whether a place of the window may be seen."""
        device = self._bands.device
        step = torch.arange(first, first + count, device=device)[:, None, None]
        place = torch.arange(self._bias.shape[-1], device=device)
        own = (place >= self.span - self._bands) & (step - self.span + place >= 0)
        ahead = (place <= self._bands) & (step + place < self._steps)
        return torch.stack((own, ahead | (place == 0)))

    def own(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write this step's keys and values (b, h, 1, k); returns those of the window (b, h, w, k), and its bias."""
        at, end = self._at, self._at + self.span + 1
        self._own[0, layer, :, :, end - 1 : end] = keys
        self._own[1, layer, :, :, end - 1 : end] = values
        return self._own[0, layer, :, :, at:end], self._own[1, layer, :, :, at:end], self._bias[0, at, ..., : end - at]

    def text(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of the memory that this step sees (b, h, w, k), and their bias."""
        at, end = self._at, self._at + self.span + 1
        keys, values = self._text[:, layer, :, :, at:end]
        return keys, values, self._bias[1, at, ..., : end - at]

    def advance(self, to: int) -> None:
        """Go to step `to` of the block."""
        self._at = to
