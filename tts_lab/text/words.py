"""Cutting a run of Chinese characters into words.

jieba cuts by its dictionary and guesses words it does not know. The guesses are useful for names and verbs with their
complement (睡得, 长得) but swallow small grammatical words (太大, 地走, 他换); those are given back here, because tone
sandhi and the short break between words depend on them.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tts_lab.paths import cache_dir

SLICE = 200  # characters
# A guessed word of two or three characters that begins with one of these is this small word and something else.
LEADING = frozenset("太真更最又既别没我他她它地把被水该请要代")
INNER = frozenset("太真更最很有")  # and one that has these in second place (风太大, 楼有) as well
# Guesses beginning so that are one word after all.
WHOLE = frozenset(("我来", "没水", "要学", "别着急", "真没想到"))
# What jieba's dictionary joins although it is said, and read, as two words; and guesses that no rule catches.
CUTS = {
    "好大": "好 大", "真是太": "真是 太", "可真快": "可 真 快", "不是故意": "不是 故意", "心情愉快": "心情 愉快",
    "家养": "家 养", "有水": "有 水", "有座": "有 座", "有多苦": "有 多 苦", "多人": "多 人", "快化": "快 化",
    "卡里": "卡 里", "里种": "里 种", "人来": "人 来", "来看": "来 看", "水来": "水 来", "花都": "花 都",
    "飞过": "飞 过", "知多少": "知 多少", "我想订": "我 想 订", "红粉": "红 粉",
}  # fmt: skip
# Joints that jieba misses (扔得到处都是): it is told of the whole, which is then cut here.
JOINTS = {
    "得到处": "得 到处", "大海边": "大海 边", "会长胖": "会 长胖", "一百度": "一百 度", "宫保鸡丁": "宫保 鸡丁",
    "好想": "好 想", "好想你": "好 想 你", "半小时": "半 小时", "地走了": "地 走 了", "更好看": "更 好看",
    "不觉晓": "不觉晓", "吃不下去": "吃不下 去",
}  # fmt: skip


def cut_words(run: str) -> list[str]:
    """Cut a run of Chinese characters (no punctuation, no spaces) into words; joined they give the run."""
    tokenizer = _tokenizer()
    return [part for word in _cut(run, tokenizer) for part in _repair(word, tokenizer.FREQ)]


def frequency(word: str) -> int:
    """How often the dictionary met a word; 0 for one that it does not know."""
    return int(_tokenizer().FREQ.get(word) or 0)


def _cut(run: str, tokenizer: Any) -> Iterator[str]:
    """jieba's guesses take quadratic time: long runs go in slices, the last word of one beginning the next."""
    start = 0
    while len(run) - start > SLICE:
        words = list(tokenizer.cut(run[start : start + SLICE]))
        whole = words[:-1] or words
        yield from whole
        start += sum(map(len, whole))
    yield from tokenizer.cut(run[start:])


def _repair(word: str, known: dict[str, int]) -> list[str]:
    cut = CUTS.get(word) or JOINTS.get(word)
    if cut:
        return cut.split()
    guessed = len(word) in (2, 3) and not known.get(word)
    if not guessed or word in WHOLE:
        return [word]
    if word[0] in LEADING or word[1] in INNER:
        return [word[0], *_repair(word[1:], known)]
    return [word]


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    """jieba's tokenizer, silent, with its dictionary cache in the user's own cache folder.

    The cache saves half a second a start. Its usual place, the folder for temporary files, is shared with other
    users; where no folder can be written the dictionary is simply read again.
    """
    jieba = _import_quietly()
    jieba.setLogLevel(logging.CRITICAL + 1)
    tokenizer = jieba.Tokenizer()
    folder = cache_dir()
    if folder is None:
        tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
        tokenizer.initialized = True
    else:
        tokenizer.tmp_dir = str(folder)
        tokenizer.initialize()
    for joint in JOINTS:
        tokenizer.add_word(joint)
    return tokenizer


def _import_quietly() -> Any:
    """Import jieba without its deprecation warnings and without pkg_resources, which is slow and which it can spare."""
    absent = "pkg_resources" not in sys.modules
    if absent:
        sys.modules["pkg_resources"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import jieba
    finally:
        if absent:
            sys.modules.pop("pkg_resources", None)
    return jieba
