"""Error rates of Mandarin speech: what was to be said against what a recogniser wrote down.

A recogniser that knows few homophones apart (whisper-base) writes another character of the same sound for one
syllable in ten, so the character error rate says more about the recogniser than about the voice. Toneless pinyin is
the fairer figure: a syllable counts as wrong only if its sound is. All three are kept, and all are only worth
something beside the same figure for a voice known to be good.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tts_lab.errors import TextError
from tts_lab.text.front_end import Syllable, analyse
from tts_lab.text.numerals import cardinal, digits

DRAWS = 4000  # of the bootstrap
Syllables = list[tuple[str, str]]  # (character, pinyin with its tone)


@dataclass(frozen=True)
class Errors:
    """Edit distances of one sentence, with the lengths of the reference that they are shared out over.

    toneless: syllables of another sound; toned: of another sound or tone; characters: other characters.
    """

    syllables: int
    toneless: int
    toned: int
    characters: int


def compare(text: str, hypothesis: str, pinyin: Sequence[str] | None = None) -> Errors:
    """Errors of what was heard.

    text: what was to be said. hypothesis: what the recogniser wrote; traditional characters are simplified, and digits
    written out the way that fits best.
    pinyin: readings of the text's characters with surface tones, as the voice was asked for them (independent of the
    lab's own front end, whose mistakes would otherwise excuse themselves); None reads them from the text.
    Raises TextError where the text has nothing to say, or not as many characters as readings.
    """
    said = _labelled(text, pinyin)
    return min(
        (_errors(said, heard) for heard in _ways_to_read(hypothesis)), key=lambda e: (e.toneless, e.toned, e.characters)
    )


def _errors(said: Syllables, heard: Syllables) -> Errors:
    heard = _with_known_readings(said, heard)
    return Errors(
        syllables=len(said),
        toneless=_distance([toneless(p) for _, p in said], [toneless(p) for _, p in heard]),
        toned=_distance([p for _, p in said], [p for _, p in heard]),
        characters=_distance([c for c, _ in said], [c for c, _ in heard]),
    )


def syllables(text: str) -> Syllables:
    """Characters and their readings: simplified, digits and signs written out, no punctuation. Empty where silent."""
    try:
        found: Sequence[Syllable] = analyse(text).syllables
    except TextError:
        return []
    return [(s.text, s.pinyin) for s in found]


def toneless(pinyin: str) -> str:
    """A syllable's sound: `zhong1` -> `zhong`."""
    return re.sub(r"[1-5]$", "", pinyin)


def rate(rows: Sequence[Errors], kind: str) -> float:
    """Error rate over all sentences together (not the mean of their rates). kind: toneless, toned or characters."""
    return float(sum(getattr(row, kind) for row in rows) / sum(row.syllables for row in rows))


def interval(
    rows: Sequence[Any], figure: Callable[[Sequence[Any]], float], level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of a figure over sentences: sentences are drawn again with replacement (Efron 1979).

    It covers the choice of sentences and the scatter from one to the next, not a bias of the judge.
    """
    picks = np.random.default_rng(seed).integers(0, len(rows), (DRAWS, len(rows)))
    figures = [figure([rows[i] for i in pick]) for pick in picks]
    low, high = np.quantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _labelled(text: str, pinyin: Sequence[str] | None) -> Syllables:
    own = syllables(text)
    if not own:
        raise TextError(f"There is nothing to say in {text!r}, so nothing can be compared with it.")
    if pinyin is None:
        return own
    if len(pinyin) != len(own):
        raise TextError(f"{text!r} has {len(own)} syllables, but {len(pinyin)} readings were given for it.")
    return [(character, reading) for (character, _), reading in zip(own, pinyin, strict=True)]


def _ways_to_read(hypothesis: str) -> list[Syllables]:
    """A recogniser writes 110 for 一百一十, 一一零 and 幺幺零 alike, so that each of them may be what it heard."""
    spoken: tuple[Callable[[str], str], ...] = (str, cardinal, digits, _by_telephone)
    return [syllables(way) for way in dict.fromkeys(_numbers_said(hypothesis, say) for say in spoken)]


def _numbers_said(text: str, say: Callable[[str], str]) -> str:
    return re.sub(r"[0-9]+", lambda number: say(number[0]), text)


def _by_telephone(number: str) -> str:
    return digits(number, one="幺")


def _with_known_readings(said: Syllables, heard: Syllables) -> Syllables:
    """A character heard as it was written was heard as it was read, whatever its other readings (行: xing2, hang2)."""
    from rapidfuzz.distance import Levenshtein

    heard = list(heard)
    for block in Levenshtein.opcodes([c for c, _ in said], [c for c, _ in heard]):
        if block.tag == "equal":
            heard[block.dest_start : block.dest_end] = said[block.src_start : block.src_end]
    return heard


def _distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(reference, hypothesis))
