"""Checkpoint files opened without reading them: tensors are mapped from the file and read when they are used.

Pickles are opened with `weights_only`, so that no code in them runs. Every way in which a file can be unusable has its
sentence.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts_lab.errors import WeightsError
from tts_lab.systems.indextts2.released_files import FILES, Released

AGAIN = "download it again ('tts-lab fetch indextts2' checks what it downloads)"
_ZIP = b"PK\x03\x04"
_POINTER = b"version https://git-lfs"


class Safetensors(Mapping[str, Tensor]):
    """A safetensors file as a mapping. Its tensors are views of the mapped file. metadata: the file's own."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        _check_start(path)
        try:
            self._file: Any = safe_open(path, "pt")
        except SafetensorError as error:
            raise _damaged(path, str(error)) from error
        self.metadata: dict[str, str] = self._file.metadata() or {}
        self._names = tuple(self._file.keys())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def pickled(path: Path) -> Any:
    """What `torch.save` wrote, with tensors on the CPU. Raises WeightsError."""
    start = _check_start(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=start == _ZIP)
    except pickle.UnpicklingError as error:
        raise _with_code(path, str(error)) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise _damaged(path, str(error)) from error


def tensors(path: Path, *keys: str) -> Mapping[str, Tensor]:
    """A state from a file of either kind; from a pickle the first of `keys` that it has, else the whole.

    Raises WeightsError where the file holds something else.
    """
    if path.suffix == ".safetensors":
        return Safetensors(path)
    found = pickled(path)
    if isinstance(found, Mapping):
        found = next((found[key] for key in keys if key in found), found)
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} holds {type(found).__name__} where named tensors are expected: {AGAIN}.")
    return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}


def tensor(path: Path) -> Tensor:
    """A file that holds one tensor. Raises WeightsError."""
    found = pickled(path)
    if not isinstance(found, Tensor):
        raise WeightsError(f"{path} holds {type(found).__name__} where one tensor is expected: {AGAIN}.")
    return found


def _check_start(path: Path) -> bytes:
    """The file's first bytes. Raises WeightsError where they tell that it holds no weights."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); check the file and its permissions.") from None
    if not start:
        raise WeightsError(f"{path} is empty: {AGAIN}.")
    if start.startswith(_POINTER):
        raise WeightsError(
            f"{path} is a pointer of Git LFS, not the file itself: run 'git lfs pull' there, or {AGAIN}."
        )
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise WeightsError(f"{path} is a web page, not weights: {AGAIN}.")
    return start[:4]


def _with_code(path: Path, reason: str) -> WeightsError:
    """The unpickler met something else than tensors: code that asks to be run, or bytes that are no pickle."""
    named = re.search(r"(?:GLOBAL|global)\s+([\w.]+)", reason)
    if named is None:
        return _damaged(path, reason)
    return WeightsError(
        f"{path} holds more than tensors: it asks to run {named[1]}, which was not done. The released file does not do "
        f"that: do not trust this one, and {AGAIN}."
    )


def _damaged(path: Path, reason: str) -> WeightsError:
    size, whole = path.stat().st_size, _known(path)
    if whole is not None and size < whole.size:
        return WeightsError(
            f"{path} is cut short: it has {size:,} of {whole.size:,} bytes, so its download ended early: {AGAIN}."
        )
    first = reason.strip().split("\n")[0].split(". ")[0]
    return WeightsError(f"{path} ({size:,} bytes) is damaged or its download ended early ({first}): {AGAIN}.")


def _known(path: Path) -> Released | None:
    for file in FILES:
        if path.as_posix().endswith((file.place, file.remote)):
            return file
    return None
