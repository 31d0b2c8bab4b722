"""A key-value cache for several beams, which begin as one and choose their past anew at every step.

Axes: b beams, h heads, t positions, k width of a head.
"""

from __future__ import annotations

from torch import Tensor

from tts_lab.nn.cache import Cache, GrowingCache, StaticCache


def spread(cache: Cache, beams: int) -> None:
    """Let `beams` sequences go on from a prefix that was run once.

    A static cache made for as many sequences has spread the prefix when it was written.
    """
    if isinstance(cache, GrowingCache):
        for layer, kept in cache._kept.items():
            keys, values = (x.expand(beams, -1, -1, -1) for x in kept)
            cache._kept[layer] = (keys, values)


def reorder(cache: Cache, origin: Tensor) -> None:
    """Each beam goes on from the past of beam origin[beam]. origin: (b,) int64, on the cache's device.

    Layer by layer, so that no more than one layer is there twice.
    """
    if isinstance(cache, GrowingCache):
        for layer, kept in cache._kept.items():
            keys, values = (x.index_select(0, origin) for x in kept)
            cache._kept[layer] = (keys, values)
    elif isinstance(cache, StaticCache):
        for part in cache.parts:
            for layer in range(len(part)):
                past = part[layer][:, :, : cache.length]
                past.copy_(past.index_select(0, origin))
