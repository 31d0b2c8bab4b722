"""Erhua: 儿 that is no syllable of its own but colours the end of the one before it, 花儿 huar1.

儿 after another character of its word is erhua, except where it means a child or a person (女儿, 新生儿, 大儿子) and in
names: most are listed here, after 现代汉语词典.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tts_lab.text.sandhi import Unit
from tts_lab.text.words import frequency

# 儿 after or before these is a syllable: 女儿, 幼儿园, 混血儿, 幸运儿; 大儿子, 少年儿童.
BEFORE = frozenset("女男婴幼孤少健胎宠弃产患生血托育侄吾娇乞妻养无拖奴龟运浪潮形能虐我你他")
AFTER = frozenset("子女童媳歌科")
ALONE = ("小儿", "孩儿")  # at the beginning of a word: 小儿麻痹; but 女孩儿 is erhua
NAMES = ("台儿庄", "鹿儿岛", "婉儿", "吊儿郎当", "一儿一女")
RAISED = ("好好儿", "慢慢儿", "早早儿", "远远儿")  # said with a first tone, hao3 haor1
DAUGHTERS = ("孙女", "侄女", "闺女", "妞", "美女")  # said with erhua nevertheless


def is_erhua(word: str, place: int) -> bool:
    """Whether the character at `place` of a word is 儿 as erhua."""
    if place == 0 or word[place] != "儿" or word[place - 1] == "儿":
        return False
    if word[:place].endswith(DAUGHTERS):
        return True
    named = any(name in word for name in NAMES)
    child = word[place - 1] in BEFORE or word[place + 1 : place + 2] in AFTER or word[: place + 1] in ALONE
    return not (named or child) and _is_known(word)


def _is_known(word: str) -> bool:
    """Whether the dictionary has the word, or the word without its 儿 (公园儿); a name (颖儿) it seldom has."""
    bare = word.replace("儿", "")
    return frequency(word) > 0 or (len(bare) > 1 and frequency(bare) > 0)


def join_erhua(units: Sequence[Unit]) -> list[Unit]:
    """Units of a clause with every erhua joined to the syllable before it: 花 hua1, 儿 er5 -> 花儿 huar1."""
    joined: list[Unit] = []
    for _, group in groupby(units, lambda unit: unit.word):
        word = list(group)
        text = "".join(unit.text[0] for unit in word)
        for place, unit in enumerate(word):
            if is_erhua(text, place):
                before = joined.pop()
                erhua = before.pinyin[:-1] + "r" + ("1" if text[: place + 1] in RAISED else before.pinyin[-1])
                joined.append(Unit(before.text + "儿", erhua, before.word, before.fixed))
            else:
                joined.append(unit)
    return joined
