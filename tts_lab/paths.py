"""Where the lab's data lies: bundled voices, cards, claims, measured results; and weights that a user downloads."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tts_lab.errors import WeightsError

VARIABLE = "TTS_LAB_DATA"
WEIGHTS_VARIABLE = "TTS_LAB_WEIGHTS"


def data_dir() -> Path:
    """Folder of the bundled data: what TTS_LAB_DATA names, else `data` beside the package.

    Raises WeightsError where there is no such folder.
    """
    named = os.environ.get(VARIABLE)
    folder = Path(named).expanduser() if named else Path(__file__).resolve().parent.parent / "data"
    if folder.is_dir():
        return folder
    if named:
        raise WeightsError(f"{VARIABLE} names {folder}, which is not a folder; set it to the lab's data folder.")
    raise WeightsError(
        f"The lab's data folder {folder} is missing; run the lab from its complete checkout, "
        f"or set {VARIABLE} to where the data folder lies."
    )


def voices_dir() -> Path:
    """Folder of the bundled voices. Raises WeightsError where it is missing."""
    folder = data_dir() / "voices"
    if not folder.is_dir():
        raise WeightsError(f"There are no bundled voices: {folder} is missing; get the complete checkout of the lab.")
    return folder


def weights_dir() -> Path:
    """Folder of downloaded weights, one folder in it for each system: what TTS_LAB_WEIGHTS names, else one of the
    user's own. It need not exist."""
    named = os.environ.get(WEIGHTS_VARIABLE)
    if named:
        return Path(named).expanduser()
    shared = os.environ.get("XDG_DATA_HOME")
    return (Path(shared) if shared else Path.home() / ".local" / "share") / "tts-lab" / "weights"


def cache_dir(name: str = "") -> Path | None:
    """A folder of the user's own for what can be made again at any time. None where it cannot be written to."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts-lab" / name
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # no home, read-only, full
        return None
