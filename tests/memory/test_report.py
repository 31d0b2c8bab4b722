"""The report: its figures against counts by hand, its forms, and that predicted and measured are one type."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tts_lab.errors import LabError
from tts_lab.memory import cuda
from tts_lab.memory.allocator import Allocator
from tts_lab.memory.cards import find_card
from tts_lab.memory.cuda import CudaMeter, measured_card
from tts_lab.memory.events import EventLog, Work
from tts_lab.memory.floor import streaming_floor
from tts_lab.memory.holders import OUTSIDE, holders, weights_read
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.roofline import ATTAINED, LAUNCH_SECONDS, estimate, estimate_stages
from tts_lab.memory.tracer import Tracer, trace
from tts_lab.memory.work import TO_CARD

KIB = 1024


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def two_stages() -> EventLog:
    """net: 64 -> 1024 -> 64 without biases (256 KiB each); x: 16 KiB; hidden: 256 KiB; z: 16 KiB, twice."""
    with torch.device("meta"):
        first, second = nn.Linear(64, 1024, bias=False), nn.Linear(1024, 64, bias=False)
    with Tracer() as tracer:
        tracer.place(first, "net.first")
        tracer.place(second, "net.second")
        x = meta(64, 64)
        tracer.place(x)
        with tracer.stage("semantic"):
            y = first(x)
        with tracer.stage("acoustic"):
            z = second(y)
            del y
        with tracer.stage("vocoder"):
            z = z * 2
    return tracer.log


# --- the streaming floor ---


def test_the_floor_by_hand() -> None:
    floor = streaming_floor(two_stages())
    # Either product holds x, the hidden tensor, one weight, and the second its result.
    assert floor.stages["semantic"] == (16 + 256 + 256) * KIB
    assert floor.stages["acoustic"] == (16 + 256 + 16 + 256) * KIB
    assert floor.stages["vocoder"] == (16 + 16 + 16) * KIB
    assert floor.bytes == floor.stages["acoustic"]
    # While the first product runs the second's weight is on its way.
    assert floor.double_buffered == (16 + 256 + 256 + 256) * KIB


def test_the_floor_is_that_of_a_run_that_streams_its_weights() -> None:
    """The same layers, each brought to the card before its use and dropped after it: its peak is the floor."""
    with torch.device("meta"):
        layers = [nn.Linear(256, 256) for _ in range(6)]

    def resident(x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    def streamed(x: Tensor) -> Tensor:
        for layer in layers:
            weight, bias = (p.to("cuda") for p in layer.parameters())
            x = torch.nn.functional.linear(x, weight, bias)
            del weight, bias
        return x

    x = meta(32, 256)
    with Tracer() as tracer:
        for layer in layers:
            tracer.host(layer)
        tracer.place(x)
        streamed(x)
    assert streaming_floor(trace(resident, x)).bytes == tracer.log.peak_bytes()
    assert streaming_floor(tracer.log).bytes == tracer.log.peak_bytes()  # copies of weights there are no weights


def test_uses_survive_saving_and_point_at_weights(tmp_path: Any) -> None:
    log = two_stages()
    again = EventLog.load(log.save(tmp_path / "a.npz"))
    assert streaming_floor(again) == streaming_floor(log)
    columns = again.columns()
    kinds = {s: columns.tables["category"][c] for s, c in zip(columns.storage, columns.category, strict=True)}
    assert {kinds[s] for s in again.uses.storage.tolist()} == {"weight"}
    assert again.uses.first.tolist() == [True, True]


def test_a_log_without_events_has_no_floor_and_no_holders() -> None:
    assert streaming_floor(EventLog([])).bytes == 0
    assert holders(EventLog([])) == ()


# --- holders ---


def test_holders_by_hand() -> None:
    found = {each.module: each for each in holders(two_stages())}
    assert set(found) == {"net.first", "net.second", OUTSIDE}
    assert (found["net.first"].weights, found["net.first"].other) == (256 * KIB, 256 * KIB)
    assert (found["net.second"].weights, found["net.second"].other) == (256 * KIB, 16 * KIB)
    assert found["net.second"].while_running == (2 * 256 + 16 + 256 + 16) * KIB
    (whole,) = (each for each in holders(two_stages(), depth=1) if each.module == "net")
    assert whole.weights == 512 * KIB
    assert whole.other == (256 + 16) * KIB


def test_weights_that_wait_are_told_from_those_that_are_read() -> None:
    found = {each.stage: (each.on_card, each.read) for each in weights_read(two_stages())}
    assert found == {"semantic": (512 * KIB, 256 * KIB), "acoustic": (512 * KIB, 256 * KIB), "vocoder": (512 * KIB, 0)}


def test_a_weight_that_comes_twice_is_read_once_a_pass() -> None:
    with torch.device("meta"):
        layer = nn.Linear(64, 64, bias=False)
    with Tracer() as tracer:
        tracer.host(layer)
        for _ in range(2):
            with tracer.stage("vocoder"):
                copy = nn.Linear(64, 64, bias=False, device="meta").to("cuda")
                tracer.place(copy, "copy")
                copy(meta(1, 64))
                del copy
    (found,) = weights_read(tracer.log)
    assert (found.on_card, found.read) == (16 * KIB, 16 * KIB)


# --- the estimate of time ---


def work(**changes: Any) -> Work:
    return Work(
        **(
            {"stage": "s", "operator": "aten.mm.default", "dtype": "float16", "flops": 0, "bytes": 0, "count": 1}
            | changes
        )
    )


def test_a_kernel_is_bound_by_its_slowest_part() -> None:
    card = find_card("rtx3070")
    products = estimate([work(flops=10**12)], card)
    assert products.bound_by == {"compute": pytest.approx(1e12 / card.rate("fp16") / ATTAINED["compute"])}
    assert products.floor == pytest.approx(1e12 / card.rate("fp16"))
    assert estimate([work(bytes=10**9)], card).floor == pytest.approx(1e9 / card.memory_bandwidth)
    assert estimate([work(count=100)], card).seconds == pytest.approx(100 * LAUNCH_SECONDS)
    copied = estimate([work(operator=TO_CARD, bytes=10**9)], card)
    assert copied.bound_by == {"transfer": pytest.approx(1e9 / card.pcie_bandwidth / ATTAINED["transfer"])}


def test_tensor_cores_serve_products_and_by_default_only_convolutions_of_fp32() -> None:
    card = find_card("a100-80gb")
    flops = 10**12

    def seconds(operator: str, dtype: str) -> float:
        return estimate([work(operator=operator, dtype=dtype, flops=flops)], card).floor

    assert seconds("aten.mm.default", "float16") == pytest.approx(flops / card.rate("fp16"))
    assert seconds("aten.mm.default", "float32") == pytest.approx(flops / card.rate("fp32"))
    assert seconds("aten.convolution.default", "float32") == pytest.approx(flops / card.rate("tf32"))
    assert seconds("aten.gelu.default", "float16") == pytest.approx(flops / card.rate("fp32"))
    attention = "aten._scaled_dot_product_flash_attention.default"
    assert seconds(attention, "float16") == pytest.approx(flops / card.rate("fp16"))


def test_stages_add_up_and_a_slower_card_takes_longer() -> None:
    log = two_stages()
    fast, slow = find_card("h100"), find_card("t4")
    stages = estimate_stages(log.work, slow)
    assert sum(each.seconds for each in stages.values()) == pytest.approx(estimate(log.work, slow).seconds)
    assert estimate(log.work, slow).floor > estimate(log.work, fast).floor
    assert estimate(log.work, slow).floor < estimate(log.work, slow).seconds


def test_copies_between_computer_and_card_are_told_from_kernels() -> None:
    log = trace(lambda: (torch.zeros(256).to("cuda") * 2).cpu())
    assert [(w.operator, w.bytes) for w in log.work if w.operator.startswith("copy.")] == [
        ("copy.to_card", 1024), ("copy.to_host", 1024),
    ]  # fmt: skip


# --- the report ---


def test_the_report_by_hand() -> None:
    report = MemoryReport.of(two_stages(), "rtx3070")
    blocks = (2 * 256 + 16 + 256 + 16) * KIB + report.workspace  # all are multiples of 512 bytes
    assert report.peak_requested == blocks
    assert report.peak_allocated == blocks
    assert report.alive.by_category == {"weight": 512 * KIB, "activation": 288 * KIB, "workspace": report.workspace}
    by_name = {stage.name: stage for stage in report.stages}
    assert list(by_name) == ["semantic", "acoustic", "vocoder"]
    for stage in report.stages:
        assert sum(stage.by_category.values()) == stage.peak_allocated
        assert stage.floor is not None
        assert stage.floor < stage.peak_allocated <= stage.peak_reserved
    assert by_name["acoustic"].peak_allocated == report.peak_allocated
    assert report.margin == report.card.total_bytes - report.context - report.peak_reserved
    assert report.verdict == "fits"


def test_each_point_of_the_time_line_is_the_sum_of_its_categories() -> None:
    report = MemoryReport.of(two_stages(), "rtx3070")
    assert max(point.allocated for point in report.timeline) == report.peak_allocated
    assert all(sum(point.by_category.values()) == point.allocated for point in report.timeline)


def test_a_stage_in_which_nothing_happens_holds_what_was_held() -> None:
    with Tracer() as tracer:
        kept = meta(256)
        tracer.place(kept)
        with tracer.stage("speaker"):
            pass
        with tracer.stage("semantic"):
            made = kept + 1
        with tracer.stage("vocoder"):
            made.mul_(2)
    speaker, semantic, vocoder = MemoryReport.of(tracer.log, "8gb").stages
    assert (speaker.name, speaker.peak_allocated, speaker.floor) == ("speaker", 1024, None)
    assert semantic.peak_allocated == 2048
    assert (vocoder.peak_allocated, vocoder.by_category) == (2048, {"activation": 2048})


def test_without_stages_the_whole_run_is_one() -> None:
    (whole,) = MemoryReport.of(trace(lambda x: x + 1, meta(256)), "8gb").stages
    assert (whole.name, whole.peak_allocated) == ("whole run", 2048)


def test_where_memory_runs_out_the_report_says_what_would_be_needed_and_what_pytorch_would_say() -> None:
    log = trace(lambda x: list(map(x.add, range(5))), meta(2**26))  # 256 MiB each
    report = MemoryReport.of(log, "1GiB")
    assert report.verdict == "out_of_memory"
    assert report.peak_allocated == 6 * 2**28
    assert report.margin < 0
    assert report.sentence.startswith("CUDA out of memory. Tried to allocate 256.00 MiB.")
    assert report.failure is not None
    assert report.failure.operator == "aten.add.Tensor"
    assert report.failure.bytes == 2**28


def test_tight_says_which_of_its_two_reasons_holds() -> None:
    log = trace(lambda x: x + 1, meta(2**26))
    roomy = MemoryReport.of(log, "8gb")
    close = find_card(f"{(roomy.context + roomy.peak_reserved) / 2**20 + 10}mib")
    tight = MemoryReport.of(log, close)
    assert tight.verdict == "tight"
    assert "only 10.00 MiB are left" in tight.sentence


def test_json_has_what_programs_ask_for() -> None:
    plain = json.loads(MemoryReport.of(two_stages(), "rtx3070").to_json())
    asked = {
        "system", "card", "recipe", "verdict", "peak_allocated_bytes", "peak_reserved_bytes", "streaming_floor_bytes",
        "trace_seconds", "replay_seconds", "operators", "stages",
    }  # fmt: skip
    assert asked <= set(plain)
    assert {"peak_allocated_bytes", "seconds_estimated"} <= set(plain["stages"]["semantic"])
    assert plain["operators"] > 2


def test_tables_of_pandas() -> None:
    pytest.importorskip("pandas")
    report = MemoryReport.of(two_stages(), "rtx3070")
    assert list(report.to_pandas()["stage"]) == ["semantic", "acoustic", "vocoder"]
    assert report.to_pandas("alive")["MiB"].sum() == pytest.approx(report.peak_allocated / 2**20)
    assert report.to_pandas("timeline")["allocated"].max() == pytest.approx(report.peak_allocated / 2**20)
    assert set(report.to_pandas("modules")["module"]) == {"net.first", "net.second", OUTSIDE}
    with pytest.raises(LabError, match="no table 'stage'; its tables are stages, modules, alive, timeline"):
        report.to_pandas("stage")


def test_a_notebook_shows_the_verdict_and_no_times_of_this_machine() -> None:
    first, second = (MemoryReport.of(two_stages(), "rtx3070") for _ in range(2))
    page = first._repr_html_()
    assert "fits" in page
    assert "NVIDIA GeForce RTX 3070" in page
    assert page == second._repr_html_()
    assert repr(first) == repr(second)


def test_names_from_outside_are_escaped() -> None:
    log = two_stages()
    log.meta["system"] = "<script>alert(1)</script>"
    assert "<script>" not in MemoryReport.of(log, "8gb")._repr_html_()


# --- the meter of a card, on a simulated one ---


class Card:
    """torch.cuda as far as the meter asks it, with our own allocator behind it."""

    def __init__(self, allocator: Allocator) -> None:
        self.allocator = allocator
        self.peak_at_start: list[int] = []

    def functions(self) -> dict[str, Any]:
        def restart(_: int) -> None:
            self.allocator.reset_peaks()

        return {
            "is_available": lambda: True, "device_count": lambda: 1, "init": lambda: None, "empty_cache": lambda: None,
            "synchronize": lambda _: None, "reset_peak_memory_stats": restart,
            "memory_stats": lambda _: self.allocator.statistics().as_torch(),
            "memory_reserved": lambda _: self.allocator.device.reserved,
            "mem_get_info": lambda _: (self.allocator.device.free, self.allocator.device.total),
            "get_device_properties": lambda _: SimpleNamespace(
                name="NVIDIA GeForce RTX 3070", total_memory=8_000_000_000, major=8, minor=6
            ),
        }  # fmt: skip


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    known = find_card("rtx3070")
    made = Card(Allocator(known.total_bytes, known.context_bytes))
    for name, function in made.functions().items():
        monkeypatch.setattr(cuda.torch.cuda, name, function)
    return made


@contextmanager
def following(meter: CudaMeter, log: EventLog, allocator: Allocator) -> Any:
    """Run a log's events on the card under the meter, with its stages."""
    held: dict[int, Any] = {}
    with meter:
        begins = {m.position: m.stage for m in log.markers if m.begins}
        ends = {m.position for m in log.markers if not m.begins}
        stage: Any = None
        for position, event in enumerate([*log, None]):
            if stage and position in ends:
                stage.__exit__(None, None, None)
                stage = None
            if position in begins:
                stage = meter.stage(begins[position])
                stage.__enter__()
            if event is not None and event.bytes > 0:
                held[event.storage] = allocator.malloc(event.bytes)
            elif event is not None:
                allocator.free(held.pop(event.storage))
        if stage:
            stage.__exit__(None, None, None)
    yield


