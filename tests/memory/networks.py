"""Networks and comparisons that the tests of the tracer share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import trace
from tts_lab.nn.cache import Cache
from tts_lab.nn.dit import DiTSizes
from tts_lab.nn.transformer import Decoder

MIB = 2**20
INDEXTTS2 = DiTSizes(80, 512, 192, 512, 8, 13, 1536, prompt=True, final="wavenet", long_skip=True)


def assert_same(a: EventLog, b: EventLog) -> None:
    """Equal event for event; else say where they part."""
    for i, (x, y) in enumerate(zip_longest(a, b)):
        assert x == y, f"event {i} of {len(a)} and {len(b)}"
    assert len(a) > 50


def on_both(build: Callable[[], tuple[Any, ...]], **options: Any) -> EventLog:
    """Trace `fn(*args)` that `build` gives, on meta and on the CPU: the events must be the same."""
    logs = []
    for device in ("meta", "cpu"):
        with torch.device(device):
            fn, *args = build()
        logs.append(trace(fn, *args, device=device, **options))
    assert_same(*logs)
    return logs[0]


def dit_inputs(sizes: DiTSizes, t: int, b: int = 1, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    shapes = (b, sizes.mels, t), (b,), (b, t, sizes.content), (b, sizes.style), (b, sizes.mels, t)
    return tuple(torch.zeros(shape, dtype=dtype) for shape in shapes)


Passes = Callable[[int, Cache], Iterator[int]]


def decoding(model: Decoder, kind: str, steps: int, passes: Passes | None = None) -> Callable[[Tensor], Tensor]:
    """A prefix, then `steps` positions one at a time; `passes`: a loop of `tts_lab.loops`."""

    def run(x: Tensor) -> Tensor:
        cache: Cache = model.cache(kind, x.shape[0], x.shape[1] + steps)
        y = model(x, cache)[:, -1:]
        for _ in passes(steps, cache) if passes else range(steps):
            y = model(y, cache)
        return y

    return run
