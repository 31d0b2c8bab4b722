"""Phones -> the tokens that the bundled voice's teacher reads.

The teacher spells what `phones.py` says in single characters: a stop and its breath are two, a tone is an arrow behind
the syllable's last vowel, a space stands between words and behind punctuation. `training/corpus.py` writes the
same from pinyin; this takes the way from a model's codes, so that it can read what the teacher would have read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts_lab.text.phones import BEGIN, END, PAUSES, SYMBOLS, WORD

ARROWS = {1: "→", 2: "↗", 3: "↓", 4: "↘"}  # the neutral tone has none
VOWELS = frozenset("aeiouyɔəɚɛɤɨʊ")
NASALS = frozenset("nŋ")
NOTHING, EDGE, SPACE = "<pad>", "$", " "
TOKENS = (NOTHING, EDGE, SPACE, *PAUSES, *ARROWS.values(), *sorted({c for s in SYMBOLS[1:] for c in s} - {
    *BEGIN, *WORD, *END, *PAUSES}))  # fmt: skip
_NUMBER = {token: i for i, token in enumerate(TOKENS)}


@dataclass(frozen=True)
class Spelling:
    """tokens: numbers of TOKENS; places: for each phone its first and its last token."""

    tokens: tuple[int, ...]
    places: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        return "".join(TOKENS[i] for i in self.tokens)


def spelt(symbol: Sequence[int], tone: Sequence[int], place: Sequence[int]) -> Spelling:
    """The tokens of an utterance's phones: their symbols (numbers of SYMBOLS), tones and places in their syllables.

    The last pause has no space behind it where nothing but the end follows.
    """
    names = [SYMBOLS[i] for i in symbol]
    tokens: list[int] = []
    places = []
    for i in range(len(names)):
        own = _tokens(names, tone, place, i)
        places.append((len(tokens), len(tokens) + len(own) - 1))
        tokens += [_NUMBER[token] for token in own]
    return Spelling(tuple(tokens), tuple(places))


def _tokens(names: Sequence[str], tone: Sequence[int], place: Sequence[int], i: int) -> list[str]:
    name = names[i]
    if name in (BEGIN, END):
        return [EDGE]
    if name == WORD:
        return [SPACE]
    if name in PAUSES:
        return [name] if i + 1 == len(names) or names[i + 1] == END else [name, SPACE]
    return [*name, *([ARROWS[tone[i]]] if tone[i] in ARROWS and _carries_tone(names, tone, place, i) else [])]


def _carries_tone(names: Sequence[str], tone: Sequence[int], place: Sequence[int], i: int) -> bool:
    """Whether a sound is its syllable's last, a nasal behind a vowel not counted."""

    def ends(k: int) -> bool:
        return k + 1 >= len(names) or tone[k + 1] == 0 or place[k + 1] == 0

    def coda(k: int) -> bool:
        return names[k] in NASALS and place[k] > 0 and names[k - 1][-1] in VOWELS

    if ends(i):
        return not coda(i)
    return ends(i + 1) and coda(i + 1)
