"""Whether two modules, and what they are given, are built alike: then one does what the other does."""

from __future__ import annotations

from collections.abc import Hashable
from types import BuiltinFunctionType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.Size, torch.device)
FUNCTIONS = (FunctionType, BuiltinFunctionType, type)
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
# What every module has; hooks are looked at by themselves.
COMMON = frozenset(nn.Module().__dict__) - {"training"}
DEEP = 5  # levels of an object that are looked into


class UnlikeError(Exception):
    """Something that cannot be told from its parts, such as an object with a state of its own."""


class Likeness:
    """Numbers for modules: equal for two that are built alike, now."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, module: nn.Module, tensors: list[Tensor]) -> int:
        """The number of a module and all modules inside it. Adds its weights and buffers to `tensors`, in order.

        Raises UnlikeError for one that has hooks, or an attribute that is not plain data.
        """
        own = module.__dict__
        if any(own[hooks] for hooks in HOOKS):
            raise UnlikeError
        parts: list[Any] = [type(module)]
        for table in (own["_parameters"], own["_buffers"]):
            for name, tensor in table.items():
                parts.append((name, None if tensor is None else _form(tensor)))
                if tensor is not None:
                    tensors.append(tensor)
        parts += [(name, plain(value)) for name, value in own.items() if name not in COMMON]
        parts += [(name, part and self.of(part, tensors)) for name, part in own["_modules"].items()]
        return self._numbers.setdefault(tuple(parts), len(self._numbers))

    def given(self, value: Any, tensors: list[Tensor]) -> Hashable:
        """What a call is given, as plain data. Adds its tensors to `tensors`. Raises UnlikeError as `of` does."""
        if isinstance(value, Tensor):
            tensors.append(value)
            return _form(value)
        if type(value) in (list, tuple):
            return type(value), tuple([self.given(each, tensors) for each in value])
        if type(value) is dict:
            return dict, tuple([(plain(name), self.given(each, tensors)) for name, each in value.items()])
        return plain(value)


def plain(value: Any, deep: int = DEEP) -> Hashable:
    """Plain data that is equal for equal values: of an object its attributes. Raises UnlikeError for anything else."""
    kind = type(value)
    if kind in PLAIN:
        return kind, value  # True, 1 and 1.0 are equal and give different results
    if isinstance(value, FUNCTIONS):
        return value
    if isinstance(value, Tensor | nn.Module) or not deep:
        raise UnlikeError
    if isinstance(value, list | tuple | set | frozenset):
        each = [plain(part, deep - 1) for part in value]
        return kind, frozenset(each) if isinstance(value, set | frozenset) else tuple(each)
    if isinstance(value, dict):
        return kind, tuple([(plain(name, deep - 1), plain(part, deep - 1)) for name, part in value.items()])
    if not hasattr(value, "__dict__") or hasattr(kind, "__slots__"):
        raise UnlikeError
    return kind, plain(vars(value), deep - 1)


def _form(tensor: Tensor) -> Hashable:
    return tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.dtype
