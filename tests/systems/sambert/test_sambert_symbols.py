"""Exact: the tables are those of the reference, row by row; pinyin becomes the phones of the reference's table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tts_lab.systems.sambert.symbols import EMOTIONS, PHONES, SPEAKERS, SPECIAL, syllable_phones, tables

DATA = Path(__file__).parents[2] / "data" / "sambert"
REFERENCE = json.loads((DATA / "ling_unit_symbols_PinYin.json").read_text("utf-8"))
SYLLABLES = dict(line.split("\t") for line in (DATA / "pinyin_to_phones.tsv").read_text("utf-8").splitlines())


def test_every_row_of_every_table_is_the_reference_s() -> None:
    ours = tables(("F7",))
    assert [s.removeprefix("@") if s != "@[MASK]" else s for s in REFERENCE["sy"]] == list(ours["sy"])
    for field in ("tone", "syllable_flag", "word_segment", "speaker"):
        assert REFERENCE[field] == list(ours[field]), field
    assert REFERENCE["emo_category"] == list(ours["emotion"])


def test_emotions_and_speakers() -> None:
    table = tables()
    assert len(EMOTIONS) == 33
    assert table["emotion"].index("emotion_happy") == 5
    assert table["emotion"].index("emotion_placeholder1") == 24
    assert table["emotion"][33:] == SPECIAL == ("_", "~", "@[MASK]")
    assert table["speaker"] == ("F7", "F74", "FBYN", "FRXL", "M7", "xiaoyu", "_", "~", "@[MASK]")
    assert table["speaker"][: len(SPEAKERS)] == SPEAKERS


def test_pinyin_becomes_the_phones_of_the_reference() -> None:
    assert len(SYLLABLES) == 661
    wrong = {
        p: syllable_phones(p + "1")
        for p, phones in SYLLABLES.items()
        if syllable_phones(p + "1") != tuple(phones.split())
    }
    assert wrong == {}


@pytest.mark.parametrize(
    ("pinyin", "phones"),
    [
        ("xu1", "xx_c v_c"), ("yuan2", "y_c van_c"), ("jiong3", "j_c iong_c"), ("lve4", "l_c ve_c"), ("nü3", ""),
        ("er2", "ge er_c"), ("ang2", "ga ang_c"), ("ou1", "go ou_c"), ("zhi1", "zh_c ih_c"), ("zi5", "z_c ii_c"),
        ("shir4", "sh_c ihr_c"), ("yuanr2", "y_c vanr_c"), ("qur4", "q_c vr_c"), ("huir4", "h_c ueir_c"),
        ("ger1", "g_c er_c"), ("ng2", "ge en_c"), ("cei4", "c_c ei_c"), ("m2", ""), ("hm5", ""), ("bing", ""),
        ("bing6", ""), ("", ""), ("1", ""), ("i1", ""), ("xyz1", ""), ("huarr1", ""),
    ],
)  # fmt: skip
def test_syllables(pinyin: str, phones: str) -> None:
    if phones:
        assert " ".join(syllable_phones(pinyin)) == phones
    else:
        with pytest.raises(KeyError, match="syllable|phones"):
            syllable_phones(pinyin)


def test_every_reading_of_the_pronouncing_dictionary_has_phones_but_a_few() -> None:
    import re

    from pypinyin.contrib.tone_convert import to_tone3
    from pypinyin.pinyin_dict import pinyin_dict

    without = set()
    for readings in pinyin_dict.values():
        for reading in readings.split(","):
            pinyin = re.sub(r"[0-9]", "", to_tone3(reading, v_to_u=False)) + "1"
            try:
                syllable_phones(pinyin)
            except KeyError:
                without.add(pinyin[:-1])
    assert without <= {"m", "hm", "ê", "nia", "wong"}


def test_every_mandarin_phone_can_be_reached() -> None:
    reached = {phone for p in SYLLABLES for phone in syllable_phones(p + "1")}
    mandarin = {p for p in PHONES if p.endswith("_c")} | {"ga", "ge", "go"}
    assert mandarin - reached == {"io_c", "ueng_c"}
