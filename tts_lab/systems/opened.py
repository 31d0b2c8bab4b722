"""Checkpoint files opened without reading them: tensors are mapped from the file and read when they are used.

Pickles are opened with `weights_only`, so that no code in them runs. Every way in which a file can be unusable has its
sentence. A file may lie in a zip archive, too; it is then read into memory.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts_lab.errors import WeightsError

Place = Path | zipfile.Path
_ZIP = b"PK\x03\x04"
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Opener:
    """Opens the files of one system.

    again: what to do about a file that is damaged, a clause that ends its sentences. whole: bytes that a file has when
    its download is complete, None where that is not known.
    """

    again: str
    whole: Callable[[Place], int | None] = lambda _: None

    def pickled(self, path: Place) -> Any:
        """What `torch.save` wrote, with tensors on the CPU. Raises WeightsError."""
        start = self.check_start(path)
        try:
            if isinstance(path, Path):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=start == _ZIP)
            return torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise self._with_code(path, str(error)) from error
        except (RuntimeError, EOFError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise self.damaged(path, str(error)) from error

    def tensors(self, path: Place, *keys: str) -> Mapping[str, Tensor]:
        """A state from a file of either kind; from a pickle the first of `keys` that it has, else the whole.

        Raises WeightsError where the file holds something else.
        """
        if isinstance(path, Path) and path.suffix == ".safetensors":
            return Safetensors(path, self)
        found = self.pickled(path)
        if isinstance(found, Mapping):
            found = next((found[key] for key in keys if key in found), found)
        if not isinstance(found, Mapping):
            raise WeightsError(f"{path} holds {type(found).__name__} where named tensors are expected: {self.again}.")
        return {str(name): value for name, value in found.items() if isinstance(value, Tensor)}

    def tensor(self, path: Place) -> Tensor:
        """A file that holds one tensor. Raises WeightsError."""
        found = self.pickled(path)
        if not isinstance(found, Tensor):
            raise WeightsError(f"{path} holds {type(found).__name__} where one tensor is expected: {self.again}.")
        return found

    def check_start(self, path: Place) -> bytes:
        """The file's first bytes. Raises WeightsError where they tell that it holds no weights."""
        try:
            with path.open("rb") as file:
                start: bytes = file.read(64)  # type: ignore[assignment]
        except OSError as error:
            raise WeightsError(
                f"{path} cannot be read ({error.strerror}); check the file and its permissions."
            ) from None
        except zipfile.BadZipFile as error:
            raise self.damaged(path, str(error)) from None
        if not start:
            raise WeightsError(f"{path} is empty: {self.again}.")
        if start.startswith(_POINTER):
            raise WeightsError(
                f"{path} is a pointer of Git LFS, not the file itself: run 'git lfs pull' there, or {self.again}."
            )
        if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
            raise WeightsError(f"{path} is a web page, not weights: {self.again}.")
        return start[:4]

    def damaged(self, path: Place, reason: str) -> WeightsError:
        """The error for a file that is cut short or damaged."""
        if not isinstance(path, Path):
            return WeightsError(f"{path} is damaged or its download ended early ({_first(reason)}): {self.again}.")
        size, whole = path.stat().st_size, self.whole(path)
        if whole is not None and size < whole:
            return WeightsError(
                f"{path} is cut short: it has {size:,} of {whole:,} bytes, so its download ended early: {self.again}."
            )
        return WeightsError(
            f"{path} ({size:,} bytes) is damaged or its download ended early ({_first(reason)}): {self.again}."
        )

    def _with_code(self, path: Place, reason: str) -> WeightsError:
        """The unpickler met something else than tensors: code that asks to be run, or bytes that are no pickle."""
        named = re.search(r"(?:GLOBAL|global)\s+([\w.]+)", reason)
        if named is None:
            return self.damaged(path, reason)
        return WeightsError(
            f"{path} holds more than tensors: it asks to run {named[1]}, which was not done. The released file does "
            f"not do that: do not trust this one, and {self.again}."
        )


class Safetensors(Mapping[str, Tensor]):
    """A safetensors file as a mapping. Its tensors are views of the mapped file. metadata: the file's own."""

    def __init__(self, path: Path, opener: Opener) -> None:
        from safetensors import SafetensorError, safe_open

        opener.check_start(path)
        try:
            self._file: Any = safe_open(path, "pt")
        except SafetensorError as error:
            raise opener.damaged(path, str(error)) from error
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


def _first(reason: str) -> str:
    return reason.strip().split("\n")[0].split(". ")[0]
