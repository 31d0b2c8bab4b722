"""Weights that come to the device one layer at a time: the lever `offload: layers`.

Saves: all weights but those of the layer that runs and of the next one, which is on its way meanwhile. Costs: every
weight crosses PCI Express at every use, for decoding once a position; what the copies take beyond the computing is
lost. Does nothing on a CPU. The group offloading of diffusers (`hooks/group_offloading.py`) and FlexGen (Sheng et al.
2023) stream in this way; this one is traceable, because it moves weights through ordinary copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.memory import lanes

LARGE_BYTES = 4 * 2**20  # a single layer outside of lists is streamed from this size on
OnLoad = Callable[[nn.Module, str], None]
Table = dict[str, Any]  # of a module: name -> parameter or buffer, or None


def units(module: nn.Module) -> dict[str, nn.Module]:
    """What is streamed as one: each entry of the outermost lists of layers, and large layers outside of lists.

    By dotted path, in the order in which they stand. Embeddings stay: they are read without being called.
    """
    found: dict[str, nn.Module] = {}
    for path, part in module.named_modules():
        if any(path.startswith(f"{taken}.") for taken in found):
            continue
        listed = isinstance(module.get_submodule(path.rpartition(".")[0]), nn.ModuleList) if path else False
        if (listed or _is_large_layer(part)) and any(True for _ in part.parameters()):
            found[path] = part
    return found


def _tables(owner: nn.Module) -> tuple[Table, Table]:
    return owner._parameters, owner._buffers


def _is_large_layer(part: nn.Module) -> bool:
    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
    return isinstance(part, kinds) and sum(t.nbytes for t in (*part.parameters(), *part.buffers())) >= LARGE_BYTES


class _Unit:
    """The tensors of a unit: where they hang, and what hangs there while the unit is away."""

    def __init__(self, path: str, module: nn.Module) -> None:
        self.path, self.module = path, module
        self.slots: list[tuple[Table, str, Tensor]] = [
            (table, name, tensor)
            for owner in module.modules()
            for table in _tables(owner)
            for name, tensor in table.items()
            if tensor is not None
        ]
        self.here = False
        self.arrived: Any = None  # event of the copy stream

    def fill(self, tensors: list[Tensor]) -> None:
        for (table, name, _), tensor in zip(self.slots, tensors, strict=True):
            table[name] = tensor
        self.here = True

    def restore(self) -> None:
        for table, name, tensor in self.slots:
            table[name] = tensor
        self.here, self.arrived = False, None


class Stream:
    """Runs a module whose weights lie in the computer's memory on a device, unit by unit, with the next one ahead.

    module: in the number format to compute in; its own weights are not changed. on_load: called with a unit whose
    weights have come, and its path ("" for what stays throughout). from_file: the weights are not pinned, so that a
    copy holds the computing up. Use it as a context; results are those of the module on the device, bit for bit.
    """

    def __init__(
        self, module: nn.Module, device: torch.device, on_load: OnLoad | None = None, *, from_file: bool = False
    ) -> None:  # fmt: skip
        self.module, self.device, self.on_load = module, device, on_load or (lambda unit, path: None)
        self.from_file = from_file
        self.units = [_Unit(path, part) for path, part in units(module).items()]
        self.following = {i: i + 1 for i in range(len(self.units) - 1)}  # learned as they run
        self.side = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._last: int | None = None
        self._done: Any = None  # event of the computing: the last unit has been run
        self._handles: list[Any] = []
        self._rest: list[tuple[Table, str, Tensor]] = []

    def __enter__(self) -> nn.Module:
        self._settle_rest()
        for i, unit in enumerate(self.units):
            self._handles.append(unit.module.register_forward_pre_hook(lambda *_, i=i: self._before(i)))
            self._handles.append(unit.module.register_forward_hook(lambda *_, i=i: self._after(i), always_call=True))
        return self.module

    def __exit__(self, *error: object) -> None:
        for handle in self._handles:
            handle.remove()
        for unit in self.units:
            unit.restore()
        for table, name, tensor in self._rest:
            table[name] = tensor

    def _settle_rest(self) -> None:
        """What no unit holds comes to the device and stays."""
        streamed = {id(tensor) for unit in self.units for _, _, tensor in unit.slots}
        for owner in self.module.modules():
            for table in _tables(owner):
                for name, tensor in list(table.items()):
                    if tensor is not None and id(tensor) not in streamed:
                        self._rest.append((table, name, tensor))
                        table[name] = tensor.to(self.device)
        self.on_load(self.module, "")

    def _before(self, i: int) -> None:
        """Unit i is about to run: it is there, the one that follows is on its way, and nothing else."""
        if self._last is not None and self._last != i:
            self.following[self._last] = i
        self._wait_for_last()
        for j, unit in enumerate(self.units):
            if unit.here and j != i:
                unit.restore()
        self._load(i)
        self._arrive(i)
        after = self.following.get(i)
        if after is not None and after != i:
            self._load(after)
        lanes.tell(lanes.BEGINS, self.units[i].path)

    def _after(self, i: int) -> None:
        lanes.tell(lanes.ENDS, self.units[i].path)
        self.units[i].restore()
        self._last = i
        if self.side is not None:
            self._done = torch.cuda.current_stream(self.device).record_event()

    def _wait_for_last(self) -> None:
        """Wait until the card is done with the last unit, whose memory the next copy takes.

        A program runs ahead of its card by as much as a thousand kernels. Left alone it would ask for memory for unit
        after unit while the first is still being computed with, and in the end all of them would lie on the card.
        """
        if self._done is not None:
            self._done.synchronize()
            self._done = None

    def _load(self, i: int) -> None:
        unit = self.units[i]
        if unit.here:
            return
        with lanes.copying(unit.path, self.from_file), self._copying(unit):
            unit.fill([tensor.to(self.device, non_blocking=True) for _, _, tensor in unit.slots])
        self.on_load(unit.module, unit.path)

    @contextmanager
    def _copying(self, unit: _Unit) -> Iterator[None]:
        """Copies go their own way on a card, beside the computing."""
        if self.side is None:
            yield
            return
        with torch.cuda.stream(self.side):
            yield
            unit.arrived = self.side.record_event()

    def _arrive(self, i: int) -> None:
        """Computing waits for the copy, and keeps the memory until it is done with it."""
        unit = self.units[i]
        lanes.tell(lanes.WAIT, unit.path)
        if self.side is None or unit.arrived is None:
            return
        here = torch.cuda.current_stream(self.device)
        here.wait_event(unit.arrived)
        for table, name, _ in unit.slots:
            table[name].record_stream(here)
        unit.arrived = None


def pinned(module: nn.Module) -> nn.Module:
    """The module with its weights in memory that a card can read by itself, where CUDA is in use."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for owner in module.modules():
            for table in _tables(owner):
                for name, tensor in list(table.items()):
                    if tensor is not None and tensor.device.type == "cpu":
                        table[name] = tensor.pin_memory()
    return module
