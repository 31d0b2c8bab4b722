"""Emotion as prosody: how high, how lively, how fast, how loud and how breathy `mini` speaks.

No actor was heard and nothing of an emotion's meaning was learned; an emotion is a point among these five ways to move
a neutral voice. Which way each emotion lies is what listeners hear in acted speech by and large: anger and joy are
high, lively, quick and loud, sadness and tenderness low, flat, slow and soft (Juslin and Laukka 2003, table 7); how far
is ours.

A slow tempo moves the durations, a quick one presses the mel together. Who moves the rest depends on the vocoder. The
small one knows a voice as pulses and noise through filters that hold at another pitch (`training/train_vocoder.py`): it
moves pitch and breath itself, and effort is a tilt of the mel. The universal one speaks what the mel shows: the
acoustic model was taught to write such mels, on its teacher's speech moved in these ways (`training/manner.py`).

Axes: b batch (1), n phones, v voices, t mel frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from tts_lab.audio.pitch import HIGHEST_LIVELY, fundamental, nuclei, spread
from tts_lab.errors import VoiceError
from tts_lab.nearest import did_you_mean
from tts_lab.systems.mini.codes import PITCH_STEP, PITCHES
from tts_lab.types import NEPER, Request

ENERGY_UNIT = 6.0  # dB of effort that are one unit of the learned direction
EFFORT = 0.5  # dB above TILT_TO for each dB of effort, beyond the level (Traunmueller and Eriksson 2000)
TILT_FROM, TILT_TO = 500.0, 2000.0  # Hz
VOICED_BELOW = 500.0  # Hz: what is loud there has a voice, or a hum
SPEAKABLE = (55.0, 700.0)  # Hz, whatever an emotion asks for
ROUNDING = 1e-4
# Factor of the codes' excursions -> that of the pitch that is heard, and the semitones by which its median moves then;
# measured on 8 `dev` sentences (docs/LOG.md). `benchmarks/pitch_range.py` measures it again; other draws come within
# 0.1 and 0.3. A code is the mean of a phone; how the pitch goes inside it is the tone's, and does not follow.
CODES = (0.05, 0.3, 0.6, 1.0, 1.5, 2.0)
HEARD = (0.34, 0.52, 0.69, 1.0, 1.39, 1.6)
SHIFT = (-0.6, -0.6, -0.5, 0.0, 1.0, 1.7)
SEMITONES = 12 / math.log(2)  # of one unit of a natural logarithm


@dataclass(frozen=True)
class Prosody:
    """How something is said, beside the voice's own way.

    level: semitones. range: factor of the pitch's excursions around its median; before the universal vocoder, what lies
    beyond 0.34 to 1.6 is spoken as these. tempo: factor of the speaking rate. energy: vocal effort in dB. breath: 0 to
    1.
    """

    level: float = 0.0
    range: float = 1.0
    tempo: float = 1.0
    energy: float = 0.0
    breath: float = 0.0

    def __str__(self) -> str:
        parts = (
            (self.level, f"pitch {self.level:+.1f} semitones"), (self.range - 1, f"range × {self.range:.2f}"),
            (self.tempo - 1, f"tempo × {self.tempo:.2f}"), (self.energy, f"effort {self.energy:+.1f} dB"),
            (self.breath, f"breath {self.breath:.0%}"),
        )  # fmt: skip
        return ", ".join(words for value, words in parts if abs(value) > 0.004) or "as the voice is"

    @property
    def gain(self) -> float:
        """What the effort adds to a natural-log mel."""
        return self.energy / NEPER

    @property
    def manner(self) -> Tensor:
        """(1, 2): effort and breath in units of the learned directions."""
        return torch.tensor([[self.energy / ENERGY_UNIT, self.breath]])

    def of_codes(self, codes: Tensor) -> Tensor:
        """Pitch codes (b, n) at this level and range; what has no voice keeps none."""
        factor, shift = (float(np.interp(self.range, HEARD, column)) for column in (CODES, SHIFT))
        semitones = (codes.float() - PITCHES // 2) * PITCH_STEP * factor + self.level - shift
        moved = (semitones / PITCH_STEP).round() + PITCHES // 2
        return torch.where(codes > 0, moved.clamp(1, PITCHES - 1), 0).to(codes.dtype)

    @property
    def moves_the_voice(self) -> bool:
        """Whether pitch or breath are not the voice's own."""
        return (self.level, self.range, self.breath) != (0, 1, 0)

    def of_spectrum(self, hertz: Tensor) -> Tensor:
        """What the effort adds to a natural-log spectrum at these frequencies in Hz: louder, and more so high up."""
        rise = torch.from_numpy(ramp(hertz.numpy(), TILT_FROM, TILT_TO)).to(hertz.dtype)
        return self.gain * (1 + EFFORT * rise)

    def of_pitch(self, f0: Tensor, voiced: Tensor) -> Tensor:
        """Pitch (1, t) in Hz at this level and range around its median where it is voiced, (1, t)."""
        median = f0[voiced].median() if voiced.any() else f0.median()
        return (median * 2 ** (self.level / 12) * (f0 / median) ** self.range).clamp(*SPEAKABLE)


