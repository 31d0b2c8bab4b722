"""Shortened loops: as little is traced as can be, and no peak, no sum of work and no result is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from networks import decoding, dit_inputs
from torch import Tensor

from tts_lab.loops import alike, growing
from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer
from tts_lab.nn import flow
from tts_lab.nn.cache import Cache
from tts_lab.nn.dit import DiT, DiTSizes
from tts_lab.nn.lengthen import lengthen
from tts_lab.nn.transformer import Decoder

SIZES = DiTSizes(6, 5, 4, 16, 2, 3, 32, prompt=True)


def traced(fn: Any, *args: Tensor, shorten: bool) -> EventLog:
    with Tracer(shorten=shorten) as tracer:
        for x in args:
            tracer.place(x)
        fn(*args)
    return tracer.log


def work(log: EventLog) -> dict[str, tuple[float, float, float]]:
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for w in log.work:
        for i, x in enumerate((w.count, w.count * w.flops, w.count * w.bytes)):
            sums[w.operator][i] += x
    return {k: tuple(v) for k, v in sums.items()}


@pytest.mark.parametrize(
    ("solver", "mode"), [("euler", "batched"), ("euler", "none"), ("heun", "sequential"), ("midpoint", "batched")]
)
def test_solver_steps_stop_when_they_repeat(monkeypatch: pytest.MonkeyPatch, solver: str, mode: str) -> None:
    monkeypatch.setattr(flow, "range", alike, raising=False)  # the loop of `solve`
    with torch.device("meta"):
        model = DiT(SIZES)
        x, _, content, style, prompt = dit_inputs(SIZES, 12)
    twice = [torch.cat((y, y)) for y in (content, style, prompt)]
    one = lambda x, t: model(x, t, content, style, prompt)  # noqa: E731
    velocity = {
        "none": one, "sequential": flow.guided(one, one, 0.7),
        "batched": flow.guided_batched(lambda x, t: model(x, t, *twice), 0.7),
    }[mode]  # fmt: skip
    run = lambda x: flow.solve(velocity, x, flow.schedule(20), solver)  # noqa: E731
    full, short = (traced(run, x, shorten=s) for s in (False, True))
    assert len(short) < 0.3 * len(full)
    assert short.peak_bytes() == full.peak_bytes()
    assert work(short) == work(full)
    (repeat,) = short.repeats
    kept = sum(e.bytes for e in list(short)[repeat.start : repeat.end])
    assert kept == 0
    assert len(full) == len(short) + (repeat.count - 1) * (repeat.end - repeat.start)


def test_a_loop_that_keeps_every_step_is_not_shortened() -> None:
    def hoard(x: Tensor) -> list[Tensor]:
        return [x + 1 for _ in alike(20)]

    x = torch.empty(100, device="meta")
    log = traced(hoard, x, shorten=True)
    assert not log.repeats
    assert log.peak_bytes() == 21 * 400


@pytest.mark.parametrize("kind", ["growing", "static"])
@pytest.mark.parametrize("steps", [2, 4, 5, 60])
def test_decoding_keeps_its_peak_and_its_work(kind: str, steps: int) -> None:
    with torch.device("meta"):
        model, x = Decoder(64, 4, 3, 128), torch.empty(1, 9, 64)

    def passes(steps: int, cache: Cache) -> Iterator[int]:
        return growing(steps, lambda n: lengthen(cache, n))

    full = traced(decoding(model, kind, steps), x, shorten=False)
    short = traced(decoding(model, kind, steps, passes), x, shorten=True)
    assert short.peak_bytes() == full.peak_bytes()
    assert work(short) == work(full)
    if steps > 10:
        assert len(short) < 0.2 * len(full)
        # Not only the peak: the last pass allocates and frees the same, event for event.
        assert short.columns().bytes[-100:].tolist() == full.columns().bytes[-100:].tolist()


@pytest.mark.parametrize("kind", ["growing", "static"])
def test_a_lengthened_cache_is_as_long_as_one_that_decoded(kind: str) -> None:
    torch.manual_seed(0)
    model = Decoder(16, 2, 2, 16)
    caches = [model.cache(kind, 1, 12) for _ in range(2)]
    with torch.no_grad():
        for cache in caches:
            model(torch.randn(1, 4, 16), cache)
        for _ in range(6):
            model(torch.randn(1, 1, 16), caches[0])
        lengthen(caches[1], 6)
        assert caches[0].length == caches[1].length == 10
        assert model(torch.randn(1, 1, 16), caches[1]).shape == (1, 1, 16)
    if kind == "growing":
        shapes = [[tuple(k.shape) for k, _ in cache._kept.values()] for cache in caches]  # type: ignore[attr-defined]
        assert shapes == [[(1, 2, 11 - i, 8)] * 2 for i in (1, 0)]


def test_without_a_tracer_every_pass_is_taken() -> None:
    assert list(alike(5)) == list(growing(5, lambda n: pytest.fail("nothing is left out"))) == [0, 1, 2, 3, 4]


def test_loops_inside_loops_count_the_work_of_all() -> None:
    def run(x: Tensor) -> None:
        for _ in alike(10):
            for _ in alike(7):
                x + 1

    log = traced(run, torch.empty(100, device="meta"), shorten=True)
    assert [w.count for w in log.work] == [70]
    assert sorted(r.count for r in log.repeats) == [6, 6, 9]
    assert np.sum(log.columns().bytes) == 400
