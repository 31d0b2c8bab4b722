"""When things run: by hand on small logs, by properties on random ones, and on whole requests."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tts_lab.errors import LabError
from tts_lab.levers.streaming import Stream
from tts_lab.loops import alike, growing
from tts_lab.memory.cards import find_card
from tts_lab.memory.events import EventLog, Work
from tts_lab.memory.flow import AHEAD, COPY, KERNELS, READ, WAIT, Flow, Loop
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.roofline import ATTAINED, LAUNCH_SECONDS, estimate
from tts_lab.memory.schedule import COMPUTING, COPYING, LANES, READING, WAITING, Schedule, expanded, schedule
from tts_lab.memory.tracer import Tracer
from tts_lab.memory.work import TO_CARD
from tts_lab.nn.transformer import Decoder
from tts_lab.recipe import Recipe
from tts_lab.systems import run_lengths

CARD = find_card("rtx3070")
MS = 1e-3
Step = tuple[int, str, float, int]  # kind, part, milliseconds of all launches together, launches


def log_of(steps: list[Step], loops: tuple[Loop, ...] = ()) -> EventLog:
    """A log whose steps take so long on CARD, in one stage `s`."""
    work, first, rows, counts = [], [0], [], []
    for kind, _, milliseconds, launches in steps:
        if kind != WAIT:
            copy = kind != KERNELS
            rate = (CARD.pcie_bandwidth * ATTAINED["transfer"]) if copy else CARD.memory_bandwidth * ATTAINED["memory"]
            size = round(milliseconds * MS * rate / launches)
            work.append(Work("s", TO_CARD if copy else "aten.add.Tensor", "float32", 0, size, launches))
            rows.append(len(work) - 1)
            counts.append(float(launches))
        first.append(len(rows))
    names = tuple(dict.fromkeys(["s", *(part for _, part, *_ in steps)]))
    flow = Flow(
        np.array([kind for kind, *_ in steps], np.int8), np.zeros(len(steps), np.int32),
        np.array([names.index(part) for _, part, *_ in steps], np.int32), np.array(first, np.int64),
        np.array(rows, np.int32), np.array(counts), names, loops,
    )  # fmt: skip
    for i, passes in expanded(EventLog([], flow=flow)):  # the log's work counts every pass
        for row in rows[first[i] : first[i + 1]]:
            work[row] = Work(*[*vars(work[row]).values()][:-1], work[row].count * passes)
    return EventLog([], work=work, flow=flow)


def buffered(layers: int, compute: float, copy: float) -> list[Step]:
    """What `levers.streaming` does with layers, in milliseconds."""
    steps: list[Step] = [(AHEAD, "0", copy, 1)]
    for i in range(layers):
        steps += [(WAIT, str(i), 0, 0)]
        steps += [(AHEAD, str(i + 1), copy, 1)] * (i + 1 < layers)
        steps += [(KERNELS, str(i), compute, 1)]
    return steps


@pytest.mark.parametrize(("compute", "copy"), [(1.0, 5.0), (5.0, 1.0), (3.0, 3.0)])
def test_double_buffering_by_hand(compute: float, copy: float) -> None:
    """The first copy, then the longer of both for each layer but the last, whose kernels end it all."""
    found = schedule(log_of(buffered(6, compute, copy)), CARD)
    issue = LAUNCH_SECONDS / MS  # asking for a copy comes before the kernels
    expected = copy + 5 * max(compute + issue, copy) + compute
    assert found.seconds / MS == pytest.approx(expected, rel=1e-3)
    assert found.serial / MS == pytest.approx(6 * (compute + copy), rel=1e-6)
    assert found.stages[0].bound_by == ("weights" if copy > compute else "computing")


def test_a_copy_that_is_not_ahead_holds_all_up_and_a_file_is_read_before() -> None:
    found = schedule(log_of([(KERNELS, "", 2, 1), (COPY, "", 3, 1), (KERNELS, "", 4, 1)]), CARD)
    assert found.seconds == pytest.approx(9 * MS)
    log = log_of([(READ, "a", 3, 1), (WAIT, "a", 0, 0), (KERNELS, "a", 4, 1)])
    assert schedule(log, CARD).seconds == pytest.approx(7 * MS)
    disk = log.work[0].bytes / (10 * MS)  # so fast that it takes 10 ms
    slow = schedule(log, CARD, disk)
    assert slow.seconds == pytest.approx(slow.serial) == pytest.approx(17 * MS)
    assert [(i.lane, i.what) for i in slow.intervals] == [
        (READING, "read"), (COPYING, "copy"), (COMPUTING, WAITING), (COMPUTING, "kernels"),
    ]  # fmt: skip


def test_asking_for_many_small_copies_takes_the_computers_time() -> None:
    """1,000 copies of nothing cannot be launched in less than 1,000 launches, whatever they overlap."""
    found = schedule(log_of([(AHEAD, "a", 1e-6, 1000), (KERNELS, "", 1, 1), (WAIT, "a", 0, 0)]), CARD)
    assert found.seconds == pytest.approx(1000 * LAUNCH_SECONDS + MS, rel=1e-3)


def test_many_passes_of_a_loop_take_as_long_as_all_of_them_one_by_one() -> None:
    steps = [(AHEAD, "0", 2.0, 1), *buffered(4, 1, 2)[1:], (AHEAD, "0", 2.0, 1)]
    body, times = steps[1:], 40
    short = schedule(log_of(steps, (Loop(1, len(steps), times),)), CARD)
    long = schedule(log_of([steps[0], *body * times]), CARD)
    assert short.seconds == pytest.approx(long.seconds, rel=1e-6)
    assert short.stages[0].waiting == pytest.approx(long.stages[0].waiting, rel=1e-6)
    assert short.busy == pytest.approx(long.busy)
    assert len(short.intervals) < len(long.intervals) / 10


PARTS = st.sampled_from(["a", "b", "c"])
RANDOM = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([KERNELS, COPY, AHEAD, READ]), PARTS, st.floats(1e-5, 5), st.integers(1, 30)),
        st.tuples(st.just(WAIT), PARTS, st.just(0.0), st.just(0)),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(RANDOM, st.data(), st.sampled_from([None, 1e9]))
def test_whatever_the_steps_are(steps: list[Step], data: Any, disk: float | None) -> None:
    bounds = sorted(data.draw(st.lists(st.integers(0, len(steps)), min_size=4, max_size=4)))
    passes = st.integers(2, 60).map(lambda n: n / 2)  # halves, as shortened loops have them
    inner = Loop(bounds[1], bounds[2], data.draw(passes))
    outer = Loop(bounds[0], bounds[3], data.draw(passes))
    loops = tuple(loop for loop in dict.fromkeys((inner, outer)) if loop.end > loop.start)
    if len(loops) == 2 and (inner.start, inner.end) == (outer.start, outer.end):
        loops = (outer,)
    log = log_of(steps, loops)
    check(log, schedule(log, CARD, disk), disk)


def check(log: EventLog, found: Schedule, disk: float | None = None) -> None:
    serial = estimate(log.work, CARD).seconds
    assert found.seconds >= max(found.busy.values()) * (1 - 1e-9)
    assert found.seconds <= found.serial * (1 + 1e-9)
    assert found.seconds <= sum(found.busy.values()) * (1 + 1e-9)
    if disk is None:
        assert found.serial == pytest.approx(serial)
    assert sum(stage.seconds for stage in found.stages) <= found.seconds * (1 + 1e-9)
    for lane in LANES:
        mine = found.lane(lane)
        assert sum(each.busy for each in mine) == pytest.approx(found.busy[lane])
        for before, after in zip(mine, mine[1:], strict=False):
            assert after.start >= before.end - 1e-12 * before.end
        assert all(0 <= each.busy <= each.seconds * (1 + 1e-9) + 1e-12 for each in mine)
    came: dict[str, float] = {}
    for each in found.intervals:
        if each.what == "copy" and each.part:
            came[each.part] = each.end
    assert max(came.values(), default=0.0) <= found.seconds * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([KERNELS, COPY, AHEAD, WAIT]), st.floats(0.01, 5), st.integers(0, 99)),
                min_size=5, max_size=40))  # fmt: skip
def test_kernels_begin_when_the_copies_that_were_waited_for_have_come(drawn: list[tuple[int, float, int]]) -> None:
    steps: list[Step] = []
    needs: dict[str, set[str]] = {}  # kernels -> copies that were waited for before them
    asked: list[str] = []
    waited: set[str] = set()
    for i, (kind, milliseconds, choice) in enumerate(drawn):
        if kind == WAIT and asked:
            waited = waited | {asked[choice % len(asked)]}
            steps.append((WAIT, asked[choice % len(asked)], 0, 0))
        elif kind != WAIT:
            steps.append((kind, str(i), milliseconds, 1 + choice % 3))
            asked += [str(i)] * (kind == AHEAD)
            needs[str(i)] = waited if kind == KERNELS else set()
    found = schedule(log_of(steps), CARD)
    at = {(i.what, i.part): i for i in found.intervals}
    for part, copies in needs.items():
        for copy in copies:
            assert at["copy", copy].end <= at["kernels", part].start
    for i in found.intervals:
        if i.what == "copy":  # nothing is brought before it was asked for
            assert i.start >= max((k.end for k in found.lane(COMPUTING) if int(k.part) < int(i.part)), default=0)


def streamed(passes: Any = None, device: str = "meta") -> EventLog:
    with torch.device(device):
        model = Decoder(256, 4, 6, 512)
        x = torch.zeros(1, 1, 256)
    with Tracer(device) as tracer:
        tracer.host(model)
        tracer.place(x)
        with Stream(model, torch.device(device), lambda part, path: tracer.place(part, f"m.{path}")) as m:
            for _ in passes() if passes else range(3):
                m(x)
    return tracer.log


def test_a_streamed_network_waits_for_each_layer_and_brings_the_next() -> None:
    log = streamed()
    found = schedule(log, CARD)
    check(log, found)
    kernels = [i for i in found.intervals if i.what == "kernels" and i.part]
    copies = [i for i in found.intervals if i.what == "copy" and i.part]
    assert [i.part for i in kernels] == [f"layers.{i}" for i in range(6)] * 3
    # The first layer is brought once more at the end: nobody knew that this pass was the last.
    assert [i.part for i in copies] == [f"layers.{i}" for i in range(6)] * 3 + ["layers.0"]
    for layer, copy in zip(kernels, copies[:-1], strict=True):
        assert copy.end <= layer.start
    overlap = sum(min(k.end, c.end) > max(k.start, c.start) for k, c in zip(kernels, copies[1:], strict=False))
    assert overlap >= 15
    assert found.seconds < 0.97 * found.serial


@pytest.mark.parametrize("loop", [lambda: alike(30), lambda: growing(30, lambda n: None)])
def test_shortened_loops_count_in_full(loop: Any) -> None:
    log, plain = streamed(loop), streamed(lambda: range(30))
    assert len(log.flow) < len(plain.flow) / 3
    total: Counter[int] = Counter()
    for i, passes in expanded(log):
        for row in range(log.flow.first[i], log.flow.first[i + 1]):
            total[int(log.flow.work[row])] += log.flow.count[row] * passes
    assert [total[i] for i in range(len(log.work))] == pytest.approx([work.count for work in log.work])
    short, long = schedule(log, CARD), schedule(plain, CARD)
    check(log, short)
    assert short.seconds == pytest.approx(long.seconds, rel=2e-3)


def test_meta_and_cpu_have_the_same_flow_and_a_saved_log_keeps_it(tmp_path: Any) -> None:
    meta, cpu = streamed(), streamed(device="cpu")
    again = EventLog.load(meta.save(tmp_path / "a.npz"))
    for other in (cpu, again):
        for name in ("kind", "stage", "part", "first", "work", "count"):
            assert np.array_equal(getattr(meta.flow, name), getattr(other.flow, name)), name
        assert (meta.flow.names, meta.flow.loops) == (other.flow.names, other.flow.loops)
    assert schedule(again, CARD) == schedule(meta, CARD)


def test_a_log_from_before_has_no_schedule_and_says_so() -> None:
    log = EventLog([], work=streamed().work)
    with pytest.raises(LabError, match="trace the run again"):
        schedule(log, CARD)


def test_without_copies_it_is_the_estimate() -> None:
    with torch.device("meta"):
        model, x = nn.TransformerEncoderLayer(64, 4, batch_first=True).eval(), torch.zeros(1, 50, 64)
    with Tracer() as tracer:
        tracer.place(model, "m")
        model(x)
    found = schedule(tracer.log, CARD)
    assert found.seconds == pytest.approx(estimate(tracer.log.work, CARD).seconds, rel=1e-12)
    assert found.busy[COPYING] == found.busy[READING] == 0


@pytest.mark.parametrize("offload", ["none", "stage", "layers", "disk"])
def test_whole_requests_of_mini(offload: str) -> None:
    tracer = Tracer()
    run_lengths("mini", Recipe(offload=offload), 6.0, 3.0, tracer)
    log = tracer.log
    found = schedule(log, CARD, 1e9 if offload == "disk" else None)
    check(log, found, 1e9 if offload == "disk" else None)
    assert [s.stage for s in found.stages if s.stage] == ["semantic", "acoustic", "vocoder"]
    assert bool(found.busy[READING]) == (offload == "disk")
    ahead = any(kind == AHEAD for kind in log.flow.kind.tolist())
    assert ahead == (offload == "layers")
    if offload != "layers":  # nothing overlaps
        assert found.seconds == pytest.approx(found.serial)


def test_the_cost_grows_with_the_number_of_steps_and_nothing_else() -> None:
    """Counted, not timed: what one step brings is bounded."""
    for times in (10, 100):
        steps = buffered(times, 1, 2)
        assert len(schedule(log_of(steps), CARD).intervals) <= 2 * len(steps)


def test_a_log_that_was_saved_before_there_was_a_flow_still_loads(tmp_path: Any) -> None:
    log = streamed()
    path = log.save(tmp_path / "new.npz")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if not name.startswith("flow_")}
    about = json.loads(arrays["about"].tobytes())
    del about["flow"]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez_compressed(tmp_path / "old.npz", **arrays)
    old = EventLog.load(tmp_path / "old.npz")
    assert old == log
    assert len(old.flow) == 0
    report = MemoryReport.of(old, CARD)
    assert report.overlapped is None
    assert report.estimate == MemoryReport.of(log, CARD).estimate


@pytest.mark.parametrize("name", ["flow_first", "flow_work", "flow_stage"])
def test_a_damaged_flow_is_refused(tmp_path: Any, name: str) -> None:
    with np.load(streamed().save(tmp_path / "a.npz")) as file:
        arrays = {each: file[each] for each in file.files}
    arrays[name] = arrays[name][:-1] if name != "flow_work" else arrays[name] + 10_000
    np.savez_compressed(tmp_path / "b.npz", **arrays)
    with pytest.raises(LabError, match="damaged"):
        EventLog.load(tmp_path / "b.npz")
