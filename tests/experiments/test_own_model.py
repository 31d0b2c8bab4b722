"""A plan for a module that is not ours: its figures are a trace's, and what it proposes gives the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tts_lab import find_card, lend, plan_module
from tts_lab.errors import LabError, RecipeError
from tts_lab.experiments.own_model import PLAIN, TRAINED, WAYS, ModulePlan, cast, held
from tts_lab.memory.flow import AHEAD
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import TraceError, trace

WIDTH, DEPTH = 192, 8
TOLERANCE = {"fp32": 0.0, "fp16": 5e-3, "int8": 6e-2}  # relative, of the norm
RESIDENT = [way for way in WAYS if way.offload == "none"]


def encoder() -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True)
    return nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def x() -> Tensor:
    return torch.randn(2, 50, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def plan(x: Tensor) -> ModulePlan:
    return plan_module(encoder().requires_grad_(True), x, card="8gb", ways=WAYS + TRAINED)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_what_is_proposed_gives_the_numbers_of_the_plain_module(way, x: Tensor) -> None:  # type: ignore[no-untyped-def]
    module = encoder()
    before = {name: t.clone() for name, t in module.state_dict().items()}
    with torch.inference_mode():
        expected = module(x)
        with held(module, way, "cpu") as lent:
            found = lent(cast(x, way.precision)).float()
    kind = "int8" if way.quantisation == "int8" else way.precision
    error = float((found - expected).norm() / expected.norm())
    assert error <= TOLERANCE[kind]
    assert kind == "fp32" or error > 1e-5  # the lever did something
    assert all(torch.equal(before[name], t) for name, t in module.state_dict().items())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_checkpointing_changes_no_number_and_no_gradient(x: Tensor) -> None:
    module = encoder().requires_grad_(True)
    module(x).square().mean().backward()
    expected = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    with lend(module, "cpu", checkpointing=True) as lent:
        out = lent(x)
        out.square().mean().backward()
        found = {name: p.grad for name, p in lent.named_parameters() if p.grad is not None}
        assert torch.equal(out, module(x))
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], expected[name], rtol=1e-4, atol=1e-9) for name in expected)
    assert not any("forward" in vars(part) for part in module.modules())


def test_the_plain_way_is_the_trace_of_a_call(plan: ModulePlan, x: Tensor) -> None:
    with torch.device("meta"):
        module, given = encoder().requires_grad_(True), torch.zeros(*x.shape)
    card = find_card("8gb")
    report = MemoryReport.of(trace(module, given, card_capability=card.compute_capability), card)
    own = plan[PLAIN.name].report
    assert (own.peak_allocated, own.peak_reserved) == (report.peak_allocated, report.peak_reserved)
    assert own.estimate == report.estimate


def test_each_lever_does_what_it_says(plan: ModulePlan) -> None:
    def weights(name: str) -> int:
        return plan[name].report.alive.by_category["weight"]

    size = {each.way.name: each.report.peak_allocated for each in plan.tried}
    assert weights("fp16") == pytest.approx(weights("as it is") / 2, rel=1e-2)
    assert weights("fp16, int8 weights") < 0.75 * weights("fp16")
    assert weights("layers") < 0.4 * weights("as it is")  # two layers of eight, and the allocator's rounding
    assert size["autograd on, checkpointing"] < size["autograd on"]
    assert size["as it is"] < size["autograd on, checkpointing"]
    for each in plan.tried:
        ahead = AHEAD in each.log.flow.kind.tolist()
        assert ahead == (each.way.offload == "layers")
        assert (each.report.overlapped < each.report.estimate.seconds) == ahead  # type: ignore[operator,union-attr]


def test_the_choice_is_the_fastest_that_fits(x: Tensor) -> None:
    module = encoder()
    roomy = plan_module(module, x, card="8gb")
    assert roomy.choice is not None
    assert roomy.choice.seconds == min(each.seconds for each in roomy.tried)
    assert roomy.choice.way.name in roomy.sentence
    most = roomy[PLAIN.name].report
    tight = replace(roomy.card, total_bytes=most.context + most.band + most.peak_reserved - 2**20)
    small = plan_module(module, x, card=tight)
    assert small[PLAIN.name].report.verdict != "fits"
    assert small.choice is not None
    assert small.choice.report.verdict == "fits"
    nothing = plan_module(module, x, card="300mb", ways=RESIDENT)
    assert nothing.choice is None
    assert "Nothing that was tried fits" in nothing.sentence
    assert "MiB more" in nothing.sentence


def test_the_table_has_a_row_for_each_way(plan: ModulePlan) -> None:
    table = plan.to_pandas()
    assert list(table.index) == [way.name for way in WAYS + TRAINED]
    assert table.loc["fp16", "allocated (MiB)"] == plan["fp16"].report.peak_allocated / 2**20
    with pytest.raises(LabError, match="No way is called 'fp8'"):
        plan["fp8"]


def test_any_run_can_be_asked_for(x: Tensor) -> None:
    module = encoder()
    once, twice = (plan_module(module, x, card="8gb", ways=[PLAIN], run=run) for run in (None, lambda m, y: m(m(y))))
    assert twice.tried[0].seconds == pytest.approx(2 * once.tried[0].seconds)
    with pytest.raises(TraceError, match="asks for a value"):
        plan_module(module, x, run=lambda m, y: m(y).sum().item())


@pytest.mark.parametrize(
    ("levers", "words"),
    [
        ({"precision": "fp64"}, "precision must be one of fp32, fp16, bf16"),
        ({"offload": "stage"}, "offload must be one of none, layers, disk"),
        ({"quantisation": "int4"}, "quantisation must be one of none, int8, fp8"),
        ({"offload": "layers", "checkpointing": True}, "take offload none"),
    ],
)
def test_what_cannot_be_is_said(levers: dict[str, object], words: str) -> None:
    with pytest.raises(RecipeError, match=words), lend(encoder(), "cpu", **levers):  # type: ignore[arg-type]
        pass
