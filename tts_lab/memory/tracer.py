"""A run's event log, from a run that computes nothing (meta device) or from a real one on the CPU.

Both are the same code, and give the same events. The device under trace plays a graphics card; the rest of the computer
is the host, whose tensors are not logged. On the CPU, where both share one device, a tensor is on the card if it was
made from one that is, or made with a `device` argument, or moved `.to` a device; `.cpu()` leads back to the host.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.errors import LabError
from tts_lab.loops import shortened
from tts_lab.memory import lanes
from tts_lab.memory.attention_route import Capability
from tts_lab.memory.calls import Calls, Memory
from tts_lab.memory.events import EventLog, Marker, Repeat, Work
from tts_lab.memory.flow import Recorder
from tts_lab.memory.flush import told
from tts_lab.memory.functions import Functions
from tts_lab.memory.ledger import Ledger
from tts_lab.memory.meter import DeviceMeter
from tts_lab.memory.modules import ModulePaths, tensors_in
from tts_lab.memory.operators import Operators
from tts_lab.memory.problems import TraceError
from tts_lab.memory.shapes import Shapes
from tts_lab.memory.slices import Slices
from tts_lab.memory.work import Tally

DEVICES = ("meta", "cpu")
AMPERE: Capability = (8, 6)  # of the GeForce 30 series

__all__ = ["CpuMeter", "MetaMeter", "TraceError", "Tracer", "trace"]


class Tracer(DeviceMeter):
    """Watches everything that PyTorch does inside `with`; afterwards `log` is there.

    device: "meta" computes nothing, "cpu" runs for real. card_capability: compute capability of the card to be, which
    decides the attention kernel. grad: leave autograd on, to see what that costs. shorten: leave out passes of loops
    (`tts_lab.loops`) that cannot change the peak. memory: of calls that earlier traces on the meta device saw, so that
    they need not be run again; give the same one to each. meta: what to write into the log's `meta`.
    As a Meter it follows the stages of `tts_lab.pipeline.speak`. Raises LabError for another device.
    """

    def __init__(self, device: str = "meta", card_capability: Capability = AMPERE, *, grad: bool = False,
                 shorten: bool = True, memory: Memory | None = None,
                 meta: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        if device not in DEVICES:
            raise LabError(f"A trace runs on meta or cpu, not on {device!r}: a real card is measured, not traced.")
        self.device, self.capability, self.grad, self.shorten = device, card_capability, grad, shorten
        self.meta = dict(meta or {})
        self.ledger = Ledger()
        self.kernels: Counter[str] = Counter()  # attention kernels by how often they were taken
        self.work: Tally = {}
        self.memory = memory if device == "meta" else None
        self.done: list[tuple[tuple[str, str, int, int], float]] = []  # the same as `work` in order, for `memory`
        self.flow = Recorder()
        self.slices = Slices(self.ledger, self.work, self.flow)
        self.paths = ModulePaths(self.place, self._cached, self._moved)
        self._markers: list[Marker] = []
        self._flushes: list[int] = []
        self._seconds: dict[str, float] = {}
        self._log: EventLog | None = None

    def __enter__(self) -> Tracer:
        with ExitStack() as stack:
            stack.enter_context(_steady_garbage())
            stack.enter_context(torch.set_grad_enabled(self.grad))
            stack.enter_context(self.paths.watching())
            stack.enter_context(told(lambda: self._flushes.append(len(self.ledger))))
            stack.enter_context(lanes.told(lambda what, part: self.flow.heard(what, part, self.ledger.where.stage)))
            if self.shorten:
                stack.enter_context(shortened(self.slices))
            self._operators = Operators(self, self.memory.shapes if self.memory else Shapes())
            if self.memory:
                stack.enter_context(Calls(self, self.memory).watching())
            stack.enter_context(Functions(self))
            stack.enter_context(self._operators)
            self._stack = stack.pop_all()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        seconds = time.perf_counter() - self._start
        self._stack.close()
        self.ledger.closed = True
        self._log = self._finished(seconds)

    @property
    def log(self) -> EventLog:
        """The event log, once the `with` block has ended. Raises LabError before."""
        if self._log is None:
            raise LabError("The event log is there when the trace has ended: read it after the `with` block.")
        return self._log

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Events inside belong to the stage. Cyclic garbage is collected at both borders, and nowhere else."""
        before, start = self.ledger.where.stage, time.perf_counter()
        self._border(name, name, True)
        try:
            yield
        finally:
            self._border(before, name, False)
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    @property
    def stages(self) -> Mapping[str, float]:
        """Seconds that tracing each stage took: on the meta device no measure of the run itself."""
        return dict(self._seconds)

    def place(self, what: nn.Module | Tensor, name: str = "") -> None:
        """Weights that are on the card before the run, or that just came there; a tensor counts as an activation.

        name: path that a module's parts are logged under; nothing: its own, if it has one.
        """
        if isinstance(what, Tensor):
            if self.ledger.row(what) is None:
                self.ledger.before(what, name, "activation")
            return
        if name:
            self.paths.name(what, name)
        for owner in what.modules():
            path = self.paths.paths.get(owner, "")
            for tensor in (*owner._parameters.values(), *owner._buffers.values()):
                if tensor is not None and tensor.device.type == self.device:
                    self._weight(tensor, path)

    def host(self, what: nn.Module) -> None:
        """Weights that wait in the computer's memory: they are not logged until they are moved."""
        for tensor in (*what.parameters(), *what.buffers()):
            self.ledger.host(tensor)

    def did(self, work: Iterable[tuple[tuple[str, str, int, int], float]]) -> None:
        """Launches, by operator, dtype, flops and bytes."""
        stage = self.ledger.where.stage
        for key, count in work:
            at_stage = (stage, *key)
            self.work[at_stage] = self.work.get(at_stage, 0.0) + count
            self.flow.did(at_stage, count)
            if self.memory:
                self.done.append((key, count))

    def _weight(self, tensor: Tensor, path: str) -> None:
        if self.ledger.row(tensor) is None:
            self.ledger.before(tensor, path, "weight")
        else:
            self.ledger.label(tensor, "weight", path)

    def _cached(self, tensor: Tensor) -> None:
        self.ledger.label(tensor, "cache")

    def _moved(self, path: str) -> None:
        self.ledger.where.module = path

    def _border(self, stage: str, name: str, begins: bool) -> None:
        gc.collect()
        self._markers.append(Marker(len(self.ledger), name, begins))
        self.ledger.where.stage = stage

    def _finished(self, seconds: float) -> EventLog:
        ledger, operators = self.ledger, self._operators.count
        about = {
            "torch": torch.__version__, "device": self.device, "card_capability": list(self.capability),
            "operators": operators, "launches": round(sum(self.work.values())), "seconds": round(seconds, 3),
            "attention": dict(self.kernels),
        }  # fmt: skip
        markers = [Marker(ledger.shift(m.position), m.stage, m.begins) for m in self._markers]
        repeats = [Repeat(ledger.shift(r.start), ledger.shift(r.end), r.count) for r in self.slices.repeats]
        work = [Work(*key, count) for key, count in self.work.items()]
        flushes, flow = [ledger.shift(position) for position in self._flushes], self.flow.flow(list(self.work))
        return EventLog(ledger.columns(), about | self.meta, markers, repeats, work, ledger.uses(), flushes, flow)


