"""Weights that rest in a file and are read when they are needed: the lever `offload: disk`.

Saves: the computer's memory, on top of what streaming layers saves on the card; what was read stays only as long as the
system has nothing better to do with that memory. Costs: the time to write the file once, twice the bytes of a stage on
the disk (as loaded and as computed with), and reading from the disk where the memory is short. Does nothing on a CPU,
nor in a trace: on the card it is `offload: layers`. Memory-mapped as weights are in safetensors and FlexGen (Sheng et
al. 2023), without a copy of their own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor, nn

from tts_lab.errors import OutputError
from tts_lab.levers.copies import replaced
from tts_lab.paths import cache_dir

ALIGNED = 64  # bytes
SPARE = 2**28  # bytes of the disk that are left free


def rest(module: nn.Module) -> None:
    """Move the weights of a module in the computer's memory to a file; they stay the same numbers.

    The file vanishes with the module, and when the process ends, however it ends. Weights without values (a trace's)
    and weights on a card stay as they are. Raises OutputError where the disk has no room.
    """
    found = {id(t): t for t in (*module.parameters(), *module.buffers()) if t.device.type == "cpu" and t.nbytes}
    tensors = list(found.values())
    if not tensors:
        return
    folder = cache_dir("weights") or Path(tempfile.gettempdir())
    needed = sum(-(-t.nbytes // ALIGNED) * ALIGNED for t in tensors)
    if shutil.disk_usage(folder).free < needed + SPARE:
        raise OutputError(
            f"offload disk needs {needed / 1e9:.1f} GB in {folder}, which has no room for it; free some space, name "
            "another folder in XDG_CACHE_HOME, or take offload layers."
        )
    mapped = dict(zip(found, _mapped(tensors, folder), strict=True))
    replaced(module, lambda tensor: mapped.get(id(tensor), tensor))


def _mapped(tensors: list[Tensor], folder: Path) -> list[Tensor]:
    handle, name = tempfile.mkstemp(".weights", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            places = [_written(tensor, file) for tensor in tensors]
        storage = torch.UntypedStorage.from_file(name, False, path.stat().st_size)
        return [_at(storage, place, tensor) for place, tensor in zip(places, tensors, strict=True)]
    except OSError as error:
        raise OutputError(f"offload disk cannot write to {folder} ({error.strerror}); take offload layers.") from None
    finally:
        with suppress(OSError):  # the mapping keeps its content; some systems keep a file that is in use
            path.unlink()


def _written(tensor: Tensor, file: BinaryIO) -> int:
    """Where in the file it begins."""
    place = file.tell()
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    flat.numpy().tofile(file)
    file.write(b"\0" * (-file.tell() % ALIGNED))
    return place


def _at(storage: Any, place: int, like: Tensor) -> Tensor:
    empty = torch.empty(0, dtype=like.dtype)
    strides = torch.empty(like.shape, device="meta").stride()
    return empty.set_(storage, place // like.itemsize, like.shape, strides)  # type: ignore[call-overload, no-any-return]
