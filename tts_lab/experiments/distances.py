"""How far one rendering of a text is from another: mel-cepstral distance and error of the fundamental frequency.

Both are taken from the sound, so that systems with different mels are measured alike. Where two sounds have the same
number of frames they are compared frame by frame: one seed gives one set of durations. Where they do not, frames are
paired by dynamic time warping of the cepstra, and the result says so.

Axes: s samples, t mel frames, k cepstral coefficients.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from tts_lab.audio.backend import torchaudio
from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.audio.pitch import fundamental
from tts_lab.audio.resample import resample
from tts_lab.types import NEPER

Array = np.ndarray[Any, np.dtype[np.float32]]

COEFFICIENTS = 13  # c_1 to c_13; c_0 is the level
QUIET_DB = 40.0  # a frame so far below the reference's loudest is a pause, not speech
LONGEST_WARPED = 6_000  # frames, 70 s: the warping's table grows with the square


@dataclass(frozen=True)
class Features:
    """What is compared of a sound. cepstra: (t, k); level: (t,) dB; f0: (t,) Hz, NaN where there is no voice.
    speaker: an embedding of the voice, where a judge made one."""

    cepstra: Array
    level: Array
    f0: Array
    speaker: Array | None = None

    def to_bytes(self) -> bytes:
        """A file in NumPy's npz format that `from_bytes` reads."""
        out = io.BytesIO()
        arrays = {"cepstra": self.cepstra, "level": self.level, "f0": self.f0}
        if self.speaker is not None:
            arrays["speaker"] = self.speaker
        np.savez_compressed(out, **arrays)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Features:
        """Raises ValueError, KeyError or zipfile.BadZipFile for anything else."""
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return cls(found["cepstra"], found["level"], found["f0"], found.get("speaker"))


@dataclass(frozen=True)
class Distance:
    """Of a sound from its reference. None: cannot be told (nothing voiced; lengths too far apart to be warped).

    mel_cepstral: dB. f0_cents: root mean square over frames that are voiced in both, in cents. voicing: share of frames
    that are voiced in one of them only. alignment: `frames` or `warped`. f0_correlation: of the logarithms of the
    frequency, over the same frames as f0_cents (Pearson): whether the tune is the same, whatever its height.
    """

    mel_cepstral: float | None
    f0_cents: float | None
    voicing: float | None
    alignment: str
    f0_correlation: float | None = field(default=None, compare=False)


def features(samples: Tensor, rate: int) -> Features:
    """Features of (s,) sound at `rate` Hz. Raises AudioError where it is shorter than a frame of 46 ms."""
    sound = resample(samples.detach().float().cpu(), rate, MEL_22K.sample_rate)
    mel = log_mel(sound, MEL_22K)[0].T  # (t, m), natural logarithm of the magnitude
    pitch = fundamental(sound)[: len(mel)]
    level = NEPER * mel.max(1).values
    return Features(cepstra(mel).numpy(), level.numpy(), pitch.astype(np.float32))


def cepstra(mel: Tensor) -> Tensor:
    """Mel cepstra (t, k) of a natural-log mel (t, m): c_j = 2/m sum_n mel_n cos(pi j (n + 1/2) / m), so that
    mel_n = c_0 + sum_j c_j cos(pi j (n + 1/2) / m)."""
    basis = torchaudio().functional.create_dct(COEFFICIENTS + 1, mel.shape[1], norm=None)  # 2 cos(...)
    return (mel @ basis)[:, 1:] / mel.shape[1]


def distance(found: Features, reference: Features) -> Distance:
    """How far a sound is from its reference, over the frames in which the reference speaks.

    The mel-cepstral distance is 10/ln 10 sqrt(2 sum_j (c_j - c'_j)^2) in dB (Kubichek 1993), the mean over frames:
    of two spectra that differ by a ripple, it is the ripple's root mean square.
    """
    here, there, alignment = _paired(found, reference)
    if not len(here):
        return Distance(None, None, None, alignment)
    speaks = reference.level[there] > reference.level.max() - QUIET_DB
    here, there = here[speaks], there[speaks]
    apart = found.cepstra[here].astype(float) - reference.cepstra[there]
    decibels = 10 / math.log(10) * np.sqrt(2 * (apart**2).sum(1))
    cents, voicing, correlation = _pitch(found.f0[here], reference.f0[there])
    return Distance(float(decibels.mean()), cents, voicing, alignment, correlation)


def _pitch(f0: Array, reference: Array) -> tuple[float | None, float, float | None]:
    voiced, wanted = ~np.isnan(f0), ~np.isnan(reference)
    both = voiced & wanted
    apart = float((voiced != wanted).mean())
    if not both.any():
        return None, apart, None
    here, there = (1200 * np.log2(hertz[both].astype(float)) for hertz in (f0, reference))
    cents = float(np.sqrt(np.square(here - there).mean()))
    moves = here.std() > 1 and there.std() > 1  # cents: a level tone has no tune to compare
    return cents, apart, float(np.corrcoef(here, there)[0, 1]) if moves else None


def _paired(found: Features, reference: Features) -> tuple[Any, Any, str]:
    """Indices of frames that belong together, in both, and how they were found."""
    lengths = len(found.cepstra), len(reference.cepstra)
    if lengths[0] == lengths[1]:
        return np.arange(lengths[0]), np.arange(lengths[0]), "frames"
    if max(lengths) > LONGEST_WARPED:
        return np.arange(0), np.arange(0), "too long to be warped"
    import librosa

    _, path = librosa.sequence.dtw(found.cepstra.T, reference.cepstra.T)
    return path[::-1, 0], path[::-1, 1], "warped"
