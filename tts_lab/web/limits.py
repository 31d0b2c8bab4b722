"""What a visitor may ask for: refused with a sentence before any work begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tts_lab.audio.files import open_sound
from tts_lab.errors import AudioError, LabError, TextError

MB = 10**6


@dataclass(frozen=True)
class Limits:
    """characters: of a text; upload_mb: megabytes (10^6 bytes) of a clip; clip_seconds: its length; waiting: jobs that
    may queue. Raises LabError for one that is not above 0."""

    characters: int = 2000
    upload_mb: float = 20.0
    clip_seconds: float = 60.0
    waiting: int = 20

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise LabError(f"The limit {name} must be above 0, but is {value:g}.")

    def check_text(self, text: str | None) -> str:
        """The text, which is not empty and not too long. Raises TextError."""
        if not text or not text.strip():
            raise TextError("There is no text to speak; give some Chinese text, such as 你好。")
        if len(text) > self.characters:
            raise TextError(
                f"The text has {len(text):,} characters and this page takes {self.characters:,}; give it in parts, or "
                "speak the whole from a shell: ./lab speak --text-file."
            )
        return text

    def check_clip(self, path: str | Path | None) -> Path | None:
        """The clip, which is a sound file, not too large and not too long. Raises AudioError that names no folder."""
        if path is None:
            return None
        path = Path(path)
        size = path.stat().st_size if path.is_file() else 0
        if size > self.upload_mb * MB:
            raise AudioError(
                f"{path.name} has {size / MB:.1f} MB and this page takes {self.upload_mb:g}; give a shorter clip."
            )
        try:
            with open_sound(path) as file:
                seconds = file.frames / file.samplerate
        except AudioError as error:
            raise AudioError(without_folder(str(error), path)) from None
        if seconds > self.clip_seconds:
            raise AudioError(
                f"{path.name} is {seconds:.0f} s long and this page takes {self.clip_seconds:g} s; cut a part of "
                "5 to 15 s in which one person speaks."
            )
        return path


def without_folder(sentence: str, path: Path | None) -> str:
    """A sentence without the folder in which the server keeps a visitor's file."""
    return sentence if path is None else sentence.replace(str(path), path.name)
