"""What a trace gave, kept on disk: the same question is answered at once the next time, in any process.

An answer holds for this very code and these versions of PyTorch and transformers: a change of any of them starts a new
folder, and old folders are removed. Where nothing can be written, or the variable TTS_LAB_TRACES is `off`, everything
is computed each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from tts_lab.errors import LabError
from tts_lab.memory.events import EventLog
from tts_lab.paths import cache_dir
from tts_lab.whole import whole

T = TypeVar("T")
VARIABLE = "TTS_LAB_TRACES"
FOLDERS = 3  # of versions of the code: the newest stay
FILES = 400  # of one version: the newest stay


def kept_log(key: Any, make: Callable[[], EventLog]) -> EventLog:
    """The event log that `make` gives, or gave before for an equal `key` (anything with a plain `repr`)."""
    return _kept(key, ".log", EventLog.load, lambda log, path: log.save(path), make)


def kept_data(key: Any, make: Callable[[], Any]) -> Any:
    """The same for data that JSON can hold; what is a tuple comes back as a list."""
    return _kept(key, ".json", _read, lambda data, path: path.write_text(json.dumps(data), "utf-8"), make)


def _kept(
    key: Any, ending: str, load: Callable[[Path], T], save: Callable[[T, Path], Any], make: Callable[[], T]
) -> T:  # fmt: skip
    folder = _folder()
    if folder is None:
        return make()
    path = folder / (hashlib.sha256(repr(key).encode()).hexdigest()[:24] + ending)
    try:
        return load(path)
    except (OSError, ValueError, LabError):  # not there, or not whole
        made = make()
    try:
        _prune(folder, FILES - 1)
        with whole(path, "kept trace") as part:
            save(made, part)
    except (OSError, LabError):
        pass  # it is only a help
    return made


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@lru_cache(maxsize=1)
def _folder() -> Path | None:
    """The folder for this version of everything that decides a trace."""
    root = None if os.environ.get(VARIABLE) == "off" else cache_dir("traces")
    if root is None:
        return None
    folder = root / _fingerprint()
    try:
        folder.mkdir(exist_ok=True)
        folder.touch()
        _prune(root, FOLDERS)
    except OSError:
        return None
    return folder


def _fingerprint() -> str:
    package = Path(__file__).resolve().parent.parent
    found = hashlib.sha256("".join(f"{name} {version(name)}\n" for name in ("torch", "transformers")).encode())
    for path in sorted(package.rglob("*.py")):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:24]


def _prune(folder: Path, most: int) -> None:
    """Only the newest entries stay."""
    entries = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for entry in entries[most:]:
        shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)
