"""The files of IndexTTS-2, opened without reading them; see `tts_lab.systems.opened`."""

from __future__ import annotations

from pathlib import Path

from tts_lab.systems import opened
from tts_lab.systems.indextts2.released_files import FILES

AGAIN = "download it again ('tts-lab fetch indextts2' checks what it downloads)"


def _whole(path: opened.Place) -> int | None:
    for file in FILES:
        if isinstance(path, Path) and path.as_posix().endswith((file.place, file.remote)):
            return file.size
    return None


_OPENER = opened.Opener(AGAIN, _whole)
pickled, tensors, tensor = _OPENER.pickled, _OPENER.tensors, _OPENER.tensor


class Safetensors(opened.Safetensors):
    """A safetensors file of IndexTTS-2 as a mapping."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _OPENER)