class MetaMeter(Tracer):
    """Traces the spine on the meta device: `with MetaMeter() as meter: list(speak(system, request, recipe, meter))`."""

    def __init__(self, card_capability: Capability = AMPERE, **options: Any) -> None:
        super().__init__("meta", card_capability, **options)


class CpuMeter(Tracer):
    """Traces a real run on the CPU: the oracle of `MetaMeter`."""

    def __init__(self, card_capability: Capability = AMPERE, **options: Any) -> None:
        super().__init__("cpu", card_capability, **options)


def trace(fn: Callable[..., Any], *args: Any, device: str = "meta", card_capability: Capability = AMPERE,
          grad: bool = False, **kwargs: Any) -> EventLog:  # fmt: skip
    """The event log of `fn(*args, **kwargs)`, any PyTorch code.

    Modules and tensors that `fn` is, holds or is given count from the start. Build them on the device, such as inside
    `with torch.device("meta")`. grad: leave autograd on. Raises TraceError where the run needs values that a trace
    does not have.
    """
    tracer = Tracer(device, card_capability, grad=grad)
    with tracer:
        for value in (fn, getattr(fn, "__self__", None), *args, *kwargs.values()):
            if isinstance(value, nn.Module):
                tracer.place(value, type(value).__name__)
            else:
                _place_tensors(tracer, value)
        fn(*args, **kwargs)
    return tracer.log


def _place_tensors(tracer: Tracer, value: Any) -> None:
    if not callable(value):
        for tensor in tensors_in(value):
            if tensor.device.type == tracer.device:
                tracer.place(tensor)


@contextmanager
def _steady_garbage() -> Iterator[None]:
    """Python's collector off, so that cycles are freed at stage borders and not at random; what was there is frozen.

    A caller who had frozen objects already finds them frozen afterwards, and with them what was there when the trace
    began: Python can only thaw everything.

    The first operator of a process that a dispatch mode sees would load torch._dynamo, which keeps the frames of its
    importers, and with them tensors of the run, until the next collection: it is loaded before.
    """
    importlib.import_module("torch._dynamo")
    was_on, frozen = gc.isenabled(), gc.get_freeze_count() > 0
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
        if was_on:
            gc.enable()
