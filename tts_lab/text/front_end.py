"""Text -> what `mini` is asked to say: words, syllables with surface tones, phones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tts_lab.errors import TextError
from tts_lab.text.normalise import normalise
from tts_lab.text.phones import BEGIN, END, WORD, Phone, syllable_phones
from tts_lab.text.pinyin import read_clause
from tts_lab.text.sandhi import Unit
from tts_lab.text.words import cut_words

PAUSE_OF = {"，": ",", "、": ",", "：": ":", "；": ";", "。": ".", "！": "!", "？": "?"}
STRENGTH = ",:;.!?"  # of marks in a row the strongest is spoken
CLAUSES = re.compile(rf"([^{''.join(PAUSE_OF)}]*)([{''.join(PAUSE_OF)}]*)")


@dataclass(frozen=True)
class Syllable:
    """text: the character or letter it reads; pinyin: with its surface tone, 1 to 5; word: index into the words."""

    text: str
    pinyin: str
    word: int


@dataclass(frozen=True)
class Utterance:
    """A text, analysed.

    text: as given; normalised: as said; words: without punctuation; phones: BEGIN ... END, with WORD between the
    words of a clause and a pause at punctuation; unknown: characters that have no reading and are left out.
    """

    text: str
    normalised: str
    words: tuple[str, ...]
    syllables: tuple[Syllable, ...]
    phones: tuple[Phone, ...]
    unknown: tuple[str, ...]


def analyse(text: str) -> Utterance:
    """Everything `mini` needs to know of a text.

    Raises TextError if nothing in it can be spoken.
    """
    normal = normalise(text)
    words: list[str] = []
    syllables: list[Syllable] = []
    phones: list[Phone] = []
    for clause, marks in clauses(normal.text):
        said = _clause(clause, len(words))
        words.extend(clause)
        phones.extend(_clause_phones(said, len(syllables)))
        syllables.extend(said)
        if said:
            phones.append(_pause(marks, last=False))
        elif phones and marks:
            phones[-1] = _pause(phones[-1].symbol + marks, last=False)
    if not syllables:
        raise TextError(
            f"There is nothing to speak in {_shown(text)}: give Chinese characters, digits or Latin letters."
        )
    ending = _pause(phones.pop().symbol, last=True)
    unknown = dict.fromkeys([*normal.unknown, *unread(words, syllables)])
    sequence = (Phone(BEGIN), *phones, ending, Phone(END))
    return Utterance(text, normal.text, tuple(words), tuple(syllables), sequence, tuple(unknown))


def speakable(text: str) -> bool:
    """Whether anything in the text has a reading; cheaper than analysing it."""
    return any(not char.isspace() and char not in PAUSE_OF for char in normalise(text).text.strip())


def clauses(normalised: str) -> Iterator[tuple[list[str], str]]:
    """The words of each pause-free stretch, with the marks after it."""
    for stretch, marks in CLAUSES.findall(normalised):
        if stretch or marks:
            yield [word for run in stretch.split() for word in run_words(run)], marks


def run_words(run: str) -> Iterator[str]:
    """The words of a normalised run without marks and spaces; Latin letters in a row are one."""
    for latin, han in re.findall(r"([A-Z]+)|([^A-Z]+)", run):
        yield from (latin,) if latin else cut_words(han)


def _clause(words: list[str], first_word: int) -> list[Syllable]:
    return [Syllable(unit.text, unit.pinyin, first_word + unit.word) for unit in read_clause(words)]


def _clause_phones(said: list[Syllable], first_syllable: int) -> Iterator[Phone]:
    for index, syllable in enumerate(said):
        if index and syllable.word != said[index - 1].word:
            yield Phone(WORD)
        for phone in syllable_phones(syllable.pinyin):
            yield Phone(phone.symbol, phone.tone, phone.place, first_syllable + index)


def _pause(marks: str, *, last: bool) -> Phone:
    heard = [PAUSE_OF.get(mark, mark) for mark in marks] or [","]
    strongest = max(heard, key=STRENGTH.index)
    return Phone(strongest if not last or strongest in ".!?" else ".")


def unread(words: Iterable[str], syllables: Iterable[Syllable | Unit]) -> Iterator[str]:
    """Chinese characters to which no dictionary gives a reading."""
    read = {char for syllable in syllables for char in syllable.text}
    return (char for word in words for char in word if char not in read)


def _shown(text: str) -> str:
    return "an empty text" if not text.strip() else f"{text.strip()[:20]!r}"
