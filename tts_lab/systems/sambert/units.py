"""What the acoustic model reads: one unit per phone or break, as text and as ids.

A unit is written `{xx_c$tone3$s_begin$word_begin$emotion_neutral$F7}`: phone, tone, place in the syllable, place in the
word, emotion, speaker. After every word stands a break, `{#1$tone_none$s_none$word_none$emotion_none$F7}`: #1 between
words, #2 at 、, #3 at a comma, #4 at the end of a sentence. The end mark `~` is never written: ids may carry it.

Places follow KAN-TTS (MIT; script_convertor/core/{ScriptWord, Syllable}.py), breaks the published output of its engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tts_lab.errors import TextError
from tts_lab.nearest import did_you_mean
from tts_lab.systems.sambert.symbols import BREAKS, END, FIELDS, NO_EMOTION, SPEAKERS, SPECIAL, syllable_phones, tables

WRITTEN = re.compile(r"\{([^{}\s]*)\}")
NO_BREAK_FIELDS = ("tone_none", "s_none", "word_none")


@dataclass(frozen=True)
class LingUnit:
    """One unit. Fields are symbols of `symbols.tables()`, in the order in which they are written."""

    sy: str
    tone: str
    syllable_flag: str
    word_segment: str
    emotion: str
    speaker: str

    @property
    def is_break(self) -> bool:
        return self.sy in BREAKS

    @property
    def fields(self) -> tuple[str, ...]:
        return self.sy, self.tone, self.syllable_flag, self.word_segment, self.emotion, self.speaker

    def __str__(self) -> str:
        return "{" + "$".join(self.fields) + "}"


@dataclass(frozen=True)
class UnitIds:
    """Embedding rows of n units: six columns of n whole numbers, named as in the checkpoint's tables."""

    sy: tuple[int, ...]
    tone: tuple[int, ...]
    syllable_flag: tuple[int, ...]
    word_segment: tuple[int, ...]
    emotion: tuple[int, ...]
    speaker: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.sy)

    @property
    def linguistic(self) -> tuple[tuple[int, int, int, int], ...]:
        """(n, 4): phone, tone, place in syllable, place in word: what the encoder embeds and sums."""
        return tuple(zip(self.sy, self.tone, self.syllable_flag, self.word_segment, strict=True))


def word_units(pinyin: Sequence[str], emotion: str, speaker: str) -> tuple[LingUnit, ...]:
    """Units of one word, a break not included.

    pinyin: its syllables with surface tones, erhua written r (`"huar1"`); emotion, speaker: symbols of the tables.
    """
    phones = [syllable_phones(syllable) for syllable in pinyin]
    places = word_places([len(pair) for pair in phones])
    said = [(phone, syllable[-1]) for syllable, pair in zip(pinyin, phones, strict=True) for phone in pair]
    return tuple(
        LingUnit(phone, f"tone{tone}", flag, segment, emotion, speaker)
        for (phone, tone), (flag, segment) in zip(said, places, strict=True)
    )


def break_unit(level: int, speaker: str) -> LingUnit:
    """The pause after a word. level: 1 word, 2 enumeration, 3 clause, 4 sentence."""
    return LingUnit(BREAKS[level - 1], *NO_BREAK_FIELDS, NO_EMOTION, speaker)


def word_places(phones: Sequence[int]) -> tuple[tuple[str, str], ...]:
    """Place in the syllable and in the word of every phone of a word. phones: how many each syllable has.

    Only the first phone of a word is word_begin and only the last is word_end; a word of one phone is word_both.
    """
    size = sum(phones)
    flags = [flag for count in phones for flag in _syllable_places(count)]
    if size == 1:
        return ((flags[0], "word_both"),)
    segments = ["word_begin", *["word_middle"] * (size - 2), "word_end"]
    return tuple(zip(flags, segments, strict=True))


def _syllable_places(count: int) -> list[str]:
    return ["s_both"] if count == 1 else ["s_begin", *["s_middle"] * (count - 2), "s_end"]


def write_units(units: Sequence[LingUnit]) -> str:
    """Units as text, with a space between them."""
    return " ".join(map(str, units))


