"""A trace that remembers calls is the trace that does not, event for event; what cannot be remembered is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from networks import INDEXTTS2, assert_same, decoding, dit_inputs
from torch import Tensor, nn

from tts_lab.memory.calls import Memory
from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.dit import DiT
from tts_lab.nn.transformer import Decoder
from tts_lab.recipe import Recipe
from tts_lab.systems import STUDIES, run_lengths

RECIPES = {
    "mini": ("default", "smallest"), "indextts2": ("fits-4gb", "smallest"), "sambert": ("default", "fits-2gb"),
    **dict.fromkeys(STUDIES, ("as-released",)),
}  # fmt: skip


def assert_equal(a: EventLog, b: EventLog) -> None:
    """All that a log holds, not the events alone. Sums of halves may be taken in another order."""
    assert_same(a, b)
    assert (a.markers, a.repeats, a.flushes) == (b.markers, b.repeats, b.flushes)
    assert sorted(map(repr, a.work)) == sorted(map(repr, b.work))
    for name in ("position", "storage", "first"):
        assert np.array_equal(getattr(a.uses, name), getattr(b.uses, name)), name
    for name in ("operators", "launches", "attention"):
        assert a.meta[name] == b.meta[name], name


@pytest.mark.parametrize("system", RECIPES)
def test_whole_requests_of_every_system_and_kind_of_recipe(system: str) -> None:
    memory = Memory()
    for name in RECIPES[system]:
        plain, first, again = Tracer(), Tracer(memory=memory), Tracer(memory=memory)
        for tracer in (plain, first, again):
            run_lengths(system, Recipe.named(name), 2.0, 3.0, tracer)
        assert_equal(first.log, plain.log)
        assert_equal(again.log, plain.log)
    assert sum(record is not None for record in memory.records.values()) > 10


class Counted(nn.Module):
    """Eight operators on its input; counts how often it really ran."""

    ran: ClassVar[Counter[str]] = Counter()

    def __init__(self, name: str = "", width: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))
        self.label = name

    def forward(self, x: Tensor) -> Any:
        Counted.ran[type(self).__name__] += 1
        for _ in range(4):
            x = torch.relu(x @ self.weight)
        return x


class Keeps(Counted):
    """Leaves a tensor behind."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = super().forward(x)
        return x + 1


class Changes(Counted):
    """Is another one after each call."""

    def forward(self, x: Tensor) -> Tensor:
        self.label += "."
        return super().forward(x)  # type: ignore[no-any-return]


class Scratch(Counted):
    """Holds a tensor that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scratch = torch.zeros(3)


class Several(Counted):
    """Gives two views of one storage, and its input again."""

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor, None]:
        y = super().forward(x)
        return y[:2], [y[2:]], x.T, None


class Forgets(Counted):
    """Frees its buffer, which was there before the call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("once", torch.zeros(64))

    def forward(self, x: Tensor) -> Tensor:
        self.once = None
        return super().forward(x)  # type: ignore[no-any-return]


def ran(build: Callable[[], list[nn.Module]], *widths: int) -> int:
    """How often modules ran when they are called one after the other, twice each; the log must be the plain one."""
    logs, counts = [], []
    for memory in (None, Memory()):
        Counted.ran.clear()
        with torch.device("meta"):
            modules = nn.ModuleList(build())
        tracer = Tracer(memory=memory)
        with tracer:
            tracer.place(modules, "all")
            for module in (*modules, *modules):
                for width in widths or (4,):
                    x = torch.zeros(width, 4, device="meta")
                    y = module(x)
                    del x
                    torch.zeros(5, device="meta")
                    del y
        logs.append(tracer.log)
        counts.append(sum(Counted.ran.values()))
    events = [[(e.bytes, e.operator, e.module, e.category) for e in log] for log in logs]
    assert events[0] == events[1]
    assert logs[0].meta["operators"] == logs[1].meta["operators"]
    return counts[1]


def test_modules_that_are_built_alike_run_once_for_each_size_of_input() -> None:
    assert ran(lambda: [Counted() for _ in range(5)]) == 1
    assert ran(lambda: [Counted() for _ in range(5)], 4, 6) == 2
    assert ran(lambda: [Counted("a"), Counted("b")]) == 2


def test_results_that_share_memory_are_made_again_as_they_were() -> None:
    assert ran(lambda: [Several(), Several()]) == 1


@pytest.mark.parametrize("kind", [Keeps, Changes, Scratch])
def test_what_is_not_told_by_sizes_is_run_each_time(kind: type[Counted]) -> None:
    assert ran(lambda: [kind(), kind()]) == 4


def test_a_call_that_frees_what_was_there_before_it_is_run() -> None:
    assert ran(lambda: [Forgets(), Forgets()]) >= 3


def test_a_module_with_a_hook_is_run() -> None:
    def hooked() -> list[nn.Module]:
        made: list[nn.Module] = [Counted(), Counted()]
        for module in made:
            module.register_forward_hook(lambda *_: None)
        return made

    assert ran(hooked) == 4


def test_with_autograd_every_call_is_run() -> None:
    memory = Memory()
    Counted.ran.clear()
    for _ in range(2):
        with torch.device("meta"):
            module, x = Counted(), torch.zeros(4, 4)
        with Tracer(memory=memory, grad=True) as tracer:
            tracer.place(module, "it")
            module(x)
            module(x)
    assert sum(Counted.ran.values()) == 4


def test_an_input_in_the_computers_memory_is_no_input_on_the_card() -> None:
    Counted.ran.clear()
    with torch.device("meta"):
        module = Counted()
    with Tracer(memory=Memory()) as tracer:
        tracer.place(module, "it")
        on_card = torch.zeros(4, 4, device="meta")
        module(on_card)
        module(on_card)
        with pytest.raises(Exception, match="card|device"):
            module(torch.zeros(4, 4))
    assert sum(Counted.ran.values()) == 2


def test_another_cards_attention_kernels_are_not_taken_over() -> None:
    memory, logs = Memory(), []
    for capability in ((8, 6), (7, 5)):
        for kept in (memory, None):
            with torch.device("meta"):
                dit, inputs = DiT(INDEXTTS2).half(), dit_inputs(INDEXTTS2, 100, dtype=torch.float16)
            tracer = Tracer("meta", capability, memory=kept)
            with tracer:
                tracer.place(dit, "dit")
                dit(*inputs)
            logs.append(tracer.log)
    assert_equal(logs[0], logs[1])
    assert_equal(logs[2], logs[3])


@pytest.mark.parametrize("kind", ["static", "growing"])
def test_layers_that_write_into_a_cache_are_run(kind: str) -> None:
    logs = []
    for memory in (None, Memory()):
        with torch.device("meta"):
            model, x = Decoder(64, 4, 3, 256), torch.zeros(1, 5, 64)
        tracer = Tracer(memory=memory)
        with tracer:
            tracer.place(model, "model")
            decoding(model, kind, 6)(x)
        logs.append(tracer.log)
    assert_equal(logs[1], logs[0])
    assert any(event.category == "cache" for event in logs[1])


def test_nn_module_is_as_it_was_afterwards() -> None:
    before = nn.Module.__call__
    with pytest.raises(ZeroDivisionError), Tracer(memory=Memory()):
        assert nn.Module.__call__ is not before
        raise ZeroDivisionError
    assert nn.Module.__call__ is before
