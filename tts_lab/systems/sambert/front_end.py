"""Chinese text or SSML -> words with surface tones, emotions and breaks -> the units that the acoustic model reads.

Normalisation, words, readings and tone sandhi are the lab's own (`tts_lab.text`); what is particular to this model is
here: erhua, words as a speaker groups them, breaks after them, and an emotion for every word.

Words are as long as a speaker makes them (`grouping`): jieba's joints of two common words (今天天气) are cut, and small
words lean on their neighbours (公园吧, 很好).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

from tts_lab.errors import TextError
from tts_lab.systems.sambert.grouping import in_one_go, reading_words, spoken_parts
from tts_lab.systems.sambert.ssml import Segment, read_ssml
from tts_lab.systems.sambert.symbols import SPEAKERS, syllable_phones
from tts_lab.systems.sambert.units import LingUnit, break_unit, word_units
from tts_lab.systems.sambert.voices import NEUTRAL, emotion_symbol, find_emotion, find_speaker
from tts_lab.text.front_end import CLAUSES, unread
from tts_lab.text.normalise import normalise
from tts_lab.text.pinyin import read_clause
from tts_lab.text.sandhi import Unit

LEVEL_OF = {"、": 2, "，": 3, "：": 3, "；": 3, "。": 4, "！": 4, "？": 4}
LEADING = re.compile(r"[^\w<>$¥€£+−-]+")


@dataclass(frozen=True)
class SpokenWord:
    """text: what is read; pinyin: its syllables with surface tones, erhua as r; emotion: a name; level: of the break
    after it, 1 word to 4 sentence."""

    text: str
    pinyin: tuple[str, ...]
    emotion: str = NEUTRAL
    level: int = 1


@dataclass(frozen=True)
class SpokenText:
    """A text, analysed.

    text: as given; normalised: as said; words: in order, the last one ending with a break of level 4; unknown:
    characters that have no reading and are left out.
    """

    text: str
    normalised: str
    words: tuple[SpokenWord, ...]
    unknown: tuple[str, ...]

    def units(self, speaker: str = SPEAKERS[0], speakers: tuple[str, ...] = SPEAKERS) -> tuple[LingUnit, ...]:
        """What the acoustic model reads, without the end mark. speakers: the checkpoint's list.

        Raises VoiceError for a speaker that is not on it.
        """
        return tuple(self._units(find_speaker(speaker, speakers)))

    def _units(self, speaker: str) -> Iterator[LingUnit]:
        for word in self.words:
            yield from word_units(word.pinyin, emotion_symbol(word.emotion), speaker)
            yield break_unit(word.level, speaker)

    def __str__(self) -> str:
        """Pinyin with breaks, for people: `jin1 tian1 #1 tian1 qi4 #4`."""
        return " ".join(f"{' '.join(word.pinyin)} #{word.level}" for word in self.words)


def analyse(text: str, emotion: str | None = None) -> SpokenText:
    """Everything the acoustic model needs to know of a text, plain or SSML.

    emotion: for what no tag gives another; None is neutral.

    Raises TextError if nothing in it can be spoken or the SSML is malformed, VoiceError for an unknown emotion.
    """
    return _analyse(text, find_emotion(NEUTRAL if emotion is None else emotion))


@lru_cache(maxsize=8)
def _analyse(text: str, emotion: str) -> SpokenText:
    reader = _Reader([], [], {})
    normalised = [reader.read(segment, emotion) for segment in read_ssml(text)]
    reader.end_clause("")
    if not reader.words:
        raise TextError(_nothing(text, reader.unknown))
    words = (*reader.words[:-1], replace(reader.words[-1], level=4))
    return SpokenText(text, "".join(normalised), words, tuple(reader.unknown))


def _nothing(text: str, unknown: Iterable[str]) -> str:
    what = "an empty text" if not text.strip() else repr(text.strip()[:20])
    unread = "".join(unknown)
    why = f" ({unread[:20]!r} has no reading)" if unread else ""
    return f"There is nothing to speak in {what}{why}: give Chinese characters, digits or Latin letters."


@dataclass
class _Reader:
    """Collects clauses, which may go on from one segment of SSML to the next.

    waiting: (word, emotion) of the clause that has not ended; unknown: an ordered set.
    """

    words: list[SpokenWord]
    waiting: list[tuple[str, str]]
    unknown: dict[str, None]

    def read(self, segment: Segment, default: str) -> str:
        """Take in a segment; returns its text as said."""
        text = segment.text.strip()
        leading = LEADING.match(text)
        marks = normalise("好" + leading[0]).text[1:] if leading else ""
        if marks:
            self.end_clause(marks.strip())
        normal = normalise(text)
        self.unknown.update(dict.fromkeys(normal.unknown))
        for stretch, stop in CLAUSES.findall(normal.text):
            for run in stretch.split():
                self.waiting += [(word, segment.emotion or default) for word in reading_words(run)]
            if stop:
                self.end_clause(stop)
        return marks + normal.text if self.words or self.waiting else normal.text

    def end_clause(self, marks: str) -> None:
        level = max((LEVEL_OF[mark] for mark in marks if mark in LEVEL_OF), default=1)
        said = _grouped(list(_spoken(self.waiting, self.unknown)))
        self.waiting = []
        self.words += said
        if self.words:
            self.words[-1] = replace(self.words[-1], level=max(level, self.words[-1].level))


def _spoken(clause: Sequence[tuple[str, str]], unknown: dict[str, None]) -> Iterator[SpokenWord]:
    """Words of a clause, each with its emotion, as they are said."""
    words = [word for word, _ in clause]
    units = [unit for unit in read_clause(words, erhua=True) if _has_phones(unit)]
    unknown.update(dict.fromkeys(unread(words, units)))
    for index, group in groupby(units, lambda unit: unit.word):
        for part in spoken_parts(list(group)):
            text = words[index] if words[index].isascii() else "".join(unit.text for unit in part)
            yield SpokenWord(text, tuple(unit.pinyin for unit in part), clause[index][1])


def _grouped(words: Sequence[SpokenWord]) -> Iterator[SpokenWord]:
    """Words in the groups in which they are said, each with one emotion."""
    held: SpokenWord | None = None
    for place, word in enumerate(words):
        rest = len(words[place + 1].pinyin) if place + 1 < len(words) else 0
        if held and held.emotion == word.emotion and _joins(held, word, rest):
            held = replace(held, text=held.text + word.text, pinyin=held.pinyin + word.pinyin)
            continue
        if held:
            yield held
        held = word
    if held:
        yield held


def _joins(group: SpokenWord, word: SpokenWord, rest: int) -> bool:
    return in_one_go(group.text, word.text, len(group.pinyin), word.pinyin, rest)


def _has_phones(unit: Unit) -> bool:
    try:
        return bool(syllable_phones(unit.pinyin))
    except KeyError:
        return False
