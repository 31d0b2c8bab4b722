"""Twins on the meta device: modules and tensors of the same sizes without values, so that any run can be traced."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.memory.modules import tensors_in


def twin(value: Any) -> Any:
    """The value with every tensor in it replaced by one on the meta device, whatever device it was on.

    Modules keep their structure and their ties between weights; the memory of the original is not copied. Lists,
    tuples and dicts are followed; everything else is returned as it is.
    """
    if isinstance(value, Tensor):
        return _meta(value)
    if isinstance(value, nn.Module):
        return copy.deepcopy(value, {id(t): _meta(t) for part in value.modules() for t in _own_tensors(part)})
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(twin(each) for each in value)
    if type(value) is dict:
        return {key: twin(each) for key, each in value.items()}
    return value


def twin_namespace(names: Mapping[str, Any], code: CodeType) -> dict[str, Any]:
    """A namespace for `code` in which all that it can reach of `names` is a twin.

    Functions that were defined there see the twins too. What the code assigns stays in the new namespace.
    """
    space = dict(names)
    for name in reached(names, code):
        value = names[name]
        if isinstance(value, FunctionType) and value.__globals__ is names:
            space[name] = _rebound(value, space)
        else:
            space[name] = twin(value)
    return space


def reached(names: Mapping[str, Any], code: CodeType) -> list[str]:
    """Names that the code uses, and those that the functions among them use."""
    found: dict[str, None] = {}
    waiting = [code]
    while waiting:
        for name in _names_in(waiting.pop()):
            if name in names and name not in found:
                found[name] = None
                value = names[name]
                if isinstance(value, FunctionType) and value.__globals__ is names:
                    waiting.append(value.__code__)
    return list(found)


def _names_in(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))


def _rebound(function: FunctionType, space: dict[str, Any]) -> FunctionType:
    made = FunctionType(function.__code__, space, function.__name__, function.__defaults__, function.__closure__)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _own_tensors(module: nn.Module) -> list[Tensor]:
    """Parameters, buffers and plain attributes of one module, without those of modules inside it."""
    rest = [value for key, value in vars(module).items() if key != "_modules" and not isinstance(value, nn.Module)]
    return [t for value in rest for t in tensors_in(value, depth=2)]


def _meta(t: Tensor) -> Tensor:
    made = torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="meta")
    if isinstance(t, nn.Parameter):
        return nn.Parameter(made, requires_grad=t.requires_grad)
    return made.requires_grad_(t.requires_grad)
