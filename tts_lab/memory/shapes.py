"""Results of operators on the meta device, remembered: a layer's twin asks for nothing that its sibling has not found.

PyTorch computes the size of a result in Python for most operators, which is the larger part of a trace. The result of a
pure operator follows from the sizes, strides and types of its inputs, so each case is computed once.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

_Shape = tuple[torch.Size, tuple[int, ...], torch.dtype]


class Shapes:
    """Runs operators on meta tensors, each case once."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[type, list[_Shape]] | None] = {}  # None: to be run each time
        self._pure: dict[OpOverload, bool] = {}

    def run(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operator's result: new meta tensors, as the operator itself would give."""
        if func not in self._pure:
            self._pure[func] = _is_pure(func)
        if not self._pure[func]:
            return func(*args, **kwargs)
        key = (func, *map(_key, args), *((name, _key(value)) for name, value in kwargs.items()))
        try:
            found = self._found.get(key)
        except TypeError:  # an argument that is no plain data, such as a generator
            return func(*args, **kwargs)
        if found is None:
            out = func(*args, **kwargs)
            self._found[key] = _described(out, args)
            return out
        kind, shapes = found
        made = [torch.empty_strided(size, stride, dtype=dtype, device="meta") for size, stride, dtype in shapes]
        return made[0] if kind is Tensor else kind(made)


def _is_pure(func: OpOverload) -> bool:
    """Nothing is written in place, nothing returned is a view, nothing comes back but tensors."""
    schema = func._schema
    plain = not any(a.alias_info for a in (*schema.arguments, *schema.returns))
    return plain and all(str(r.type) in ("Tensor", "List[Tensor]") for r in schema.returns)


def _key(value: Any) -> Hashable:
    """True, 1 and 1.0 are equal but give other types of results."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype, value.device.type
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    return type(value), value


def _described(out: Any, args: tuple[Any, ...]) -> tuple[type, list[_Shape]] | None:
    """What to make next time; None where the result is not plain or shares memory."""
    made = [out] if isinstance(out, Tensor) else list(out)
    if any(not isinstance(t, Tensor) or t.device.type != "meta" or t.storage_offset() for t in made):
        return None
    storages = [t.untyped_storage()._cdata for t in made]
    given = [a.untyped_storage()._cdata for a in args if isinstance(a, Tensor)]
    exact = all(t.untyped_storage().nbytes() == _bytes(t) for t in made)
    if len({*storages}) < len(storages) or {*storages} & {*given} or not exact:
        return None
    kind = Tensor if isinstance(out, Tensor) else type(out)
    return kind, [(t.shape, t.stride(), t.dtype) for t in made]


def _bytes(t: Tensor) -> int:
    """Bytes of a storage that holds exactly this tensor."""
    if not t.numel():
        return 0
    return (1 + sum((n - 1) * step for n, step in zip(t.shape, t.stride(), strict=True))) * t.itemsize
