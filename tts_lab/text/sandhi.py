"""Tone sandhi: how tones change beside one another in speech.

The rules work on one pause-free clause. They are the ones the bundled voice was trained with:

1. 不 is bu2 before tone 4, neutral inside X不X, else bu4.
2. 一 is yi2 before tone 4, yi4 before the other tones, neutral inside X一X; it keeps yi1 as a digit, an ordinal, and at
   the end of a word or clause.
3. Third tones inside a word: every one before another becomes tone 2; words of four syllables go pairwise.
4. A word of one syllable in tone 3, before a syllable that still has tone 3, becomes tone 2; right to left.

Rules 1 and 2 look across word boundaries; 3 and 4 come after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

DIGITS = frozenset("零〇幺一二三四五六七八九十")
SCALES = frozenset("百千万亿")
NUMERALS = DIGITS | SCALES | {"两"}
OPERATORS = frozenset("加减乘除比")  # 一 beside these, between numbers, is a number


@dataclass
class Unit:
    """One syllable on its way to its surface tone. text: the character or letter it reads; word: index of its word;
    fixed: the tone was given by the lexicon and stays."""

    text: str
    pinyin: str
    word: int
    fixed: bool = False

    @property
    def tone(self) -> str:
        return self.pinyin[-1]

    @tone.setter
    def tone(self, tone: str) -> None:
        self.pinyin = self.pinyin[:-1] + tone


def apply_sandhi(units: Sequence[Unit]) -> None:
    """Change the citation tones of one pause-free clause into surface tones, in place."""
    for place, unit in enumerate(units):
        if unit.fixed:
            continue
        if unit.text == "不" and unit.pinyin in {"bu2", "bu4"}:
            unit.tone = _tone_of_bu(units, place)
        elif unit.text == "一" and unit.pinyin[:-1] == "yi":
            unit.tone = _tone_of_yi(units, place)
    words = _by_word(units)
    for place in reversed(range(len(words))):
        following = words[place + 1][0].tone if place + 1 < len(words) else ""
        _third_tones(words[place], following)


def _text(units: Sequence[Unit], place: int) -> str:
    return units[place].text if 0 <= place < len(units) else ""


def _tone_of_bu(units: Sequence[Unit], place: int) -> str:
    before, after = _text(units, place - 1), _text(units, place + 1)
    if before and before == after:
        return "5"
    return "2" if after and units[place + 1].tone == "4" else "4"


def _tone_of_yi(units: Sequence[Unit], place: int) -> str:
    before, after = _text(units, place - 1), _text(units, place + 1)
    if before and before == after and before not in NUMERALS and _text(units, place - 2) != "一":
        return "5"
    if _is_a_number(units, place) or _ends_word(units, place):
        return "1"
    return "2" if units[place + 1].tone == "4" or after == "个" else "4"


def _is_a_number(units: Sequence[Unit], place: int) -> bool:
    """Whether this 一 is the name of a digit or an ordinal, rather than 'one' before a measure or 'a'."""
    before, after = _text(units, place - 1), _text(units, place + 1)
    same_word = bool(before) and units[place - 1].word == units[place].word
    return (
        not after
        or before in {"第", "初", "十"}
        or after in DIGITS
        or after in {"月", "号"}
        or (after == "日" and before == "月")
        or (same_word and before in NUMERALS | {"点"})
        or (after == "点" and _text(units, place + 2) in DIGITS)
        or (after in OPERATORS and _text(units, place + 2) in NUMERALS)
        or (before in OPERATORS and _text(units, place - 2) in NUMERALS)
    )


def _ends_word(units: Sequence[Unit], place: int) -> bool:
    mine = units[place].word
    first = place == 0 or units[place - 1].word != mine
    last = place + 1 == len(units) or units[place + 1].word != mine
    return last and not first


def _by_word(units: Sequence[Unit]) -> list[list[Unit]]:
    words: list[list[Unit]] = []
    for unit in units:
        if words and words[-1][-1].word == unit.word:
            words[-1].append(unit)
        else:
            words.append([unit])
    return words


def _third_tones(word: list[Unit], following: str) -> None:
    if len(word) == 1:
        pairs = [(word[0], following)]
    elif len(word) == 4:
        _third_tones(word[2:], "")
        _third_tones(word[:2], "")
        pairs = [(word[1], word[2].tone)]
    else:
        pairs = [(unit, after.tone) for unit, after in pairwise(word)]
    for unit, tone_after in pairs:
        if unit.tone == "3" and tone_after == "3":
            unit.tone = "2"
