"""Whether a syllable's tone can be heard in its pitch, told without a recogniser's knowledge of words.

A recogniser guesses a tone that it did not hear from the words around it. Here a small classifier sees nothing but the
contour of the fundamental frequency, the syllable's length, and how its neighbours' contours end and begin: no text, no
sound. It was taught by the teacher's own syllables (`training/train_tones.py`), and is wrong about the teacher too, so
the figure of a voice is only worth something beside the teacher's.

Axes: s samples, t frames of 11.6 ms, n syllables, f features, h hidden units.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from torch import Tensor

from tts_lab.audio.mel import MEL_22K
from tts_lab.audio.resample import resample
from tts_lab.errors import LabError
from tts_lab.paths import data_dir
from tts_lab.types import Semantic, Speech

TONES = (1, 2, 3, 4, 5)  # 5: neutral
FRAME = MEL_22K.hop_length / MEL_22K.sample_rate  # seconds
LOWEST, HIGHEST = 60.0, 500.0  # Hz, as the bundled voice was taught
POINTS = np.linspace(0.1, 0.9, 8)  # of a syllable at which its contour is read
FEWEST_FRAMES = 3  # voiced ones of a syllable whose tone can be told
BESIDE = 0.1  # seconds: a syllable that is further away is no neighbour
NEAR = POINTS[::2]  # of a neighbour
FEATURES = len(POINTS) + 2 + 2 * (1 + len(NEAR))


@dataclass(frozen=True)
class Timed:
    """A syllable that was to be spoken. tone: 1 to 5; start, end: seconds."""

    tone: int
    start: float
    end: float


@dataclass(frozen=True)
class ToneClassifier:
    """One hidden layer. mean, scale: (f,) of the features; weights: (f, h), (h,), (h, 5), (5,); about: its origin."""

    mean: Any
    scale: Any
    weights: tuple[Any, Any, Any, Any]
    about: dict[str, Any]

    def __call__(self, features: Any) -> Any:
        """(n, f) -> the tones (n,) that it tells, 1 to 5."""
        into, bias, out, shift = self.weights
        hidden = np.tanh((features - self.mean) / self.scale @ into + bias)
        return np.asarray(TONES)[(hidden @ out + shift).argmax(1)]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ToneClassifier:
        mean, scale, *weights = (np.asarray(data[name], float) for name in ("mean", "scale", *WEIGHTS))
        return cls(mean, scale, tuple(weights), data["about"])  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, to four digits."""
        arrays = dict(zip(("mean", "scale", *WEIGHTS), (self.mean, self.scale, *self.weights), strict=True))
        return {
            "about": self.about,
            **{name: np.round(np.asarray(value, float), 4).tolist() for name, value in arrays.items()},
        }


WEIGHTS = ("into", "bias", "out", "shift")


@lru_cache(maxsize=1)
def classifier() -> ToneClassifier:
    """The one that comes with the lab. Raises LabError where its file cannot be read."""
    path = data_dir() / "tones.json"
    try:
        return ToneClassifier.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"The tone classifier {path} cannot be read ({error!r}); restore the lab's own file.") from error


def judged(samples: Tensor, rate: int, syllables: Sequence[Timed]) -> dict[str, int]:
    """Of (s,) sound at `rate` Hz: how many syllables' tones could be told from their pitch, and how many were wrong.

    Raises LabError where pyworld is not installed.
    """
    found, wanted = told(fundamental(samples, rate), syllables)
    if not len(found):
        return {"syllables": 0, "wrong": 0}
    return {"syllables": len(wanted), "wrong": int((classifier()(found) != wanted).sum())}


def told(f0: Any, syllables: Sequence[Timed]) -> tuple[Any, Any]:
    """Features (n, f) and tones (n,) of the syllables that have a pitch. f0: (t,) Hz, NaN where there is no voice."""
    voiced = ~np.isnan(f0)
    if not voiced.any():
        return np.zeros((0, FEATURES)), np.zeros(0, int)
    semitones = 12 * np.log2(f0 / np.median(f0[voiced]))
    contours = [_contour(semitones, each) for each in syllables]
    kept = [i for i, contour in enumerate(contours) if contour is not None]
    rows = [_features(i, contours, syllables, semitones) for i in kept]
    return np.array(rows).reshape(-1, FEATURES), np.array([syllables[i].tone for i in kept], int)


