"""A reference clip as the networks of IndexTTS-2 hear it, computed in the computer's memory.

Axes: p mel frames (86.1 a second), t positions (50 a second), u filter-bank frames (100 a second).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tts_lab.audio.fbank import filter_bank
from tts_lab.audio.mel import MEL_22K_FULL, log_mel
from tts_lab.audio.reference import load_reference
from tts_lab.errors import AudioError
from tts_lab.systems.indextts2.features import RATE, filters

MOST_SECONDS = 15.0  # as the public program; what is longer is cut, and said


@dataclass(frozen=True)
class Heard:
    """filters (1, t, 160) for the semantic features; bank (1, u, 80) for the speaker encoder; mel (1, 80, p).

    notes: sentences on what was done to the clip.
    """

    filters: Tensor
    bank: Tensor
    mel: Tensor
    notes: tuple[str, ...] = ()


def hear(path: Path) -> Heard:
    """Read a clip of one voice. Raises AudioError for one that cannot be used."""
    clip = load_reference(path, RATE, max_seconds=MOST_SECONDS)
    wide = load_reference(path, MEL_22K_FULL.sample_rate, max_seconds=MOST_SECONDS)
    mel = log_mel(wide.samples[None], MEL_22K_FULL)
    return Heard(filters(clip.samples), filter_bank(clip.samples)[None], mel, wide.notes)


def digest(path: Path | None) -> str:
    """SHA-256 of a file's content: a voice is known by its sound, not by its name. Raises AudioError."""
    if path is None:
        return ""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise AudioError(f"The clip {path} cannot be read ({error.strerror}); give an existing sound file.") from None
