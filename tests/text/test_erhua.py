"""Behaviour: where 儿 colours the syllable before it, and where it is a syllable."""

from __future__ import annotations

import pytest

from tts_lab.text.erhua import is_erhua
from tts_lab.text.pinyin import read_clause

ERHUA = ["花儿", "鸟儿", "这儿", "一会儿", "小孩儿", "女孩儿", "冰棍儿", "慢慢儿", "孙女儿", "侄女儿", "妞儿", "哥们儿", "大伙儿", "老头儿", "坎儿井", "模特儿"]  # fmt: skip
SYLLABLE = ["儿子", "儿童", "女儿", "男儿", "婴儿", "幼儿园", "孤儿", "胎儿", "新生儿", "混血儿", "幸运儿", "托儿所", "小儿科", "小儿麻痹", "孩儿", "大儿子", "少年儿童", "妻儿", "台儿庄"]  # fmt: skip


@pytest.mark.parametrize("word", ERHUA)
def test_erhua(word: str) -> None:
    assert is_erhua(word, word.rindex("儿"))


@pytest.mark.parametrize("word", SYLLABLE)
def test_a_syllable_of_its_own(word: str) -> None:
    assert not is_erhua(word, word.index("儿"))


@pytest.mark.parametrize(
    ("words", "pinyin"),
    [
        (["花儿"], "huar1"),
        (["喝", "点儿", "酒"], "he1 dianr2 jiu3"),
        (["今儿个"], "jinr1 ge4"),
        (["好好儿"], "hao3 haor1"),
        (["女儿"], "nv3 er2"),
        (["花", "儿"], "hua1 er2"),
        (["儿儿儿"], "er2 er2 er2"),
    ],
)
def test_reading_with_erhua(words: list[str], pinyin: str) -> None:
    assert " ".join(unit.pinyin for unit in read_clause(words, erhua=True)) == pinyin


def test_without_erhua_it_stays_a_syllable() -> None:
    assert [unit.pinyin for unit in read_clause(["花儿"])] == ["hua1", "er5"]
