"""A plan for a module that is not ours: a handful of levers, each tried by a trace, and what each needs of a card.

Nothing is computed and no weight is read: the module may be on the meta device, or too large for this machine's card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tts_lab.errors import LabError
from tts_lab.levers.copies import copied
from tts_lab.levers.lend import checkpointed, lend
from tts_lab.levers.quantisation import quantised
from tts_lab.levers.residency import PRECISIONS
from tts_lab.memory.attention_route import family
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import Tracer
from tts_lab.memory.twins import twin

if TYPE_CHECKING:
    from pandas import DataFrame

MIB = 2**20
NAME = "model"  # of the module in reports
Run = Callable[..., Any]


@dataclass(frozen=True)
class Way:
    """One way to hold a module: levers as in `levers.lend.lend`. grad: autograd is left on. price: what it costs."""

    name: str
    precision: str = "fp32"
    quantisation: str = "none"
    offload: str = "none"
    checkpointing: bool = False
    grad: bool = False
    price: str = "nothing"


PLAIN = Way("as it is")
WAYS = (
    PLAIN,
    Way("fp16", "fp16", price="rounding"),
    Way("fp16, int8 weights", "fp16", "int8", price="rounding; weights are made whole at each use"),
    Way("layers", offload="layers", price="every weight crosses the bus in each call"),
    Way("fp16, layers", "fp16", offload="layers", price="rounding; every weight crosses the bus in each call"),
    Way("fp16, int8 weights, layers", "fp16", "int8", "layers", price="all of these"),
)
TRAINED = (  # forward passes whose activations wait for a backward pass
    Way("autograd on", grad=True, price="activations are kept"),
    Way("autograd on, checkpointing", checkpointing=True, grad=True, price="each layer is computed twice"),
)


@dataclass(frozen=True)
class Tried:
    """A way, its log, and what it needs."""

    way: Way
    log: EventLog
    report: MemoryReport

    @property
    def seconds(self) -> float:
        """Of one call, with copies beside the computing (estimated)."""
        return self.report.overlapped or 0.0


@dataclass(frozen=True)
class ModulePlan:
    """Every way that was tried on a card, in the order in which they were given."""

    card: Card
    tried: tuple[Tried, ...]

    @property
    def choice(self) -> Tried | None:
        """The fastest that fits; of two as fast, the one that was given first. None: nothing fits."""
        fitting = [each for each in self.tried if each.report.verdict == "fits" and not each.way.grad]
        return min(fitting, key=lambda each: each.seconds, default=None)

    @property
    def sentence(self) -> str:
        """What to take, or what is missing."""
        if self.choice:
            found, report = self.choice, self.choice.report
            return (
                f"Take {found.way.name!r}: {report.peak_reserved / MIB:,.0f} MiB reserved, {found.seconds:.3f} s for a "
                f"call on {self.card.name} (estimated). Price: {found.way.price}."
            )
        least = min(self.tried, key=lambda each: each.report.peak_reserved + each.report.band)
        missing = least.report.band - least.report.margin
        return (
            f"Nothing that was tried fits {self.card.name}. The smallest is {least.way.name!r}; it needs "
            f"{missing / MIB:,.0f} MiB more, with all that may come on top."
        )

    def __getitem__(self, name: str) -> Tried:
        """What was tried by the name of its way. Raises LabError for another name."""
        found = {each.way.name: each for each in self.tried}
        if name not in found:
            raise LabError(f"No way is called {name!r}; there are {', '.join(found)}.")
        return found[name]

    def to_pandas(self) -> DataFrame:
        """One row a way; sizes in MiB, seconds of one call."""
        from pandas import DataFrame

        rows = [
            {
                "way": each.way.name, "verdict": each.report.verdict,
                "allocated (MiB)": each.report.peak_allocated / MIB, "reserved (MiB)": each.report.peak_reserved / MIB,
                "seconds, no overlap": each.report.estimate.seconds if each.report.estimate else None,
                "seconds (estimated)": each.seconds, "price": each.way.price,
            }
            for each in self.tried
        ]  # fmt: skip
        return DataFrame(rows).set_index("way")

    def __repr__(self) -> str:
        return f"ModulePlan({self.sentence})"


def plan_module(
    module: nn.Module, *inputs: Any, card: Card | str = "8gb", ways: Sequence[Way] = WAYS, run: Run | None = None,
) -> ModulePlan:  # fmt: skip
    """What one call of a module needs of a card, in several ways to hold it.

    module, inputs: of any device, also meta; only their sizes are looked at. Inputs with a fraction are taken in the
    way's precision. run: called with the module and the inputs, for anything but a plain call, such as several steps;
    it must ask for no values. Resident weights are on the card before the call; streamed ones cross the bus in it.
    Raises TraceError where the run needs values that a trace does not have, LabError for an unknown card.
    """
    card = find_card(card)
    empty, given = twin(module), twin(list(inputs))
    return ModulePlan(card, tuple(_tried(empty, given, run or _call, card, way) for way in ways))


def held(module: nn.Module, way: Way, device: torch.device | str) -> Any:
    """The module held in a way on a device, as a context: what a plan proposed, for a run with real weights."""
    levers = {name: getattr(way, name) for name in ("precision", "quantisation", "offload", "checkpointing")}
    return lend(module, device, **levers)


def cast(value: Any, precision: str) -> Any:
    """Tensors with a fraction in a precision; everything else as it is."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(PRECISIONS[precision])
    return value


def _call(module: nn.Module, *inputs: Any) -> Any:
    return module(*inputs)


def _tried(module: nn.Module, inputs: list[Any], run: Run, card: Card, way: Way) -> Tried:
    about = {"system": NAME, "recipe_name": way.name}
    tracer = Tracer("meta", family(card.compute_capability), grad=way.grad, meta=about)
    given = [cast(each, way.precision) for each in inputs]
    resident = way.offload == "none"
    held_here = _resident(module, way) if resident else module
    with tracer:
        for each in given:
            if isinstance(each, Tensor):
                tracer.place(each)
        (_whole if resident else _streamed)(tracer, held_here, way, partial(_kept, run, given))
    return Tried(way, tracer.log, MemoryReport.of(tracer.log, card, depth=3))


def _resident(module: nn.Module, way: Way) -> nn.Module:
    source = module if way.quantisation == "none" else quantised(module, way.quantisation)
    return copied(source, None, PRECISIONS[way.precision])


def _whole(tracer: Tracer, module: nn.Module, way: Way, call: Run) -> None:
    tracer.place(module, NAME)
    if way.checkpointing:
        with checkpointed(module):
            call(module)
    else:
        call(module)


def _streamed(tracer: Tracer, module: nn.Module, way: Way, call: Run) -> None:
    tracer.host(module)
    levers = {"precision": way.precision, "quantisation": way.quantisation, "offload": way.offload}

    def place(original: nn.Module, part: nn.Module, path: str) -> None:
        tracer.place(part, f"{NAME}.{path}".strip("."))

    with lend(module, "meta", on_copy=place, **levers) as lent:
        call(lent)


def _kept(run: Run, inputs: list[Any], module: nn.Module) -> Any:
    """One call; its result lives until it is over, as that of a program does."""
    return run(module, *inputs)
