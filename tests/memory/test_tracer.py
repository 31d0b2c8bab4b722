"""The tracer: what it logs by hand, that meta and CPU agree event for event, and what it refuses."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import INDEXTTS2, MIB, assert_same, decoding, dit_inputs, on_both
from torch import Tensor, nn

from tts_lab.errors import LabError
from tts_lab.memory.events import Event, EventLog
from tts_lab.memory.shapes import Shapes
from tts_lab.memory.tracer import CpuMeter, MetaMeter, TraceError, Tracer, trace
from tts_lab.nn.attention import attend
from tts_lab.nn.dit import DiT, DiTSizes
from tts_lab.nn.hifigan import HiFiGAN
from tts_lab.nn.transformer import Decoder
from tts_lab.pipeline import _stage

META = torch.device("meta")


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=META)


# By hand


def test_a_log_by_hand() -> None:
    def run(x: Tensor, w: Tensor) -> Tensor:
        y = x @ w  # 8 x 16 floats
        z = (y + 1)[:, :3]  # as large; the view is no memory of its own
        del y
        z *= 2  # in place: nothing
        return z.relu()  # 8 x 3

    def event(storage: int, size: int, operator: str) -> Event:
        return Event(storage, size, operator, "", "", "activation")

    log = trace(run, meta(8, 4), meta(4, 16))
    assert list(log)[:7] == [
        event(0, 128, ""), event(1, 256, ""),
        event(2, 512, "aten.mm.default"), event(3, 512, "aten.add.Tensor"), event(2, -512, "aten.mm.default"),
        event(4, 96, "aten.relu.default"), event(3, -512, "aten.add.Tensor"),
    ]  # fmt: skip
    assert log.peak_bytes() == 128 + 256 + 1024


def test_weights_modules_stages_and_markers() -> None:
    with META:
        net = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(8))).eval()
    x = meta(2, 4)
    with Tracer() as tracer:
        tracer.place(net, "net")
        with tracer.stage("acoustic"):
            y = net(x)
        with tracer.stage("vocoder"):
            y = y + 1
    log = tracer.log
    weights = [(e.module, e.bytes) for e in log if e.category == "weight"]
    assert weights == [("net.0", 128), ("net.0", 32), *[("net.1.1", 32)] * 4, ("net.1.1", 8)]
    made = [(e.operator, e.module, e.stage) for e in log if e.category == "activation" and e.bytes > 0 and e.operator]
    assert made[0] == ("aten.addmm.default", "net.0", "acoustic")
    assert made[1] == ("aten.relu.default", "net.1.0", "acoustic")
    assert made[-1] == ("aten.add.Tensor", "", "vocoder")
    assert [(m.stage, m.begins) for m in log.markers] == [
        ("acoustic", True), ("acoustic", False), ("vocoder", True), ("vocoder", False),
    ]  # fmt: skip
    events = list(log)
    assert {e.stage for e in events[log.markers[2].position : log.markers[3].position]} == {"vocoder"}
    assert set(tracer.stages) == {"acoustic", "vocoder"}


def test_weights_of_a_closure_are_found_where_they_are_used() -> None:
    with META:
        net = nn.Linear(4, 8)
    raw = nn.Parameter(meta(8, 2))
    log = trace(lambda x: net(x) @ raw, meta(3, 4))
    sizes = [(e.bytes, e.category) for e in log]
    assert sizes[:4] == [(48, "activation"), (128, "weight"), (32, "weight"), (64, "weight")]


def test_cyclic_garbage_is_freed_at_the_border_of_a_stage_and_not_before() -> None:
    with Tracer() as tracer:
        with tracer.stage("a"):
            loop: list[Any] = [torch.zeros(256, device="meta")]
            loop.append(loop)
            del loop
            for _ in range(3000):  # enough new objects for a collection, were it on
                [object()]
            torch.zeros(8, device="meta")
        torch.zeros(16, device="meta")
    sizes = [e.bytes for e in tracer.log]
    assert sizes == [1024, 32, -32, -1024, 64, -64]
    assert gc.isenabled()


def test_what_is_on_the_host_is_not_logged_until_it_moves() -> None:
    def run(device: str) -> Tensor:
        noise = torch.randn(100, generator=torch.Generator().manual_seed(0))
        there = noise.to(device)
        codes = torch.tensor([[1, 2, 3]], device=device)
        back = (there * 2).cpu() + 1
        return back.to(device) + codes.sum()

    logs = [trace(run, device, device=device) for device in ("meta", "cpu")]
    assert [(e.bytes, e.operator) for e in logs[0] if e.bytes > 0] == [
        (400, "aten._to_copy.default"), (24, "aten.lift_fresh.default"), (400, "aten.mul.Tensor"),
        (400, "aten._to_copy.default"), (8, "aten.sum.default"), (400, "aten.add.Tensor"),
    ]  # fmt: skip
    assert logs[0] == logs[1]


def test_a_module_that_turns_out_to_wait_on_the_host_leaves_the_card() -> None:
    with Tracer() as tracer:
        with META:
            net = nn.Linear(4, 8)
        tracer.host(net)
        net.to("cuda")
    assert [e.bytes for e in tracer.log][-4:] == [-128, -32, 128, 32]
    assert tracer.log.live_bytes()[-1] == 160


def test_code_that_asks_for_cuda_gets_the_card() -> None:
    log = trace(lambda: torch.zeros(64, device="cuda") + torch.ones(64).cuda() + torch.ones(64).to("cuda:0"))
    assert [e.bytes for e in log if e.bytes > 0] == [256] * 5


def test_a_kernel_copies_an_input_that_is_not_dense() -> None:
    with META:
        conv = nn.Conv1d(4, 8, 1, bias=False)
    dense, turned = (trace(conv, x) for x in (meta(1, 4, 10), meta(1, 10, 4).transpose(1, 2)))
    assert dense.bytes_of("workspace") == 0
    assert [(e.bytes, e.category) for e in turned][-4:] == [
        (160, "workspace"), (320, "activation"), (-160, "workspace"), (-320, "activation"),
    ]  # fmt: skip


def test_autograd_left_on_keeps_activations() -> None:
    with META:
        net = nn.Sequential(*(nn.Linear(64, 64) for _ in range(8)))
    peaks = []
    for grad in (False, True):
        with Tracer(grad=grad) as tracer:
            tracer.place(net)
            net(meta(1000, 64))
        peaks.append(tracer.log.peak_bytes() - tracer.log.bytes_of("weight"))
    assert peaks == [3 * 256_000, 9 * 256_000]


def test_work_counts_operations_and_bytes_by_hand() -> None:
    log = trace(lambda a, b: torch.bmm(a, b).relu()[0], meta(2, 8, 4), meta(2, 4, 16))
    assert [(w.operator, w.flops, w.bytes, w.count) for w in log.work] == [
        ("aten.bmm.default", 2 * 2 * 8 * 4 * 16, 4 * (64 + 128 + 256), 1), ("aten.relu.default", 256, 4 * 512, 1),
    ]  # fmt: skip
    with META:
        conv, turned = nn.Conv1d(4, 6, 3), nn.ConvTranspose1d(4, 6, 3, stride=2)
    assert trace(conv, meta(1, 4, 10)).work[0].flops == 2 * (6 * 8) * (4 * 3)
    assert trace(turned, meta(1, 4, 10)).work[0].flops == 2 * (4 * 10) * (6 * 3)


# The oracle: a trace that computes nothing equals a trace of a real run


def test_dit_of_13_layers_on_meta_equals_the_cpu() -> None:
    log = on_both(lambda: (DiT(INDEXTTS2), *dit_inputs(INDEXTTS2, 12, 2)))
    assert log.bytes_of("weight") == 93_922_384 * 4 + 2 * 128 * 4  # and the frequencies of two time embeddings
    assert log.meta["attention"] == {"_scaled_dot_product_efficient_attention": 13}


def test_hifigan_v1_on_meta_equals_the_cpu() -> None:
    on_both(lambda: (HiFiGAN(), torch.zeros(1, 80, 8)))


@pytest.mark.parametrize("kind", ["growing", "static"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_gpt_with_a_cache_on_meta_equals_the_cpu(kind: str, dtype: torch.dtype) -> None:
    def build() -> tuple[Any, ...]:
        return decoding(Decoder(64, 4, 3, 128).to(dtype), kind, 5), torch.zeros(1, 12, 64, dtype=dtype)

    log = on_both(build)
    assert log.bytes_of("weight") == (3 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64) * dtype.itemsize
    if kind == "static":
        assert log.bytes_of("cache") == Decoder(64, 4, 3, 128).cache_bytes(1, 17, dtype)


@pytest.mark.parametrize("capability", [(7, 5), (8, 6), (9, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_every_kernel_on_meta_equals_the_cpu(capability: tuple[int, int], dtype: torch.dtype) -> None:
    sizes = DiTSizes(6, 5, 4, 48, 2, 3, 32)

    def build() -> tuple[Any, ...]:
        masks = torch.ones(2, 12, dtype=torch.bool)
        return DiT(sizes).to(dtype), *dit_inputs(sizes, 12, 2, dtype)[:4], None, masks

    on_both(build, card_capability=capability)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weight_norm_keeps_its_norms_in_float32(dtype: torch.dtype) -> None:
    """One for each of 4 rows, beside a weight of 24 elements."""
    for device in ("meta", "cpu"):
        v, g = (torch.ones(shape, dtype=dtype, device=device) for shape in ((4, 3, 2), (4, 1, 1)))
        log = trace(lambda v, g: torch._weight_norm(v, g, 0), v, g, device=device)
        assert [e.bytes for e in log if e.operator and e.bytes > 0] == [24 * dtype.itemsize, 4 * 4]


def test_inference_mode_changes_nothing() -> None:
    sizes = DiTSizes(6, 5, 4, 16, 2, 3, 32, prompt=True)
    with META:
        model, given = DiT(sizes), dit_inputs(sizes, 12)

    def inside(*args: Tensor) -> Tensor:
        with torch.inference_mode():
            return model(*args)

    def outside(*args: Tensor) -> Tensor:
        return model(*args)

    assert_same(trace(inside, *given), trace(outside, *given))


def test_remembered_shapes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def log() -> EventLog:
        with META:
            model = DiT(INDEXTTS2)
            return trace(model, *dit_inputs(INDEXTTS2, 50))

    remembered = log()
    monkeypatch.setattr(Shapes, "run", lambda self, func, args, kwargs: func(*args, **kwargs))
    assert_same(remembered, log())


def test_what_was_frozen_before_a_trace_is_so_after_it() -> None:
    """Else each trace would look through all that the process holds. What nobody froze is thawed."""
    x, tests_froze = torch.zeros(4, device="meta"), gc.get_freeze_count() > 0
    try:
        gc.unfreeze()
        trace(lambda x: x + 1, x)
        assert gc.get_freeze_count() == 0
        gc.freeze()
        frozen = gc.get_freeze_count()
        trace(lambda x: x + 1, x)
        assert gc.get_freeze_count() > frozen - 1000  # a few have gone
    finally:
        if not tests_froze:
            gc.unfreeze()


def test_the_first_trace_of_a_process_equals_the_second() -> None:
    code = (
        "import torch\nfrom tts_lab.memory.tracer import trace\nfrom tts_lab.nn.hifigan import HiFiGAN\n"
        "with torch.device('meta'): m, x = HiFiGAN(), torch.zeros(1, 80, 20)\n"
        "a, b = trace(m, x), trace(m, x)\nprint(a == b, len(a) > 100)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["True", "True"]


def test_a_trace_on_the_cpu_computes_what_the_run_computes() -> None:
    torch.manual_seed(0)
    q, mask = torch.randn(2, 4, 10, 16), torch.rand(2, 1, 10, 10) > 0.3
    mask[..., 0] = True
    found: list[Tensor] = []
    for args in ((q, q, q), (q, q, q, mask), (q, q, q, None, True)):
        trace(lambda *a: found.append(attend(*a)), *args, device="cpu")
        torch.testing.assert_close(found[-1], attend(*args))


def test_meters_follow_the_spine_through_its_inference_mode() -> None:
    for meter, device in ((MetaMeter(), "meta"), (CpuMeter(), "cpu")):
        with meter, _stage(meter, "semantic"):
            torch.zeros(8, device=device).softmax(0).reshape(2, 4)
        assert {e.stage for e in meter.log} == {"semantic"}
        assert [e.bytes for e in meter.log if e.bytes > 0] == [32, 32]
        assert list(meter.stages) == ["semantic"]


# What cannot be traced, in sentences


def test_values_that_only_data_give_are_named() -> None:
    def sampled(x: Tensor) -> Tensor:
        return x[: int(x.sum())]

    for fn in (sampled, torch.Tensor.tolist, torch.nonzero, lambda x: x.item() if x[0] > 0 else 1):
        with pytest.raises(TraceError, match=r"asks for a value.*give the length explicitly, or trace on the CPU"):
            trace(fn, meta(5))


def test_where_a_value_was_asked_for_is_named() -> None:
    class Sampler(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[: int(x.argmax())]

    with pytest.raises(TraceError, match=r"Tensor\.__int__\(\) in net\.0 \(stage semantic\) asks"), Tracer() as tracer:
        net = nn.Sequential(Sampler())
        tracer.place(net, "net")
        with tracer.stage("semantic"):
            net(meta(5))


def test_an_operator_without_a_meta_kernel_is_named() -> None:
    with torch.library._scoped_library("tts_lab_test", "DEF") as library:
        library.define("blur(Tensor x) -> Tensor")
        library.impl("blur", lambda x: x.clone(), "CPU")
        with pytest.raises(TraceError, match=r"operator tts_lab_test\.blur\.default has no meta kernel.*register_fake"):
            trace(torch.ops.tts_lab_test.blur, meta(3))
        assert len(trace(torch.ops.tts_lab_test.blur, torch.ones(3), device="cpu")) >= 2


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_module_on_the_wrong_device_is_named(device: str) -> None:
    other = {"meta": "cpu", "cpu": "meta"}[device]
    net = nn.Sequential(nn.Linear(4, 4, device=other))
    with pytest.raises(TraceError, match=rf"in Sequential\.0 got a tensor on {other} together with .* on {device}"):
        trace(net, torch.zeros(2, 4, device=device), device=device)


def test_other_devices_and_early_looks_are_refused() -> None:
    with pytest.raises(LabError, match=r"runs on meta or cpu, not on 'cuda'"):
        Tracer("cuda")
    with Tracer() as tracer, pytest.raises(LabError, match="when the trace has ended"):
        _ = tracer.log
    assert len(tracer.log) == 0


def test_an_error_of_the_run_goes_through_and_leaves_nothing_behind() -> None:
    with META:
        net = nn.Linear(4, 4)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="same reduction dim"):
            trace(net, meta(2, 5))
    assert gc.isenabled()
    assert torch.is_grad_enabled()
    assert net(meta(2, 4)).shape == (2, 4)
    assert not nn.modules.module._global_forward_hooks
    assert not F.dropout(torch.ones(3), 0.0).is_meta
    assert trace(net, meta(2, 4)).peak_bytes() < MIB
