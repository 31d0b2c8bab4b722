"""Names of voices, speakers and emotions, and mixtures of two emotions, as data.

An emotion is a row of an embedding; the model has no input for its intensity. A mixture of two rows, one of them
neutral if a weaker emotion is wanted, is the natural experiment, and its result is no setting that was ever taught.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tts_lab.errors import VoiceError
from tts_lab.nearest import did_you_mean
from tts_lab.systems.sambert.symbols import EMOTIONS as SYMBOLS
from tts_lab.systems.sambert.symbols import NAMED_EMOTIONS, SPEAKERS

EMOTIONS = (*NAMED_EMOTIONS, *(f"placeholder_{row}" for row in range(len(NAMED_EMOTIONS), len(SYMBOLS))))
"""Name of each emotion, by row: 0 none, 1 neutral, ... 24 to 32 placeholders, which no public voice names."""

NEUTRAL = "neutral"
IN_CHINESE = {
    "中性": "neutral", "愤怒": "angry", "生气": "angry", "厌恶": "disgust", "恐惧": "fear", "害怕": "fear",
    "高兴": "happy", "开心": "happy", "快乐": "happy", "喜悦": "happy", "悲伤": "sad", "难过": "sad",
    "惊讶": "surprise", "平静": "calm", "温柔": "gentle", "放松": "relax", "抒情": "lyrical", "严肃": "serious",
    "不满": "disgruntled", "满意": "satisfied", "失望": "disappointed", "激动": "excited", "焦虑": "anxiety",
    "嫉妒": "jealousy", "憎恨": "hate", "同情": "pity",
}  # fmt: skip

ALIKE = 0.5  # for `did_you_mean`: in short names, of two characters often, one wrong one weighs much
PART = re.compile(r"\s*(?:(\d+(?:\.\d+)?)\s*%)?\s*([^%+]*?)\s*")


@dataclass(frozen=True)
class Voice:
    """A released voice. name: of its files; chinese: as its publisher writes it; model: its name at ModelScope."""

    name: str
    chinese: str
    aliases: tuple[str, ...]
    model: str


def _voice(name: str, chinese: str, *aliases: str) -> Voice:
    model = f"damo/speech_sambert-hifigan_tts_{name}_emo_zh-cn_16k"
    return Voice(name, chinese, (chinese, *aliases, f"{name}_emo", model), model)


VOICES = (
    _voice("zhibei", "知贝", "知北"),
    _voice("zhiyan", "知燕", "知雁"),
    _voice("zhitian", "知甜"),
    _voice("zhizhe", "知哲"),
)
"""Released voices with emotions. 知北 and 知雁 are how the article spells the first two."""


@dataclass(frozen=True)
class EmotionMix:
    """What the emotion embedding is to be: (1 - share) of the row of `first` and share of that of `second`.

    first, second: names, as `find_emotion` takes them; share: 0 to 1. Raises VoiceError for anything else.
    """

    first: str = NEUTRAL
    second: str = NEUTRAL
    share: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", find_emotion(self.first))
        object.__setattr__(self, "second", find_emotion(self.second))
        number = isinstance(self.share, int | float) and not isinstance(self.share, bool)
        if not number or not math.isfinite(self.share) or not 0 <= self.share <= 1:
            raise VoiceError(f"The share of the second emotion is a number from 0 to 1, not {self.share!r}.")

    @property
    def weights(self) -> dict[int, float]:
        """Embedding row -> its weight, heaviest first; the weights sum to 1, and a row of weight 0 is left out."""
        rows = emotion_row(self.first), emotion_row(self.second)
        parts = {rows[0]: 1.0} if rows[0] == rows[1] else {rows[0]: 1 - self.share, rows[1]: float(self.share)}
        return {row: part for row, part in sorted(parts.items(), key=lambda item: -item[1]) if part}

    def __str__(self) -> str:
        return " + ".join(
            EMOTIONS[row] if part == 1 else f"{100 * part:g}% {EMOTIONS[row]}" for row, part in self.weights.items()
        )


def read_mix(text: str) -> EmotionMix:
    """`"happy"`, `"happy + sad"` (half and half), `"30% happy + 70% neutral"`, `"30% happy"` (the rest neutral).

    Raises VoiceError with the nearest name, or where shares do not sum to 100.
    """
    parts = [found.groups() for found in map(PART.fullmatch, text.split("+")) if found]
    if not 1 <= len(parts) <= 2 or len(parts) != text.count("+") + 1:
        raise VoiceError(f"{text!r} is no mixture: write one emotion or two, such as '30% happy + 70% neutral'.")
    names = [name for _, name in parts]
    shares = [float(share) if share else None for share, _ in parts]
    if len(parts) == 1:
        return EmotionMix(NEUTRAL if shares[0] is not None else names[0], names[0], _part(shares[0] or 0, text))
    first, second = shares
    if first is not None and second is not None and abs(first + second - 100) > 1e-6:
        raise VoiceError(f"The shares of {text!r} sum to {first + second:g}%, not to 100%.")
    given = second if second is not None else 100 - first if first is not None else 50
    return EmotionMix(names[0], names[1], _part(given, text))


def _part(percent: float, text: str) -> float:
    if not 0 <= percent <= 100:
        raise VoiceError(f"A share in {text!r} is out of range: shares go from 0% to 100%.")
    return percent / 100


def find_emotion(name: str) -> str:
    """An emotion's name from `happy`, `Happy`, `emotion_happy`, 高兴, `placeholder_24` or `emotion_placeholder1`.

    Raises VoiceError with the nearest name.
    """
    if not isinstance(name, str):
        raise VoiceError(f"An emotion is given by its name, not {name!r}.")
    plain = name.strip().lower()
    if plain in IN_CHINESE:
        return IN_CHINESE[plain]
    if f"emotion_{plain.removeprefix('emotion_')}" in SYMBOLS:
        return EMOTIONS[SYMBOLS.index(f"emotion_{plain.removeprefix('emotion_')}")]
    if plain in EMOTIONS:
        return plain
    known = [*EMOTIONS, *IN_CHINESE]
    guess = did_you_mean(plain, known, ALIKE)
    raise VoiceError(f"No emotion is called {name!r}{guess}; they are {', '.join(NAMED_EMOTIONS)}.")


def emotion_row(name: str) -> int:
    """Row of an emotion's embedding, 0 to 32."""
    return EMOTIONS.index(find_emotion(name))


def emotion_symbol(name: str) -> str:
    """An emotion as a unit writes it: `emotion_happy`."""
    return SYMBOLS[emotion_row(name)]


def find_voice(name: str) -> Voice:
    """A released voice from its name, its Chinese name or its model's. Raises VoiceError with the nearest."""
    names = {alias.lower(): voice for voice in VOICES for alias in (voice.name, *voice.aliases)}
    plain = str(name).strip().lower()
    if plain in names:
        return names[plain]
    known = ", ".join(f"{voice.name} ({voice.chinese})" for voice in VOICES)
    raise VoiceError(f"No voice is called {name!r}{did_you_mean(plain, names, ALIKE)}; the released ones are {known}.")


def find_speaker(name: str, speakers: tuple[str, ...] = SPEAKERS) -> str:
    """A speaker of the checkpoint's list, in its spelling. Raises VoiceError with the nearest."""
    names = {speaker.lower(): speaker for speaker in speakers}
    plain = str(name).strip().lower()
    if plain in names:
        return names[plain]
    guess = did_you_mean(plain, speakers, ALIKE)
    raise VoiceError(f"No speaker is called {name!r}{guess}; they are {', '.join(speakers)}.")
