"""Sentences without end for the teacher: those of the corpus, the same with other words in them, and lists of words.

Words are exchanged for others of jieba's dictionary (MIT) of the same kind and length, the commoner the likelier. Most
of what comes of it means nothing, but its grammar, punctuation and meetings of sounds are those of Mandarin, which is
what an encoder of phones learns from. Nothing shares seven characters in a row with a sentence that judges voices.
"""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from functools import cache
from itertools import accumulate
from pathlib import Path

import jieba
import jieba.posseg

from corpus import MARKS
from tts_lab.errors import TextError
from tts_lab.paths import data_dir
from tts_lab.text.front_end import analyse, clauses

TEXTS = Path(__file__).parent / "texts"
OWN, EXCHANGED = 0.3, 0.45  # shares of the corpus's own rows and of those with other words; the rest are lists
CHANGED = 0.6  # of a sentence's words that could be
COMMON = 3  # times that jieba has counted a word, at least
ENOUGH = 30  # words of a kind and length, for one to be exchanged for another
SHARED = 7  # characters in a row that no sentence shares with one that is held out
LIST = (2, 3, 3, 4, 5, 6, 7)  # words in a list
BETWEEN, ENDS = ("", "", "", "，", "、"), ("。", "。", "！", "？", "")
HAN = re.compile("[\u4e00-\u9fff]{2,4}")

Reading = tuple[list[str], list[str]]  # words and marks, and a pinyin for each character
Words = tuple[list[str], list[float]]  # and the sums of the weights that they are drawn by


class Composer:
    """Draws sentences. seed: the same one draws the same sentences."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        rows = [json.loads(line) for name in ("corpus", "further")
                for line in (TEXTS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]  # fmt: skip
        held = [row["text"] for row in rows if row["split"] != "train"]
        held += (data_dir() / "texts" / "story.txt").read_text(encoding="utf-8").splitlines()
        self.held = {piece for text in held for piece in pieces(text)}
        self.rows = [row for row in rows if row["split"] == "train" and not self.is_held(row["text"])]
        self.sentences = list({row["text"]: row for row in self.rows if row["type"] == "a"}.values())

    def sentence(self) -> Reading:
        """The next one, with between 2 and 32 syllables, as jieba cuts it and the lab's front end reads it."""
        while True:
            reading = self._any()
            if reading is not None and 2 <= len(reading[1]) <= 32:
                return reading

    def _any(self) -> Reading | None:
        kind = self.draw.random()
        if kind < OWN:
            row = self.draw.choice(self.rows if self.draw.random() < 0.3 else self.sentences)
            return row["words"].split(" "), row["pinyin"].split(" ")
        text = self.exchanged() if kind < OWN + EXCHANGED else self.listed()
        return None if self.is_held(text) else read(text)

    def is_held(self, text: str) -> bool:
        """Whether it has as many characters in a row as a sentence that judges voices."""
        return not self.held.isdisjoint(pieces(text))

    def exchanged(self) -> str:
        """A sentence of the corpus with some of its words exchanged."""
        kinds = by_kind()
        words = []
        for word, flag in jieba.posseg.cut(self.draw.choice(self.sentences)["text"]):
            others = kinds.get((family(flag), len(word)))
            words.append(self.word(others) if others and self.draw.random() < CHANGED else word)
        return "".join(words)

    def listed(self) -> str:
        """Some words in a row, with a mark between them here and there."""
        words = [self.word(every_word()) for _ in range(self.draw.choice(LIST))]
        return "".join(word + self.draw.choice(BETWEEN) for word in words[:-1]) + words[-1] + self.draw.choice(ENDS)

    def word(self, words: Words) -> str:
        return self.draw.choices(words[0], cum_weights=words[1])[0]


def pieces(text: str) -> set[str]:
    """All that stands in a text in so many characters, marks left out."""
    plain = "".join(c for c in text if c.isalpha())
    return {plain[i : i + SHARED] for i in range(len(plain) - SHARED + 1)}


def family(flag: str) -> str:
    """jieba's flags of nouns, verbs, adjectives and adverbs have kinds of their own, which may stand for each other."""
    return flag[0] if flag[0] in "nvad" else flag


@cache
def dictionary() -> dict[tuple[str, int], dict[str, float]]:
    """jieba's common words by family and length, each with the weight that it is drawn by."""
    found: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    with jieba.get_dict_file() as file:
        for line in file:
            word, count, flag = line.decode("utf-8").split()
            if HAN.fullmatch(word) and int(count) >= COMMON:
                found[family(flag), len(word)][word] = int(count) ** 0.5
    return {kind: words for kind, words in found.items() if len(words) >= ENOUGH}


@cache
def by_kind() -> dict[tuple[str, int], Words]:
    return {kind: summed(words) for kind, words in dictionary().items()}


@cache
def every_word() -> Words:
    return summed({word: weight for words in dictionary().values() for word, weight in words.items()})


def summed(words: dict[str, float]) -> Words:
    return list(words), list(accumulate(words.values()))


def read(text: str) -> Reading | None:
    """A text's words and marks and its pinyin; None where it has not one reading for each character."""
    try:
        said = analyse(text)
    except TextError:
        return None
    words = [word for clause, marks in clauses(said.normalised) for word in (*clause, *marks[:1])]
    pinyin = [syllable.pinyin for syllable in said.syllables]
    spoken = sum(len(word) for word in words if word not in MARKS)
    return (words, pinyin) if spoken == len(pinyin) and not said.unknown else None
