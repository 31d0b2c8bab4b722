"""What stands below a spectrogram and beside it: syllables with their times, and the hertz of mel bands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tts_lab.audio.mel import MelSpec
from tts_lab.errors import TextError
from tts_lab.text.front_end import Syllable, analyse
from tts_lab.text.phones import MARKS
from tts_lab.types import Mel, Semantic

TICKS_HZ = (0, 250, 500, 1000, 2000, 4000, 8000)
DRAWABLE = {"ꭧ": "ʈʂ"}  # matplotlib's own font lacks the ligature


@dataclass(frozen=True)
class Label:
    """A syllable, or a single unit where syllables are not known, and its time in seconds from the mel's beginning."""

    text: str
    start: float
    end: float


def labels(mel: Mel, chinese: bool = False) -> list[Label]:
    """Labels of a mel, marks left out; empty where the system gives no durations.

    Units are grouped by the code `syllable` (b, n; -1 is a mark). A syllable is written in pinyin where the system says
    how it was read, or the front end finds as many in the text as were spoken, else by its units. chinese: write its
    character instead of its pinyin.
    """
    semantic = mel.semantic
    if not semantic.units or len(semantic.units) != len(semantic.durations):
        return []
    groups = _groups(semantic)
    edges = [0]
    for frames in semantic.durations:
        edges.append(edges[-1] + frames)
    second = mel.hop_length / mel.sample_rate
    return [
        Label(name, edges[group[0]] * second, edges[group[-1] + 1] * second)
        for name, group in zip(_names(semantic, groups, chinese), groups, strict=True)
    ]


def mels_to_hz_ticks(bands: int, spec: MelSpec) -> list[tuple[float, int]]:
    """Round frequencies and where they lie among `bands` bands: (band, hertz), up to the highest of the front end."""
    highest = spec.fmax if spec.fmax is not None else spec.sample_rate / 2
    low, high = slaney_mel(spec.fmin), slaney_mel(highest)
    return [
        (bands * (slaney_mel(hertz) - low) / (high - low), hertz) for hertz in TICKS_HZ if spec.fmin <= hertz <= highest
    ]


def slaney_mel(hertz: float) -> float:
    """Hertz -> mel after Slaney's Auditory Toolbox (1998), librosa's default: linear below 1 kHz, then logarithmic."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * math.log(hertz / 1000) / math.log(6.4)


def _groups(semantic: Semantic) -> list[list[int]]:
    """Indices of the units of each syllable, in order; each unit alone where syllables are not given."""
    spoken = [i for i, unit in enumerate(semantic.units) if unit not in MARKS and not unit.startswith("<")]
    if "syllable" not in semantic.codes:
        return [[i] for i in spoken]
    syllable = semantic.codes["syllable"][0].tolist()
    groups: dict[int, list[int]] = {}
    for i in spoken:
        if syllable[i] >= 0:
            groups.setdefault(int(syllable[i]), []).append(i)
    return list(groups.values())


def _names(semantic: Semantic, groups: list[list[int]], chinese: bool) -> list[str]:
    read = _read(semantic.chunk.text) if "syllable" in semantic.codes else ()
    if len(read) == len(groups):
        return [syllable.text if chinese else _pinyin(syllable.pinyin) for syllable in read]
    if len(semantic.syllables) == len(groups):
        return [_pinyin(syllable) for syllable in semantic.syllables]
    units = ["".join(semantic.units[i] for i in group) for group in groups]
    return ["".join(DRAWABLE.get(symbol, symbol) for symbol in unit) for unit in units]


def _read(text: str) -> tuple[Syllable, ...]:
    try:
        return analyse(text).syllables
    except TextError:
        return ()


def _pinyin(syllable: str) -> str:
    """`"tian1"` -> `"tiān"`."""
    from pypinyin.contrib.tone_convert import to_tone

    return str(to_tone(syllable.replace("v", "ü")))
