"""Words -> pinyin with the tones of connected speech.

A word is read from the lexicon, else from pypinyin's dictionary, letter by letter if it is Latin. Then phrases that
settle a reading, rules for 得 地 只 and other words of several readings, and tone sandhi.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from tts_lab.text.erhua import join_erhua
from tts_lab.text.letters import LETTERS
from tts_lab.text.lexicon import PHRASES, WORDS
from tts_lab.text.sandhi import NUMERALS, Unit, apply_sandhi


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SYLLABLE = re.compile(r"[a-zü]+[1-5]")
IS_AFTER = _words("此 图 均 皆 即 实 大多 分别 统一 确诊")  # 为 after these is 'be'
KEEP_DE = _words("只得 取得 获得 难得 不得 所得 求得 赢得 夺得 心得 非得 总得")  # as the dictionary says
GAINS = frozenset("了分奖病知出过票胜名第")  # 得 before these is 'get'
ONLY = tuple(_words("只有 只是 只好 只要 只能 只会 只得 只见 只想 只怕 只管 只顾 只身 只为 只在 只不过 只剩 只用 只需"))
DEGREES = _words("很 太 更 最 真 多 这么 那么 非常 特别 十分 够 不 比较 越 好 有")
LENGTHS = frozenset("米里尺寸")
SUBJECTS = _words("我 你 您 他 她 它 我们 你们 他们 她们 咱们 咱 大家 谁 自己")
MUST = _words("还 就 也 都 总 又 可 必 非 至少 早晚 一定 恐怕 看来 总是 真")


def read_clause(words: Sequence[str], *, erhua: bool = False) -> list[Unit]:
    """Syllables of one pause-free clause, in order, with surface tones.

    words: Chinese words, or runs of Latin capitals. A character without a reading gives no syllable: compare the
    texts of the result with the words to find it. erhua: 儿 as the end of the syllable before it (花儿 huar1) rather
    than as a syllable of its own.
    """
    units = [unit for index, word in enumerate(words) for unit in _read_word(word, index)]
    _apply_phrases(units)
    _apply_particles(words, units)
    units = [unit for unit in units if SYLLABLE.fullmatch(unit.pinyin)]
    units = join_erhua(units) if erhua else units
    apply_sandhi(units)
    return units


def _read_word(word: str, index: int) -> list[Unit]:
    if word[0] in LETTERS:
        return [Unit(letter, pinyin, index) for letter in word for pinyin in LETTERS[letter]]
    return [Unit(char, pinyin, index) for char, pinyin in zip(word, citation(word), strict=True)]


@lru_cache(maxsize=8192)
def citation(word: str) -> tuple[str, ...]:
    """Dictionary reading of a Chinese word, a syllable a character, before tone sandhi.

    A character without a reading stands for itself.
    """
    if word in WORDS:
        return WORDS[word]
    from pypinyin import Style, lazy_pinyin

    read = lazy_pinyin(word, style=Style.TONE3, neutral_tone_with_five=True, errors=lambda unread: list(unread))  # type: ignore[arg-type,return-value]
    for size in (3, 2):  # 好消息 ends as 消息 does; but 出来 is weak only by itself
        if len(word) > size and word[-size:] in WORDS and word[-1] not in "来去":
            read[-size:] = WORDS[word[-size:]]
            break
    return tuple(read)


def _apply_phrases(units: list[Unit]) -> None:
    text = "".join(unit.text[0] for unit in units)
    place = 0
    while place < len(text):
        phrase = next((text[place : place + size] for size in (4, 3, 2) if text[place : place + size] in PHRASES), "")
        for unit, pinyin in zip(units[place : place + len(phrase)], PHRASES.get(phrase, ()), strict=True):
            unit.pinyin = pinyin
        place += max(1, len(phrase))


def _apply_particles(words: Sequence[str], units: list[Unit]) -> None:
    """得 地 只 啊 长 行 为 by what stands around them."""
    for place, unit in enumerate(units):
        word = words[unit.word]
        before = words[unit.word - 1] if unit.word else ""
        after = units[place + 1].text if place + 1 < len(units) else ""
        if unit.text == "得":
            unit.pinyin = _read_de(word, before, after) or unit.pinyin
        elif unit.text == "地" and _is_adverbial(word, before):
            unit.pinyin = "de5"
        elif unit.text == "只" and place and _is_measure(word, before):
            unit.pinyin = "zhi1"
        elif unit.text == "了" and word.endswith("得了") and len(word) == 3:
            unit.pinyin = "liao3"  # 受得了
        elif unit.text == "啊" and place == 0:
            unit.pinyin = "a1"
        elif unit.text == "长" and (
            (word[-1] == "长" and (word[:-1] or before) in DEGREES) or (place and units[place - 1].text in LENGTHS)
        ):
            unit.pinyin = "chang2"
        elif unit.text == "行" and word[-1] == "行" and _counts_lines(word[:-1] or before):
            unit.pinyin = "hang2"
        elif unit.text in "哦喔" and place and not after:
            unit.pinyin = "o5"
        elif unit.text == "为" and word == "为" and (after in NUMERALS | {"负"} or before in IS_AFTER):
            unit.pinyin = "wei2"


def _is_adverbial(word: str, before: str) -> bool:
    return before not in ("", "在") if word == "地" else len(word) == 3 and word[0] == word[1]


def _is_measure(word: str, before: str) -> bool:
    """Whether the 只 of a word counts animals, hands, boats: 一只, and 四十二 只羊 as a cutter may leave it."""
    if word[-1] == "只":
        return _counts(word[:-1] or before)
    return word[0] == "只" and not word.startswith(ONLY) and _counts(before)


def _read_de(word: str, before: str, after: str) -> str | None:
    if word == "得":
        if after in GAINS:
            return "de2"
        return "dei3" if after and (before in MUST or before in SUBJECTS) else "de5"
    if len(word) in (3, 4) and word[1] == "得" and word[0] not in "不难获取自所心只":
        return "de5"  # 听得出来
    if len(word) == 2 and word[1] == "得":
        return None if word in KEEP_DE else "de5"
    return None


def _counts_lines(word: str) -> bool:
    return _counts(word) and word[-1] not in "一这那"  # 一行 may be a party of travellers, 这行 may mean 'this will do'


def _counts(word: str) -> bool:
    return word[-1:] in NUMERALS or word in {"这", "那", "哪", "每", "几", "半", "多少", "各"}
