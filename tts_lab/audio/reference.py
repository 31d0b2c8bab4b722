"""Reference clips: the sound file whose voice is to be imitated, checked and cut to what a system can use.

Axes: s samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from tts_lab.audio import files
from tts_lab.audio.resample import resample
from tts_lab.errors import AudioError

if TYPE_CHECKING:
    import soundfile

SILENCE_DB = -50.0  # dBFS of the loudest stretch of 50 ms: quieter than any usable recording of speech
DULL_BELOW = 16_000  # Hz: under this rate the consonants' upper half is missing
_STRETCH_SECONDS = 0.05
_BLOCK_STRETCHES = 200  # 10 s at a time, so that an hour-long file needs no more memory than a short one
_BLOCKS_SEARCHED = 60


@dataclass(frozen=True)
class Reference:
    """A clip ready to imitate.

    samples: (s,) float32 at sample_rate Hz. seconds_in_file: length of the whole file. start: second at which the
    used part begins. notes: sentences a user should see about what was done to the clip.
    """

    samples: Tensor
    sample_rate: int
    seconds_in_file: float
    start: float
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.samples.shape[-1] / self.sample_rate


def load_reference(path: str | Path, rate: int, min_seconds: float = 1.0, max_seconds: float = 15.0) -> Reference:
    """Load a clip of one voice from a sound file.

    rate: Hz wanted. The clip is mixed down to one channel and resampled; of a file longer than `max_seconds` only
    that much is used, from the first place that is full of sound. Raises AudioError, in one sentence, for a file that
    is missing, not audio, empty, shorter than `min_seconds`, silent, or holds values which are not numbers.
    """
    with files.open_sound(path) as file:
        own_rate, channels, total = int(file.samplerate), int(file.channels), int(file.frames)
        _check_length(path, total / own_rate, min_seconds)
        limit = round(max_seconds * own_rate)
        start = _best_start(file, path, limit) if total > limit else 0
        file.seek(start)
        frames = files.read_frames(file, path, limit)
    _check_length(path, frames.shape[0] / own_rate, min_seconds)  # a header may promise more than there is
    samples = files.mono(frames)
    _check_sound(path, samples, own_rate, min_seconds)
    notes = _notes(samples, own_rate, rate, channels, total, start)
    samples = samples / samples.abs().max().clamp(min=1.0)
    return Reference(resample(samples, own_rate, rate), rate, total / own_rate, start / own_rate, notes)


def stretch_levels(samples: Tensor, rate: int) -> Tensor:
    """Level in dBFS of each stretch of 50 ms of (s,) sound, without its constant offset; a shorter rest is left out."""
    size = round(_STRETCH_SECONDS * rate)
    stretches = samples[: samples.shape[-1] // size * size].view(-1, size)
    power = (stretches - stretches.mean(dim=1, keepdim=True)).square().mean(dim=1)
    return 10 * torch.log10(power + 1e-12)


def _best_start(file: soundfile.SoundFile, path: str | Path, wanted: int) -> int:
    """Frame of an open file at which a part of `wanted` frames is nearly as full of sound as any; the earliest such.

    Reads block by block, and only the first ten minutes, so that any length of file costs little time and memory.
    """
    size = round(_STRETCH_SECONDS * file.samplerate)
    levels = []
    for _ in range(_BLOCKS_SEARCHED):
        frames = files.read_frames(file, path, size * _BLOCK_STRETCHES)
        levels.append(stretch_levels(files.mono(frames), file.samplerate))
        if frames.shape[0] < size * _BLOCK_STRETCHES:
            break
    so_far = F.pad((torch.cat(levels) > SILENCE_DB).cumsum(0), (1, 0))
    window = min(wanted // size, so_far.shape[0] - 1)
    loud = so_far[window:] - so_far[: so_far.shape[0] - window]
    return int((loud >= 0.9 * loud.max()).nonzero()[0]) * size


def _check_length(path: str | Path, seconds: float, least: float) -> None:
    if seconds == 0:
        raise AudioError(f"{path} is empty: it is a sound file that holds no sound.")
    if seconds < least:
        raise AudioError(f"{path} is {seconds:.2g} s long; a reference clip needs at least {least:g} s of one voice.")


def _check_sound(path: str | Path, samples: Tensor, rate: int, least: float) -> None:
    if not bool(samples.isfinite().all()):
        raise AudioError(f"{path} holds values that are not numbers (NaN or infinity); export it again as 16-bit WAV.")
    loud = float((stretch_levels(samples, rate) > SILENCE_DB).sum()) * _STRETCH_SECONDS
    if loud == 0:
        raise AudioError(f"{path} is silent; a reference clip needs at least {least:g} s of one voice.")
    if loud < least / 2:  # half: speech pauses too
        raise AudioError(
            f"{path} is silent but for {loud:.2g} s; a reference clip needs at least {least:g} s of one voice."
        )


def _notes(samples: Tensor, own_rate: int, rate: int, channels: int, total: int, start: int) -> tuple[str, ...]:
    notes = []
    used = samples.shape[0]
    if used < total:
        begin = f"{start / own_rate:.1f}"
        notes.append(
            f"The clip is {total / own_rate:.1f} s long; {used / own_rate:.1f} s from second {begin} are used."
        )
    if channels > 1:
        notes.append(f"The clip has {channels} channels; they were mixed down to one.")
    if own_rate < min(DULL_BELOW, rate):
        notes.append(
            f"The clip has a sample rate of {own_rate} Hz, which keeps nothing above {own_rate // 2} Hz: "
            "the voice will sound dull."
        )
    if float((samples.abs() >= 0.999).float().mean()) > 0.01:
        notes.append("The clip is distorted: it was recorded too loud, and the imitated voice may be harsh.")
    return tuple(notes)
