"""What can be measured of one piece of a long text: how fast, how loud and how high it is spoken, and where it joins.

Everything is taken from the sound: pitch by pYIN (`distances.fundamental`), loudness after ITU-R BS.1770 with its gate,
which leaves pauses out. The end of one piece is kept and no more, so a book can be measured.

Axes: s samples, t mel frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from tts_lab.audio import clicks
from tts_lab.audio.join import overlap
from tts_lab.audio.loudness import measure as loudness
from tts_lab.audio.mel import MEL_22K
from tts_lab.experiments.distances import QUIET_DB, Features, features
from tts_lab.types import Semantic, Wave

PACE, LOUDNESS, PITCH = "pace", "loudness", "pitch"
FRAME = MEL_22K.hop_length / MEL_22K.sample_rate  # seconds
RANGE = (10, 90)  # percentiles of a piece's pitch: its extremes are errors of the tracker as often as not


@dataclass(frozen=True)
class Piece:
    """What was measured of one piece. None: cannot be told, as in a piece without a voice.

    start, seconds: in the joined sound; spoken: seconds without its pauses; loudness: LUFS; f0: median in Hz; f0_range:
    semitones between the tenth and the ninetieth percentile; click: contrast in dB where it joins the piece before
    (`audio.clicks`), None for the first; loudest_inside: the largest contrast inside the piece, away from its
    joints.
    """

    text: str
    start: float
    seconds: float
    syllables: int
    spoken: float
    loudness: float | None
    f0: float | None
    f0_range: float | None
    click: float | None
    loudest_inside: float | None

    @property
    def pace(self) -> float | None:
        """Syllables a second of speech, pauses left out."""
        return self.syllables / self.spoken if self.syllables and self.spoken else None

    @property
    def pace_with_pauses(self) -> float:
        """Syllables a second of sound."""
        return self.syllables / self.seconds

    def level(self, name: str) -> float | None:
        """Pace, loudness or pitch on a scale whose differences are what is heard: dB, semitones, and 100 times the
        natural logarithm, which is % where it is little."""
        if name == LOUDNESS:
            return self.loudness
        if name == PACE:
            return None if self.pace is None else 100 * math.log(self.pace)
        return None if self.f0 is None else 12 * math.log2(self.f0)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, rounded to what the measures are good for."""
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(self).items()}


def measured(waves: Iterable[Wave], fade: int) -> Iterator[Piece]:
    """Measure waves one at a time, as they would be joined with `fade` samples of overlap."""
    before: Tensor | None = None
    start = 0
    for wave in waves:
        samples, rate = wave.samples[0].detach().float().cpu(), wave.sample_rate
        click = None
        if before is not None:
            start -= overlap(fade, len(before), len(samples))
            click = _finite(clicks.at_joint(before, samples, fade, rate))
        yield _measured(wave, samples, start / rate, fade, click)
        start += len(samples)
        before = samples


def syllables(semantic: Semantic) -> int:
    """How many syllables were spoken, as the system itself says."""
    if semantic.syllables:
        return len(semantic.syllables)
    if "syllable" in semantic.codes:
        return len({int(index) for index in semantic.codes["syllable"].flatten() if index >= 0})
    return sum("\u4e00" <= character <= "\u9fff" for character in semantic.chunk.text)


def _measured(wave: Wave, samples: Tensor, start: float, fade: int, click: float | None) -> Piece:
    found, semantic = features(samples, wave.sample_rate), wave.mel.semantic
    inside = [x for x in clicks.elsewhere(samples, fade, wave.sample_rate) if math.isfinite(x)]
    return Piece(
        semantic.chunk.text, start, len(samples) / wave.sample_rate, syllables(semantic), _spoken(found),
        _finite(loudness(samples, wave.sample_rate)), *_pitch(found), click, max(inside, default=None),
    )  # fmt: skip


def _spoken(found: Features) -> float:
    """Seconds in which there is speech: frames less than 40 dB below the piece's loudest."""
    return float((found.level > found.level.max() - QUIET_DB).sum()) * FRAME


def _pitch(found: Features) -> tuple[float | None, float | None]:
    voiced = found.f0[~np.isnan(found.f0)]
    if not voiced.size:
        return None, None
    low, high = np.percentile(voiced, RANGE)
    return float(np.median(voiced)), 12 * math.log2(float(high) / float(low))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