def test_what_the_meter_measures_is_what_a_replay_predicts(card: Card) -> None:
    log = two_stages()
    meter = CudaMeter()
    with following(meter, log, card.allocator):
        pass
    measured, predicted = meter.report(), MemoryReport.of(log, "rtx3070")
    workspace = predicted.workspace  # cuBLAS is not simulated here
    assert measured.source == "measured"
    assert measured.peak_allocated == predicted.peak_allocated - workspace
    assert {s.name: s.peak_allocated for s in measured.stages} == {
        s.name: s.peak_allocated - workspace for s in predicted.stages
    }
    assert measured.context == find_card("rtx3070").context_bytes
    plain = json.loads(measured.to_json())
    assert "seconds_measured" in plain["stages"]["semantic"]
    assert 'class="measured"' in measured._repr_html_()


def test_the_measured_card_is_the_one_that_is_there(card: Card) -> None:
    found = measured_card()
    assert (found.key, found.total_bytes) == ("rtx3070", 8_000_000_000)
    assert found.memory_bandwidth == find_card("rtx3070").memory_bandwidth


def test_without_a_card_nothing_can_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda.torch.cuda, "is_available", lambda: False)
    with pytest.raises(LabError, match=r"PyTorch sees no CUDA card 0 here.*predict with a trace"):
        CudaMeter()


def test_a_snapshot_needs_a_history(card: Card, tmp_path: Any) -> None:
    with pytest.raises(LabError, match="history=True"):
        CudaMeter().snapshot(tmp_path / "a.pickle")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_real_card_a_prediction_holds(tmp_path: Any) -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(1024, 4096), nn.GELU(), nn.Linear(4096, 1024)).eval()

    model, x = build().cuda(), torch.zeros(512, 1024, device="cuda")
    meter = CudaMeter(history=True)
    with torch.inference_mode(), meter, meter.stage("all"):
        model(x)
    with torch.device("meta"):
        log = trace(build(), meta(512, 1024))
    predicted, measured = MemoryReport.of(log, measured_card()), meter.report()
    assert measured.peak_allocated == pytest.approx(predicted.peak_allocated, rel=0.01)
    assert meter.snapshot(tmp_path / "a.pickle").stat().st_size > 1000
