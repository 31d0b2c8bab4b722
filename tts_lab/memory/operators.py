"""Every operator of a run, seen below Python: which storages it makes, and what work it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from tts_lab.memory.ledger import HOST
from tts_lab.memory.problems import at, data_dependent, depends_on_data, no_meta_kernel, wrong_device
from tts_lab.memory.shapes import Shapes
from tts_lab.memory.work import TO_CARD, TO_HOST, bytes_of, flops_of

if TYPE_CHECKING:
    from tts_lab.memory.tracer import Tracer

# Kernels on a card copy an input that is not dense in memory; the copy lives as long as the kernel.
DENSE_INPUT = ("aten.convolution.default", "aten.native_layer_norm.default", "aten.native_group_norm.default",
               "aten._softmax.default", "aten._log_softmax.default")  # fmt: skip
NO_KERNEL = ("aten.lift_fresh.", "aten.empty", "aten.new_empty")
COMPOSITE = "CompositeImplicitAutograd"
CROSSES = ("aten._to_copy.", "aten.copy", "aten.index.", "aten.index_put", "aten._index_put")  # may mix host and card


class _Known:
    """What an operator is, found out once."""

    __slots__ = ("composite", "crosses", "dense", "launches", "name")

    def __init__(self, func: OpOverload) -> None:
        self.name = str(func)
        self.launches = not func.is_view and not self.name.startswith(NO_KERNEL)
        # Whether it is made of other operators, in C++: that is what runs without a mode. (`func.decompose` prefers
        # Python versions, which differ in their temporaries.)
        self.composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), COMPOSITE)
        self.dense = self.name in DENSE_INPUT
        self.crosses = self.name.startswith(CROSSES)


class Operators(TorchDispatchMode):
    """Writes the storages that operators make into the ledger."""

    def __init__(self, tracer: Tracer, shapes: Shapes) -> None:
        super().__init__()
        self.tracer, self.ledger = tracer, tracer.ledger
        self.on_meta = tracer.device == "meta"
        self.count = 0
        self.silent = False
        self.made_on_card: bool | None = None  # role of what the running function makes; None: that of its inputs
        self.call: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})  # arguments of the running function
        self._known: dict[OpOverload, _Known] = {}
        self._shapes = shapes

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        known = self._known.get(func)
        if known is None:
            known = self._known[func] = _Known(func)
        # In inference mode a composite operator arrives whole, which would hide its temporaries.
        if known.composite and torch.is_inference_mode_enabled():
            with self:
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if self.silent:
            return func(*args, **kwargs)
        inputs = list(tensors_of(args)) + (list(tensors_of(tuple(kwargs.values()))) if kwargs else [])
        on_card = self._looked_at(inputs, known)
        out = self._run(func, known.name, args, kwargs)
        self._record(known, args, inputs, out, on_card)
        return out

    def _run(self, func: OpOverload, name: str, args: Any, kwargs: Any) -> Any:
        try:
            if self.on_meta:
                out = self._shapes.run(func, args, kwargs)
                if name == "aten._weight_norm_interface.default" and out[1].dtype == torch.float16:
                    # A card and a CPU keep the norms of half-precision weights in float32; PyTorch's meta kernel does
                    # so for bfloat16 alone.
                    return out[0], out[1].float()
                return out
            out = func(*args, **kwargs)
            if name == "aten.native_layer_norm.default":
                # A card keeps mean and deviation in float32, a CPU in the type of the input.
                return out[0], out[1].float(), out[2].float()
            return out
        except NotImplementedError:
            where = at(self.ledger.where.module, self.ledger.where.stage)
            raise (data_dependent if depends_on_data(func) else no_meta_kernel)(name, where) from None

    def _looked_at(self, inputs: Sequence[Tensor], known: _Known) -> bool:
        """Whether any input is on the card. Inputs never seen before were there before the run."""
        on_card, stranger = False, None
        for t in inputs:
            if t.device.type != self.tracer.device:
                stranger = t if t.ndim else stranger  # a single number may come from anywhere
                continue
            row = self.ledger.row(t)
            if row is None and (t.ndim or self.on_meta) and not known.name.startswith("aten.lift_fresh"):
                self.ledger.before(t, "", "weight" if isinstance(t, torch.nn.Parameter) else "activation")
                on_card = True
            elif row is not None and row != HOST:
                on_card = True
        if stranger is not None and on_card and not known.crosses:
            where = at(self.ledger.where.module, self.ledger.where.stage)
            raise wrong_device(known.name, where, stranger.device, self.tracer.device)
        return on_card

    def _record(self, known: _Known, args: Any, inputs: Sequence[Tensor], out: Any, on_card: bool) -> None:
        made = list(tensors_of((out,)))
        card = self.made_on_card
        if card is None:
            card = on_card or (not inputs and self._caller_on_card())
        space = self._workspace(known, args) if card else None
        for t in made:
            self._see(t, known.name, card)
        if on_card and known.launches:
            self._read(inputs)
        if space is not None:
            self.ledger.release(space)
        self.count += 1
        if made and known.launches:
            if card and (on_card or not inputs):
                flops = flops_of(known.name, args, made[0])
                self.launched(known.name, made[0], flops, bytes_of(known.name, inputs, made))
            elif card or on_card:
                self.launched(TO_CARD if card else TO_HOST, made[0], 0, made[0].nbytes)

    def _read(self, inputs: Sequence[Tensor]) -> None:
        """Write down which weights an operator read."""
        rows = (self.ledger.row(t) for t in inputs)
        weights = self.ledger.weights_of(row for row in rows if row is not None)
        if weights:
            self.ledger.used(weights)

    def _see(self, t: Tensor, operator: str, card: bool) -> None:
        """A result, which may bring a new storage."""
        if t.device.type != self.tracer.device:
            return
        if self.ledger.row(t) is not None:
            self.ledger.resized(t, operator)
        elif card:
            self.ledger.allocate(t, operator)
        else:
            self.ledger.host(t)

    def launched(self, operator: str, out: Tensor, flops: int, size: int) -> None:
        """One kernel's work."""
        self.tracer.did((((operator, str(out.dtype).removeprefix("torch."), flops, size), 1.0),))

    def _workspace(self, known: _Known, args: Any) -> int | None:
        if not known.dense or args[0].is_contiguous() or not args[0].numel():
            return None
        return self.ledger.workspace(args[0].numel() * args[0].itemsize, known.name)

    def _caller_on_card(self) -> bool:
        """Role of an operator without tensors: the card if its caller named a device or has a tensor there."""
        args, kwargs = self.call
        if kwargs.get("device") is not None:
            return torch.device(kwargs["device"]).type == self.tracer.device
        return any(self.on_card(t) for t in tensors_of((*args, *kwargs.values())))

    def on_card(self, t: Tensor) -> bool:
        """Whether a tensor is on the card; one never seen is, unless it has another device."""
        return t.device.type == self.tracer.device and self.ledger.row(t) != HOST

    @contextmanager
    def as_role(self, card: bool | None, silent: bool = False) -> Iterator[None]:
        """What is made inside is on the card, on the host, or nowhere (silent)."""
        before = self.made_on_card, self.silent
        self.made_on_card, self.silent = card, silent
        try:
            yield
        finally:
            self.made_on_card, self.silent = before


def tensors_of(values: Any) -> Iterator[Tensor]:
    """Tensors among arguments, and in lists of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_of(value)
