"""A hash of a system's weights: figures belong to the weights that they were measured on."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from tts_lab.errors import WeightsError
from tts_lab.paths import weights_dir
from tts_lab.systems import SYSTEMS

WHOLE_BYTES = 512 * 2**20  # larger files are sampled: reading 9 GB would take longer than many a sweep
SAMPLES, SAMPLE_BYTES = 256, 2**16
RANDOM = "random"


def weights_digest(system: str, weights: Path | str | None = None) -> str:
    """Sixteen digits that change with the weights; `random` and `none` where there are no files.

    weights: as for `load_system`. A file above 512 MiB counts by its size and 256 blocks of 64 KiB all over it, which
    training changes, whereas a single value that was edited by hand may go unseen. Raises WeightsError where a file
    cannot be read.
    """
    if weights is not None and str(weights) == RANDOM:
        return RANDOM
    files = weights_files(system, weights)
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name} {_of_file(path)}\n".encode())
    return digest.hexdigest()[:16] if files else "none"


def weights_files(system: str, weights: Path | str | None = None) -> tuple[Path, ...]:
    """The files: those that the system's package names in `weights_files()`, else all of the weights' folder."""
    named = getattr(import_module(SYSTEMS[system]), "weights_files", None)
    if named is not None:
        return tuple(named())
    place = Path(weights).expanduser() if weights is not None else weights_dir() / system
    if place.is_file():
        return (place,)
    return tuple(sorted(path for path in place.rglob("*") if path.is_file() and not _is_hidden(path, place)))


def _is_hidden(path: Path, place: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(place).parts)


def _of_file(path: Path) -> str:
    try:
        about = path.stat()
        return _file_digest(path, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"The weights {path} cannot be read ({error.strerror}); restore the file.") from None


@lru_cache(maxsize=256)
def _file_digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        if size <= WHOLE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256(str(size).encode())
        for index in range(SAMPLES):
            file.seek(index * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
        return digest.hexdigest()
