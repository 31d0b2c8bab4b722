"""Copies of modules for a device, made tensor by tensor.

`copy.deepcopy(module).to(device)` first copies every weight where it is. Here only the structure is copied, so that the
computer's memory holds each weight once, whatever is lent to a card.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)
KEPT = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device, torch.Size)  # never changed in place


def structure(module: M) -> M:
    """A module of the same structure that holds the same tensors. To replace one leaves the original as it is."""
    parts = list(module.modules())
    same: dict[int, Any] = {id(t): t for part in parts for t in _tensors(part)}
    same |= {id(part): object.__new__(type(part)) for part in parts}
    for part in parts:
        same[id(part)].__dict__.update({name: _attribute(value, same) for name, value in part.__dict__.items()})
    twin: M = same[id(module)]
    return twin


def replaced(module: M, by: Callable[[Tensor], Tensor]) -> M:
    """The module with every tensor replaced; one that hangs in several places is replaced by one."""
    _replace(module, by, {})
    return module


def copied(module: M, device: torch.device | None, dtype: torch.dtype) -> M:
    """The module on a device (None: where it is), its numbers with a fraction in `dtype`.

    In the order of `nn.Module.to`. Tensors that need no change are the original's own; codes of a byte stay what they
    are.
    """
    return replaced(structure(module), lambda tensor: _to(tensor, device, dtype))


def _to(tensor: Tensor, device: torch.device | None, dtype: torch.dtype) -> Tensor:
    wanted = dtype if tensor.is_floating_point() and tensor.itemsize > 1 else tensor.dtype
    return tensor.to(wanted) if device is None else tensor.to(device, wanted)


def _replace(module: nn.Module, by: Callable[[Tensor], Tensor], done: dict[int, Tensor]) -> None:
    for child in module.children():
        _replace(child, by, done)
    for table in (module._parameters, module._buffers):
        for name, tensor in list(table.items()):
            if tensor is not None:
                if id(tensor) not in done:
                    done[id(tensor)] = by(tensor)
                table[name] = done[id(tensor)]  # type: ignore[assignment]
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()  # type: ignore[no-untyped-call]  # its own list of its weights


def _tensors(part: nn.Module) -> list[Tensor]:
    return [t for table in (part._parameters, part._buffers) for t in table.values() if t is not None]


def _attribute(value: Any, same: dict[int, Any]) -> Any:
    """A copy of an attribute. Tables of weights and empty tables of hooks, which are most of them, the short way."""
    if isinstance(value, KEPT):
        return value
    if isinstance(value, dict) and not value:
        return type(value)()
    if type(value) is dict and all(each is None or id(each) in same for each in value.values()):
        return {name: None if each is None else same[id(each)] for name, each in value.items()}
    return copy.deepcopy(value, same)