def ramp(hertz: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to `low`, 1 from `high`, straight on a logarithmic axis between."""
    return np.clip(np.log(np.maximum(hertz, 1) / low) / np.log(high / low), 0, 1)


def voiced_in(mel: Tensor, centres: Tensor) -> Tensor:
    """Frames (1, t) of a log-mel (1, m, t), bands at `centres` Hz, that are louder below VOICED_BELOW than most are."""
    low = mel[:, centres < VOICED_BELOW].mean(1)
    return low > low.mean()


NEUTRAL = Prosody()
EMOTIONS: Mapping[str, Prosody] = {
    "neutral": NEUTRAL,
    "happy": Prosody(level=2.0, range=1.25, tempo=1.08, energy=2.0),
    "sad": Prosody(level=-1.5, range=0.65, tempo=0.85, energy=-4.0, breath=0.3),
    "angry": Prosody(level=1.5, range=1.3, tempo=1.12, energy=4.0),
    "surprised": Prosody(level=3.5, range=1.4, tempo=1.0, energy=2.0),
    "calm": Prosody(level=-0.75, range=0.8, tempo=0.9, energy=-2.0, breath=0.15),
}


def blended(weights: Sequence[float], strength: float = 1.0) -> Prosody:
    """The prosody of weighted emotions, in the order of EMOTIONS: semitones, dB and breath are averaged, factors by
    their logarithms, and what the weights leave to 1 is neutral."""
    logs = [_logs(prosody) for prosody in EMOTIONS.values()]
    mixed = [strength * sum(w * row[k] for w, row in zip(weights, logs, strict=True)) for k in range(len(logs[0]))]
    level, wide, tempo, energy, breath = mixed
    return Prosody(level, math.exp(wide), math.exp(tempo), energy, breath)


def _logs(prosody: Prosody) -> tuple[float, ...]:
    level, wide, tempo, energy, breath = astuple(prosody)
    return level, math.log(wide), math.log(tempo), energy, breath


@dataclass(frozen=True)
class Habits:
    """How somebody speaks by and large: median of the natural-log fundamental in Hz, standard deviation of the pitch in
    semitones, syllable nuclei in a second."""

    log_f0: float
    deviation: float
    rate: float


def heard(samples: Tensor) -> Habits:
    """Habits of (s,) sound at 22,050 Hz. Raises VoiceError where there is no voice in it.

    Pitch an octave and more from the median is taken for an error of the tracker and does not widen the voice.
    """
    f0 = fundamental(samples, HIGHEST_LIVELY)
    voiced = np.log(f0[~np.isnan(f0)])
    count, seconds = nuclei(samples)
    if len(voiced) < 20 or not seconds:
        raise VoiceError("The clip of an emotion holds too little voice to tell how high and how fast it is spoken.")
    middle = float(np.median(voiced))
    near = voiced[np.abs(voiced - middle) < math.log(2)]
    return Habits(middle, spread(near * SEMITONES), (count - 1) / seconds)


LIMITS = Prosody(level=5.0, range=1.4, tempo=1.3)  # how far a clip may move a voice: what it was taught, about


def imitated(clip: Habits, own: Habits, strength: float = 1.0) -> Prosody:
    """The prosody that brings a voice of those habits to the clip's: level, range and tempo. A clip's loudness is its
    recording's, and its breath cannot be told from its room's; neither is taken."""
    level = SEMITONES * (clip.log_f0 - own.log_f0)
    ratios = (clip.deviation / own.deviation, clip.rate / own.rate)
    wide, tempo = (
        max(-math.log(most), min(math.log(most), math.log(ratio)))
        for ratio, most in zip(ratios, (LIMITS.range, LIMITS.tempo), strict=True)
    )
    level = max(-LIMITS.level, min(LIMITS.level, level))
    return Prosody(strength * level, math.exp(strength * wide), math.exp(strength * tempo))


def asked(request: Request) -> Prosody | None:
    """The prosody of a named or weighted emotion; None where a clip says it.

    Raises VoiceError for an unknown name, wrong weights, a text, or more than one way to say the emotion.
    """
    ways = (request.emotion, request.emotion_reference, request.emotion_weights, request.emotion_text)
    if sum(way is not None for way in ways) > 1:
        raise VoiceError("The emotion is given in several ways; give one: a name, a clip or weights.")
    if request.emotion_text is not None:
        raise VoiceError("mini does not read an emotion from a text; give its name, weights or a clip.")
    if request.emotion_reference is not None:
        return None
    if request.emotion_weights is not None:
        return blended(_checked(request.emotion_weights), request.emotion_strength)
    name = request.emotion or "neutral"
    if name not in EMOTIONS:
        known = ", ".join(EMOTIONS)
        raise VoiceError(f"mini has no emotion {name!r}{did_you_mean(name, tuple(EMOTIONS))}; it knows {known}.")
    return blended([float(name == other) for other in EMOTIONS], request.emotion_strength)


def _checked(weights: Sequence[float]) -> Sequence[float]:
    fits = (
        len(weights) == len(EMOTIONS) and all(math.isfinite(w) and w >= 0 for w in weights) and sum(weights) <= 1.0001
    )
    if not fits:
        raise VoiceError(
            f"Weights of mini's emotions are {len(EMOTIONS)} numbers from 0 to 1, together at most 1, for "
            f"{', '.join(EMOTIONS)}; not {', '.join(f'{w:g}' for w in weights)}."
        )
    return weights
