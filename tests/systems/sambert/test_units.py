"""Exact: text and ids both ways, places as in the reference. Behaviour: every error says where it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_lab.errors import TextError
from tts_lab.systems.sambert.symbols import tables
from tts_lab.systems.sambert.units import (
    LingUnit,
    break_unit,
    decode,
    encode,
    read_units,
    word_places,
    word_units,
    write_units,
)

HAPPY = "emotion_happy"
GOOD = "{b_c$tone3$s_begin$word_begin$emotion_neutral$F7}"


def test_a_word_of_one_syllable() -> None:
    assert write_units([*word_units(["xiang3"], HAPPY, "M7"), break_unit(4, "M7")]) == (
        "{xx_c$tone3$s_begin$word_begin$emotion_happy$M7} {iang_c$tone3$s_end$word_end$emotion_happy$M7} "
        "{#4$tone_none$s_none$word_none$emotion_none$M7}"
    )


@pytest.mark.parametrize(
    ("phones", "places"),
    [
        ([1], "s_both/word_both"),
        ([2], "s_begin/word_begin s_end/word_end"),
        ([2, 2], "s_begin/word_begin s_end/word_middle s_begin/word_middle s_end/word_end"),
        (
            [2, 2, 2],
            "s_begin/word_begin s_end/word_middle s_begin/word_middle s_end/word_middle "
            "s_begin/word_middle s_end/word_end",
        ),
        ([3], "s_begin/word_begin s_middle/word_middle s_end/word_end"),
        ([1, 2], "s_both/word_begin s_begin/word_middle s_end/word_end"),
        ([2, 1], "s_begin/word_begin s_end/word_middle s_both/word_end"),
    ],
)
def test_places_in_a_word(phones: list[int], places: str) -> None:
    assert " ".join("/".join(pair) for pair in word_places(phones)) == places


def any_unit() -> st.SearchStrategy[LingUnit]:
    table = {field: list(symbols[:-3]) for field, symbols in tables().items()}
    phones = [s for s in table["sy"] if s[0] != "#"]
    tone, flag, segment = (
        [s for s in table[field] if not s.endswith("_none")] for field in ("tone", "syllable_flag", "word_segment")
    )
    parts = (phones, tone, flag, segment, table["emotion"], table["speaker"])
    spoken = st.builds(LingUnit, *map(st.sampled_from, parts))
    return spoken | st.builds(break_unit, st.integers(1, 4), st.sampled_from(table["speaker"]))


@given(st.lists(any_unit(), min_size=1, max_size=40))
def test_text_and_ids_go_both_ways(units: list[LingUnit]) -> None:
    assert read_units(write_units(units)) == tuple(units)
    assert decode(encode(units)) == tuple(units)
    ended = encode(units, end=True)
    assert decode(ended) == tuple(units)
    assert len(ended) == len(units) + 1
    assert ended.linguistic[-1] == (145, 8, 6, 6)


def test_ids_are_rows_of_the_tables() -> None:
    ids = encode(read_units(GOOD), end=True)
    assert ids.linguistic == ((5, 4, 0, 0), (145, 8, 6, 6))
    assert (ids.emotion, ids.speaker) == ((1, 34), (0, 7))
    assert encode(read_units(GOOD), ("F7",), end=True).speaker == (0, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no units"),
        ("  \n", "no units"),
        (GOOD + " x " + GOOD, r"Unit 2, character 51: 'x \{b_c"),
        ("{b_c$tone3$s_begin$word_begin$emotion_neutral$F7", "Unit 1, character 1"),
        ("{b_c$tone3}", r"Unit 1, character 1: \{b_c\$tone3\} has 2 fields; it needs 6: sy, tone"),
        (GOOD[:-1] + "$x}", "has 7 fields"),
        (GOOD + GOOD.replace("tone3", "tone6"), r"Unit 2, character 55: tone has no symbol 'tone6' \(did you mean"),
        (GOOD.replace("b_c", "bb_c"), r"Unit 1, character 2: sy has no symbol 'bb_c' \(did you mean 'b_c'"),
        (GOOD.replace("F7", "F75"), r"speaker has no symbol 'F75' \(did you mean 'F7"),
        (GOOD.replace("neutral", "hapy"), "'emotion_hapy'.*'emotion_happy'"),
        (GOOD.replace("b_c", "~"), "'~' is the model's own mark"),
        (GOOD.replace("tone3", "_"), "Unit 1, character 6: '_' is the model's own mark"),
        (GOOD.replace("F7", "@[MASK]"), "own mark"),
        (GOOD.replace("b_c", "#1"), "mixes a phone and a break"),
        (GOOD.replace("tone3", "tone_none"), "mixes a phone and a break"),
        ("{b_c$tone_none$s_none$word_none$emotion_none$F7}", "mixes a phone and a break"),
        ("{}", "has 1 fields"),
        ("{{b_c}}", "Unit 1, character 1"),
        (GOOD.replace("$tone3", "$tone3 "), "Unit 1, character 1"),
    ],
)
def test_a_wrong_text_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(TextError, match=message):
        read_units(text)


@pytest.mark.parametrize("between", [" ", "", "\n", "\t  "])
def test_white_space_between_units_is_free(between: str) -> None:
    assert len(read_units(between + GOOD + between + GOOD + between)) == 2


def test_ids_that_are_no_unit_s_are_refused() -> None:
    ids = encode(read_units(GOOD + GOOD))
    with pytest.raises(TextError, match=r"Unit 2: tone has rows 0 to 9, not 10"):
        decode(replace(ids, tone=(4, 10)))
    with pytest.raises(TextError, match="Unit 2: sy has rows 0 to 146, not -1"):
        decode(replace(ids, sy=(5, -1)))
    with pytest.raises(TextError, match="Unit 1 is padding, an end or a mask"):
        decode(replace(ids, speaker=(6, 0)))


def test_an_end_in_the_middle_is_refused() -> None:
    ids = encode(read_units(GOOD), end=True)
    doubled = type(ids)(*(column * 2 for column in (ids.sy, ids.tone, ids.syllable_flag, ids.word_segment, ids.emotion, ids.speaker)))  # fmt: skip
    with pytest.raises(TextError, match="Unit 2 is padding"):
        decode(doubled)


def test_encoding_a_symbol_that_the_tables_lack() -> None:
    with pytest.raises(TextError, match="Unit 1: speaker has no symbol 'M7'"):
        encode(word_units(["ni3"], HAPPY, "M7"), ("F7",))
