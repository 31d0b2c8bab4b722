"""Sound files through libsndfile: WAV, FLAC, OGG (Vorbis) and MP3, read whole or in blocks, written without halves.

Axes: s samples, c channels.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tts_lab.errors import AudioError, OutputError

if TYPE_CHECKING:
    import soundfile

FORMATS = {
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_KNOWN = "WAV, FLAC, OGG or MP3"
_LONGEST_NAME = 255  # bytes, on the usual file systems
_BLOCK = 16_384  # samples per write: libsndfile's Vorbis encoder overflows its stack on very long ones


def read(path: str | Path) -> tuple[Tensor, int]:
    """All of a sound file, mixed down: (s,) float32 and the sample rate in Hz. Raises AudioError with the reason."""
    with open_sound(path) as file:
        frames = read_frames(file, path)
        rate = int(file.samplerate)
    if not frames.shape[0]:
        raise AudioError(f"{path} is empty: it is a sound file that holds no sound.")
    return mono(frames), rate


@contextmanager
def open_sound(path: str | Path) -> Iterator[soundfile.SoundFile]:
    """An open sound file for reading in blocks. Raises AudioError: missing, a folder, not readable, not audio."""
    import soundfile

    path = Path(path)
    if os.path.isdir(path):  # os.path, not Path: a name that is too long is then just not there
        raise AudioError(f"{path} is a folder; name a {_KNOWN} file in it.")
    if not os.path.exists(path):
        raise AudioError(f"There is no file {path}; check the name and the folder.")
    if not path.is_file():
        raise AudioError(f"{path} is not an ordinary file; name a {_KNOWN} file.")
    if path.stat().st_size == 0:
        raise AudioError(f"{path} is empty (0 bytes); name a {_KNOWN} file that holds sound.")
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: a .raw name, which has no header
        reason = "cannot be opened" if not os.access(path, os.R_OK) else "is not sound that can be read here"
        raise AudioError(f"{path} {reason}; give a {_KNOWN} file, or convert it to one first.") from error
    with file:
        yield file


def read_frames(file: soundfile.SoundFile, path: str | Path, frames: int = -1) -> Tensor:
    """The next `frames` frames of an open file (-1: the rest) as (s, c) float32. Raises AudioError where damaged."""
    try:
        block = file.read(frames, dtype="float32", always_2d=True)
    except (RuntimeError, OSError) as error:
        raise AudioError(f"{path} is damaged and cannot be read to its end; save or download it again.") from error
    return torch.from_numpy(block)


def mono(frames: Tensor) -> Tensor:
    """Mix (s, c) down to (s,). Where the channels cancel out (one is inverted), the first channel is taken alone."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    mix = frames.mean(dim=1)
    return frames[:, 0] if mix.square().mean() < 0.01 * frames.square().mean() else mix


def write(path: str | Path, samples: Tensor, rate: int) -> None:
    """Write (s,) sound as the format of the name's ending. Raises OutputError; see `AudioWriter`."""
    with AudioWriter(path, rate) as writer:
        writer.write(samples)


