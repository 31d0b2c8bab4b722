"""A key-value cache made longer without decoding: for loops of which a tracer leaves out the middle.

Axes: b batch, h heads, t positions, k width of a head.
"""

from __future__ import annotations

from torch import Tensor

from tts_lab.nn.cache import Cache, GrowingCache


def lengthen(cache: Cache, positions: int) -> None:
    """Leave a key-value cache as after `positions` more steps, without their contents.

    For the `skip` of `tts_lab.loops.growing`.
    """
    if isinstance(cache, GrowingCache):
        for layer, kept in cache._kept.items():
            cache._kept[layer] = (_longer(kept[0], positions), _longer(kept[1], positions))
    cache.advance(positions)


def _longer(x: Tensor, positions: int) -> Tensor:
    """(b, h, t, k) -> (b, h, t + positions, k)."""
    return x.new_empty((*x.shape[:2], x.shape[2] + positions, x.shape[3]))
