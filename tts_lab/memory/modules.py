"""Where in the modules a run is, by PyTorch's global hooks: paths for the log, and what are weights and caches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

OnModule = Callable[[nn.Module, str], None]


class ModulePaths:
    """The dotted path of the module that is running.

    on_new: called with a module that runs for the first time and its path. on_cache: called with each tensor of a
    key-value cache (an argument whose class is called a Cache) after the module that used it. moved: called with the
    path whenever it changes.
    """

    def __init__(self, on_new: OnModule, on_cache: Callable[[Tensor], None], moved: Callable[[str], None]) -> None:
        self.on_new, self.on_cache, self.moved = on_new, on_cache, moved
        self.paths: WeakKeyDictionary[nn.Module, str] = WeakKeyDictionary()
        self._stack: list[tuple[nn.Module, list[object]]] = []  # with the caches that were looked at inside

    @property
    def path(self) -> str:
        return self.paths.get(self._stack[-1][0], "") if self._stack else ""

    def name(self, module: nn.Module, path: str) -> None:
        """Give a module and all modules inside it their paths."""
        for inner, part in module.named_modules():
            self.paths[part] = f"{path}.{inner}".strip(".")

    @contextmanager
    def watching(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.callback(register_module_forward_pre_hook(self._enter).remove)
            stack.callback(register_module_forward_hook(self._leave, with_kwargs=True, always_call=True).remove)
            yield
        self._stack.clear()

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if module not in self.paths:
            self.name(module, f"{self.path}.{type(module).__name__}".strip("."))
            self.on_new(module, self.paths[module])
        self._stack.append((module, []))
        self.moved(self.path)

    def _leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: Any, output: Any = None) -> None:
        if not self._stack:
            return
        _, seen = self._stack.pop()
        named = kwargs if isinstance(kwargs, dict) else {}  # after an error PyTorch leaves them out
        for value in (*args, *named.values()):
            if _is_cache(value) and not any(value is cache for cache in seen):
                for tensor in tensors_in(value):
                    self.on_cache(tensor)
                seen.append(value)
        if self._stack:
            self._stack[-1][1].extend(seen)
        self.moved(self.path)


def _is_cache(value: Any) -> bool:
    return not isinstance(value, Tensor | nn.Module) and "Cache" in type(value).__name__


def tensors_in(value: Any, depth: int = 4) -> Iterator[Tensor]:
    """Tensors inside an object's attributes, lists and dicts, a few levels deep."""
    if isinstance(value, Tensor):
        yield value
    elif depth and not isinstance(value, str | bytes | int | float | bool | type(None)):
        if isinstance(value, dict):
            parts: Any = value.values()
        elif isinstance(value, list | tuple):
            parts = value
        else:
            parts = getattr(value, "__dict__", {}).values()
        for part in parts:
            yield from tensors_in(part, depth - 1)