class AudioWriter:
    """Writes a sound file piece by piece; the file appears under its name only when it is complete.

    path: ends in .wav, .flac, .ogg or .mp3, which chooses the format. rate in Hz. Use as a context manager and call
    `write` for each piece. A hidden file in the same folder takes the sound meanwhile; it is renamed at the end, and
    removed if anything raised, so that an older file of that name stays as it was.
    Raises OutputError, with the reason, where the file cannot be written, and AudioError for sound that is none.
    """

    def __init__(self, path: str | Path, rate: int) -> None:
        self.path = Path(path)
        self.rate = rate
        self.samples = 0
        self._format, self._subtype = _format(self.path, rate)
        self._target = _target(self.path)
        self._part = self._target.with_name(f".{self._target.name[:60]}.{secrets.token_hex(4)}.part")
        self._file: Any = None

    def __enter__(self) -> AudioWriter:
        import soundfile

        try:
            self._file = soundfile.SoundFile(str(self._part), "w", self.rate, 1, self._subtype, format=self._format)
        except (RuntimeError, OSError, ValueError) as error:
            self._discard()
            raise OutputError(_why_not(self.path, self._part.parent)) from error
        return self

    def write(self, samples: Tensor) -> None:
        """Append (s,) sound in [-1, 1]; what lies outside is clipped. Raises AudioError where it is not numbers."""
        samples = samples.detach().float().cpu()
        if samples.ndim != 1:
            raise AudioError(f"Sound to write must have one axis (samples), not the shape {tuple(samples.shape)}.")
        if not bool(samples.isfinite().all()):
            raise AudioError("The sound holds values that are not numbers (NaN or infinity), so it was not written.")
        try:
            for block in samples.clamp(-1, 1).split(_BLOCK):
                self._file.write(block.numpy())
        except (RuntimeError, OSError, AssertionError) as error:  # soundfile asserts that every sample was taken
            raise self._full() from error
        self.samples += samples.shape[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._close()
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def abandon(self) -> None:
        """Stop without a file."""
        try:
            self._close()
        finally:
            self._discard()

    def _close(self) -> None:
        try:
            self._file.close()
        except (RuntimeError, OSError) as error:
            raise self._full() from error

    def _finish(self) -> None:
        if not self.samples:
            raise OutputError(f"{self.path} was not written: there was no sound to write.")
        self._verify()
        try:
            os.replace(self._part, self._target)
        except OSError as error:
            raise OutputError(_why_not(self.path, self._part.parent)) from error

    def _verify(self) -> None:
        """libsndfile does not report a last buffer that found no room: compare what arrived with what was sent."""
        import soundfile

        try:
            arrived = soundfile.info(str(self._part)).frames
        except (RuntimeError, OSError) as error:
            raise self._full() from error
        if arrived < self.samples:
            raise self._full()

    def _full(self) -> OutputError:
        return OutputError(f"{self.path} could not be written to its end; free some space on that disk and try again.")

    def _discard(self) -> None:
        with suppress(OSError):
            self._part.unlink()


def check_writable(path: str | Path, rate: int) -> None:
    """Raise the OutputError that writing would raise, before minutes of work are lost to a mistyped name."""
    AudioWriter(path, rate).__enter__().abandon()


def _format(path: Path, rate: int) -> tuple[str, str]:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        ending = f"ends in {suffix}" if suffix else "has no ending"
        raise OutputError(f"{path} {ending}, which names no sound format here; use {', '.join(FORMATS)}.")
    if suffix == ".mp3" and rate not in MP3_RATES:
        raise OutputError(f"MP3 has no sample rate of {rate} Hz; use one of {', '.join(map(str, MP3_RATES))}, or .wav.")
    return FORMATS[suffix]


def _target(path: Path) -> Path:
    """Where the file really goes: links are followed, and what is not a file (a folder, a device) is refused."""
    target = Path(os.path.realpath(path))
    if os.path.isdir(target):  # os.path, not Path: a name that is too long is then just not there
        raise OutputError(f"{path} is a folder; name a file in it, such as {path / 'speech.wav'}.")
    if os.path.exists(target) and not os.path.isfile(target):
        raise OutputError(f"{path} is a device or a pipe, not a file; name a file to write to.")
    if not os.path.isdir(target.parent):
        raise OutputError(f"There is no folder {path.parent}; make it first, or write somewhere else.")
    if len(os.fsencode(target.name)) > _LONGEST_NAME:
        raise OutputError(f"{path} cannot be written: its name is too long; use a shorter one.")
    return target


def _why_not(path: Path, folder: Path) -> str:
    if not os.access(folder, os.W_OK):
        return f"{path} cannot be written: the folder does not allow it; choose another folder."
    return f"{path} cannot be written there; check the name, the free space and the folder's permissions."