def read_units(text: str, speakers: tuple[str, ...] = SPEAKERS) -> tuple[LingUnit, ...]:
    """The inverse of `write_units`, strict: nothing is skipped and nothing is guessed.

    speakers: the checkpoint's list. Raises TextError naming the unit and the character where the text is wrong.
    """
    units: list[LingUnit] = []
    place = 0
    for found in WRITTEN.finditer(text):
        _check_gap(text, place, found.start(), len(units))
        units.append(_read_unit(found, len(units) + 1, speakers))
        place = found.end()
    _check_gap(text, place, len(text), len(units))
    if not units:
        raise TextError(
            "There are no units to read; a unit is written {b_c$tone3$s_begin$word_begin$emotion_neutral$F7}."
        )
    return tuple(units)


def _check_gap(text: str, start: int, stop: int, done: int) -> None:
    between = text[start:stop]
    if between.strip():
        at = start + len(between) - len(between.lstrip())
        raise TextError(
            f"Unit {done + 1}, character {at + 1}: {text[at : at + 12]!r} is not a unit; "
            "units are written in braces, {b_c$tone3$s_begin$word_begin$emotion_neutral$F7}, with spaces between them."
        )


def _read_unit(found: re.Match[str], number: int, speakers: tuple[str, ...]) -> LingUnit:
    parts = found[1].split("$")
    where = f"Unit {number}, character {found.start() + 1}"
    if len(parts) != len(FIELDS):
        raise TextError(f"{where}: {found[0]} has {len(parts)} fields; it needs {len(FIELDS)}: {', '.join(FIELDS)}.")
    at = found.start() + 2
    for field, symbol, table in zip(FIELDS, parts, tables(speakers).values(), strict=True):
        _check_symbol(symbol, field, table, f"Unit {number}, character {at}")
        at += len(symbol) + 1
    unit = LingUnit(*parts)
    silent = [flag in NO_BREAK_FIELDS for flag in (unit.tone, unit.syllable_flag, unit.word_segment)]
    if (any(silent) and not all(silent)) or unit.is_break != all(silent):
        raise TextError(f"{where}: {found[0]} mixes a phone and a break; a break has {'$'.join(NO_BREAK_FIELDS)}.")
    return unit


def _check_symbol(symbol: str, field: str, table: tuple[str, ...], where: str) -> None:
    if symbol in SPECIAL:
        raise TextError(f"{where}: {symbol!r} is the model's own mark and is never written; leave the unit out.")
    if symbol not in table:
        guess = did_you_mean(symbol, table[: -len(SPECIAL)])
        raise TextError(f"{where}: {field} has no symbol {symbol!r}{guess}.")


def encode(units: Sequence[LingUnit], speakers: tuple[str, ...] = SPEAKERS, *, end: bool = False) -> UnitIds:
    """Units -> embedding rows. end: append `~`, which the public encoder does and its inference drops again.

    Raises TextError for a symbol that the tables lack, naming the unit.
    """
    rows = [unit.fields for unit in units] + [(END,) * len(FIELDS)] * end
    return UnitIds(*(tuple(_ids(column, rows, speakers)) for column in range(len(FIELDS))))


def _ids(column: int, rows: Sequence[tuple[str, ...]], speakers: tuple[str, ...]) -> Iterator[int]:
    field = FIELDS[column]
    row_of = {symbol: row for row, symbol in enumerate(tables(speakers)[field])}
    for number, fields in enumerate(rows, 1):
        if fields[column] not in row_of:
            raise TextError(f"Unit {number}: {field} has no symbol {fields[column]!r}.")
        yield row_of[fields[column]]


def decode(ids: UnitIds, speakers: tuple[str, ...] = SPEAKERS) -> tuple[LingUnit, ...]:
    """Embedding rows -> units; a final `~` is dropped. Raises TextError naming the unit for a row that is no unit's."""
    columns = [_symbols(column, ids, speakers) for column in FIELDS]
    rows = list(zip(*columns, strict=True))
    if rows and rows[-1] == (END,) * len(FIELDS):
        rows.pop()
    for number, fields in enumerate(rows, 1):
        if set(fields) & set(SPECIAL):
            raise TextError(f"Unit {number} is padding, an end or a mask: {'$'.join(fields)}.")
    return tuple(LingUnit(*fields) for fields in rows)


def _symbols(field: str, ids: UnitIds, speakers: tuple[str, ...]) -> list[str]:
    table, column = tables(speakers)[field], getattr(ids, field)
    for number, row in enumerate(column, 1):
        if not 0 <= row < len(table):
            raise TextError(f"Unit {number}: {field} has rows 0 to {len(table) - 1}, not {row}.")
    return [table[row] for row in column]
