"""Key-value caches of autoregressive decoding: one that grows, one that is allocated once, one in eight bits.

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

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All that it holds: (layers, b, h, capacity, ...) each."""
        return self._keys, self._values

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        end = self._end(keys)
        self._keys[layer][:, :, self.length : end] = keys
        self._values[layer][:, :, self.length : end] = values
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def advance(self, steps: int) -> None:
        self.length += steps

    def _end(self, keys: Tensor) -> int:
        """Position after `keys`. Raises IndexError where there is no room."""
        end = self.length + keys.shape[2]
        if end > self.capacity:
            raise IndexError(f"the cache holds {self.capacity} positions, {end} were asked for")
        return end


class Int8Cache(StaticCache):
    """A static cache of a byte a number, and a scale for each position and head. A layer is made whole when it is read.

    bytes = 2 x layers x b x h x capacity x (k + size of dtype). Rounds each number to 1/254 of the largest of its
    position and head, as FlexGen does for groups (Sheng et al. 2023, section 4); there in four bits, here in eight.
    """

    def __init__(
        self, layers: int, batch: int, heads: int, capacity: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        super().__init__(layers, batch, heads, capacity, width, torch.int8, device)
        shape = (layers, batch, heads, capacity, 1)
        self._key_scales = torch.empty(shape, dtype=dtype, device=device)
        self._value_scales = torch.empty(shape, dtype=dtype, device=device)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        return self._keys, self._key_scales, self._values, self._value_scales

    def update(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        end = self._end(keys)
        return (
            self._put(self._keys[layer], self._key_scales[layer], keys, end),
            self._put(self._values[layer], self._value_scales[layer], values, end),
        )

    def _put(self, codes: Tensor, scales: Tensor, new: Tensor, end: int) -> Tensor:
        """Round what is new (b, h, t, k) into its place; returns all positions so far, as they are read."""
        scale = new.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(new.dtype).tiny) / 127
        scales[:, :, self.length : end] = scale
        codes[:, :, self.length : end] = (new / scale).round().clamp(-127, 127)
        return codes[:, :, :end] * scales[:, :, :end]


KINDS = {"static": StaticCache, "int8": Int8Cache}


def cache_of(kind: str, layers: int, batch: int, heads: int, capacity: int, width: int, like: Tensor) -> Cache:
    """A "growing" cache, or a "static" or "int8" one for `capacity` positions of `batch` sequences.

    width: of a head; like: has the dtype to compute in, and the device.
    """
    if kind == "growing":
        return GrowingCache()
    return KINDS[kind](layers, batch, heads, capacity, width, like.dtype, like.device)
