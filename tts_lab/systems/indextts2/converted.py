"""Released pickles converted once: what inference reads, under our names, weight norm folded, as safetensors.

The copy lies in a folder `.tts_lab` beside the original, or in the folder that TTS_LAB_CACHE names; TTS_LAB_CACHE=off
writes none. It belongs to its original by size and time of change, and appears whole or not at all. Where it cannot be
written, loading goes on without it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from tts_lab.errors import WeightsError
from tts_lab.nn.weight_norm import folded
from tts_lab.systems.indextts2.opened import Safetensors
from tts_lab.systems.indextts2.released import Layout, pair

VARIABLE = "TTS_LAB_CACHE"
VERSION = 1  # of our names: another one makes old copies worthless
SPARE = 2**28  # bytes of the disk that a copy leaves free


class Converted(Mapping[str, Tensor]):
    """A released state under our names; a weight is folded when it is asked for."""

    def __init__(self, state: Mapping[str, Tensor], layout: Layout) -> None:
        self._state = state
        self._released = {ours: name for name, ours in layout.names.items()}

    def __getitem__(self, ours: str) -> Tensor:
        name = self._released[ours]
        if name in self._state:
            return self._state[name]
        return folded({part: self._state[part] for part in pair(name)})[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._released)

    def __len__(self) -> int:
        return len(self._released)


def copy_of(original: Path) -> Path | None:
    """Where the copy of a file lies or would lie; None where none is wanted."""
    named = os.environ.get(VARIABLE, "")
    if named.lower() in ("off", "0", "no"):
        return None
    if not named:
        return original.parent / ".tts_lab" / f"{original.stem}.safetensors"
    place = hashlib.sha256(str(original.absolute()).encode()).hexdigest()[:16]
    return Path(named).expanduser() / f"{original.stem}-{place}.safetensors"


def kept(original: Path) -> Safetensors | None:
    """The copy, where there is one that belongs to the file as it is now."""
    copy = copy_of(original)
    if copy is None or not copy.is_file():
        return None
    try:
        found = Safetensors(copy)
    except WeightsError:
        return None
    return found if found.metadata.get("original") == _mark(original) else None


def keep(original: Path, state: Mapping[str, Tensor]) -> Safetensors | None:
    """Write the copy and open it; None where it is not wanted or cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    copy = copy_of(original)
    if copy is None:
        return None
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    part = copy.with_name(f".{copy.name}.{os.getpid()}.part")
    try:
        if shutil.disk_usage(copy.parent).free < sum(t.nbytes for t in state.values()) + SPARE:
            return None
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, part, {"original": _mark(original)})
        part.replace(copy)
    except (OSError, SafetensorError):
        part.unlink(missing_ok=True)
        return None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return kept(original)


def _mark(original: Path) -> str:
    status = original.stat()
    return f"{original.name} {status.st_size} {status.st_mtime_ns} {VERSION}"