def fundamental(samples: Tensor, rate: int) -> Any:
    """Fundamental frequency (t,) of (s,) sound in Hz, NaN where there is no voice (WORLD: DIO refined by StoneMask)."""
    try:
        import pyworld
    except ModuleNotFoundError:
        raise LabError(
            "Telling tones needs pyworld, which is not installed; run `pip install -c constraints.txt -e '.[judges]'`."
        ) from None
    sound = resample(samples.detach().float().cpu(), rate, MEL_22K.sample_rate).double().numpy()
    f0, times = pyworld.dio(sound, MEL_22K.sample_rate, f0_floor=LOWEST, f0_ceil=HIGHEST, frame_period=1000 * FRAME)
    f0 = pyworld.stonemask(sound, f0, times, MEL_22K.sample_rate)
    return np.where(f0 > 0, f0, np.nan)


def of_piece(semantic: Semantic) -> tuple[Timed, ...]:
    """The syllables of a piece, as the system itself has timed them (codes `syllable` and `tone`, durations in frames).

    Raises LabError for a system that does not say.
    """
    if not {"syllable", "tone"} <= set(semantic.codes) or not semantic.durations:
        raise LabError("The system does not say when it speaks which tone; tones can be told of mini.")
    ends = np.cumsum(semantic.durations) * FRAME
    starts = ends - np.asarray(semantic.durations) * FRAME
    numbers, tones = (semantic.codes[name].flatten().numpy() for name in ("syllable", "tone"))
    found = []
    for number in dict.fromkeys(int(n) for n in numbers if n >= 0):
        (mine,) = np.nonzero(numbers == number)
        found.append(Timed(int(tones[mine[0]]), float(starts[mine[0]]), float(ends[mine[-1]])))
    return tuple(found)


def judged_speech(speech: Speech) -> dict[str, int]:
    """`judged` for all pieces of a speech together."""
    each = [judged(wave.samples[0], wave.sample_rate, of_piece(wave.mel.semantic)) for wave in speech.waves]
    return {name: sum(one[name] for one in each) for name in ("syllables", "wrong")}


def _contour(semitones: Any, syllable: Timed) -> Any:
    """Semitones at POINTS of a syllable, bridged where it has no voice; None where there is too little of it."""
    first, last = round(syllable.start / FRAME), round(syllable.end / FRAME)
    inside = semitones[max(0, first) : last]
    (voiced,) = np.nonzero(~np.isnan(inside))
    if len(voiced) < FEWEST_FRAMES:
        return None
    return np.interp(POINTS * (len(inside) - 1), voiced, inside[voiced])


def _features(index: int, contours: Sequence[Any], syllables: Sequence[Timed], semitones: Any) -> Any:
    """Contour, length and share of voice; of either neighbour whether there is one, and its contour."""
    mine = syllables[index]
    inside = semitones[max(0, round(mine.start / FRAME)) : round(mine.end / FRAME)]
    own = [np.log(mine.end - mine.start), 1 - np.isnan(inside).mean()]
    beside = [_beside(near, mine, contours, syllables) for near in (index - 1, index + 1)]
    edges = [np.r_[1.0, contour[::2]] if contour is not None else np.zeros(1 + len(NEAR)) for contour in beside]
    return np.concatenate([contours[index], own, *edges])


def _beside(index: int, mine: Timed, contours: Sequence[Any], syllables: Sequence[Timed]) -> Any:
    """The contour of a neighbour, None where there is none or a pause lies between."""
    if not 0 <= index < len(syllables):
        return None
    gap = max(syllables[index].start - mine.end, mine.start - syllables[index].end)
    return contours[index] if gap < BESIDE else None
