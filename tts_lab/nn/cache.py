"""Key-value caches of autoregressive decoding: one that grows, one that is allocated once.

Axes: b batch, h heads, t positions, k width of a head.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Cache(Protocol):
    """Keeps the keys and values of all earlier positions, layer by layer."""

    length: int

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append (b, h, t, k) of one layer; returns keys and values of all positions so far."""
        ...

    def advance(self, steps: int) -> None:
        """Count `steps` more positions once every layer was updated."""
        ...


class GrowingCache:
    """Concatenates at every step: no length needed beforehand, but old and new copies live at once.

    What comes as a view of something larger, such as a fused projection, is copied, so that the rest can go.
    """

    def __init__(self) -> None:
        self.length = 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        if layer in self._kept:
            old_keys, old_values = self._kept[layer]
            keys, values = torch.cat((old_keys, keys), 2), torch.cat((old_values, values), 2)
        self._kept[layer] = kept = (_own(keys), _own(values))
        return kept

    def advance(self, steps: int) -> None:
        self.length += steps


def _own(x: Tensor) -> Tensor:
    """x, or a copy if x keeps more memory alive than its own."""
    return x if x.untyped_storage().nbytes() == x.nbytes else x.clone()


class StaticCache:
    """Allocated once for `capacity` positions; an update writes in place and returns views.

    bytes = 2 x layers x b x h x capacity x k x size of dtype.
    """

    def __init__(
        self, layers: int, batch: int, heads: int, capacity: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.length, self.capacity = 0, capacity
        shape = (layers, batch, heads, capacity, width)
        self._keys = torch.empty(shape, dtype=dtype, device=device)
        self._values = torch.empty(shape, dtype=dtype, device=device)

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        end = self.length + keys.shape[2]
        if end > self.capacity:
            raise IndexError(f"the cache holds {self.capacity} positions, {end} were asked for")
        self._keys[layer][:, :, self.length : end] = keys
        self._values[layer][:, :, self.length : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def advance(self, steps: int) -> None:
        self.length += steps
