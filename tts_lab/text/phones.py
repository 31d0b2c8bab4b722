"""Pinyin -> phones: the sounds that `mini` was taught.

A syllable is an initial and a final; a final is one to three segments. Tone belongs to the whole syllable, so every
phone of a syllable carries it. Between syllables stand marks: a word boundary, a pause, the beginning and the end.

Source of the segments: the IPA reading of pinyin used by misaki 0.9.4 (Apache-2.0; after pinyin-to-ipa by Stefan
Taubert, MIT), which is what the teacher of the bundled voice was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

INITIALS = {
    "b": "p", "p": "pʰ", "m": "m", "f": "f", "d": "t", "t": "tʰ", "n": "n", "l": "l", "g": "k", "k": "kʰ", "h": "x",
    "j": "ʨ", "q": "ʨʰ", "x": "ɕ", "zh": "ꭧ", "ch": "ꭧʰ", "sh": "ʂ", "r": "ɻ", "z": "ʦ", "c": "ʦʰ", "s": "s",
}  # fmt: skip

FINALS = {
    "a": "a", "o": "wo", "e": "ɤ", "i": "i", "u": "u", "v": "y", "ai": "ai", "ei": "ei", "ao": "au", "ou": "ou",
    "an": "an", "en": "ən", "ang": "aŋ", "eng": "əŋ", "ong": "ʊŋ", "er": "ɚ", "ia": "ja", "ie": "je", "iao": "jau",
    "iu": "jou", "ian": "jɛn", "in": "in", "iang": "jaŋ", "ing": "iŋ", "iong": "jʊŋ", "ua": "wa", "uo": "wo",
    "uai": "wai", "ui": "wei", "uan": "wan", "un": "wən", "uang": "waŋ", "ueng": "wəŋ", "ve": "ɥe", "van": "ɥɛn",
    "vn": "yn",
}  # fmt: skip

# Syllables without an initial are spelt differently from the finals they are.
ZERO_INITIAL = {
    "o": "ɔ", "yo": "jɔ", "yi": "i", "ya": "ja", "yan": "jɛn", "yang": "jaŋ", "yao": "jau", "ye": "je", "yin": "in",
    "ying": "iŋ", "yong": "jʊŋ", "you": "jou", "wu": "u", "wa": "wa", "wai": "wai", "wan": "wan", "wang": "waŋ",
    "wei": "wei", "wen": "wən", "weng": "wəŋ", "wo": "wo", "yu": "y", "yuan": "ɥɛn", "yue": "ɥe", "yun": "yn",
    "yai": "jai", "m": "m", "n": "n", "ng": "ŋ", "hm": "xm", "hng": "xŋ",
}  # fmt: skip

BUZZING = ("zh", "ch", "sh", "r", "z", "c", "s")  # after these, i is the syllabic ɨ
PALATAL = ("j", "q", "x")  # after these, u is written for ü

BEGIN, WORD, END = "^", "_", "$"
PAUSES = (",", ".", "!", "?", ":", ";")
MARKS = (BEGIN, WORD, END, *PAUSES)
SEGMENTS = ("a", "e", "i", "j", "n", "o", "u", "w", "y", "ŋ", "ɔ", "ə", "ɚ", "ɛ", "ɤ", "ɥ", "ɨ", "ʊ", "m", "x")
SYMBOLS = ("<pad>", *MARKS, *sorted(set(INITIALS.values()) | set(SEGMENTS)))
TONES = (0, 1, 2, 3, 4, 5)  # 0: a mark; 5: neutral


@dataclass(frozen=True)
class Phone:
    """One unit of speech. symbol: of SYMBOLS; tone: 0 for marks, else 1 to 5; place: its index in the syllable;
    syllable: index of the syllable in the utterance, -1 for marks."""

    symbol: str
    tone: int = 0
    place: int = 0
    syllable: int = -1


def split_syllable(pinyin: str) -> tuple[str, str, int]:
    """`"zhuang4"` -> `("zh", "uang", 4)`: initial, final and tone of a pinyin syllable with its tone number."""
    body, tone = (pinyin[:-1], int(pinyin[-1])) if pinyin[-1:].isdigit() else (pinyin, 5)
    body = body.replace("ü", "v").replace("u:", "v")
    initial = next((i for i in sorted(INITIALS, key=len, reverse=True) if body.startswith(i)), "")
    if body in ZERO_INITIAL:
        return "", body, tone
    return initial, body[len(initial) :], tone


@lru_cache(maxsize=4096)
def syllable_phones(pinyin: str) -> tuple[Phone, ...]:
    """Phones of one pinyin syllable with tone number, e.g. `"tian1"` -> tʰ j ɛ n, each with tone 1.

    Raises KeyError naming the syllable if it is not one of Mandarin's.
    """
    initial, final, tone = split_syllable(pinyin)
    segments = _rime(initial, final, pinyin)
    symbols = ([INITIALS[initial]] if initial else []) + list(segments)
    return tuple(Phone(s, tone, place) for place, s in enumerate(symbols))


def _rime(initial: str, final: str, pinyin: str) -> str:
    if not initial and final in ZERO_INITIAL:
        return ZERO_INITIAL[final]
    if initial in PALATAL and final.startswith("u"):
        final = "v" + final[1:]
    if initial in ("n", "l") and final == "ue":
        final = "ve"
    if final == "i" and initial in BUZZING:
        return "ɨ"
    if final not in FINALS:
        raise KeyError(f"{pinyin!r} is not a syllable of Mandarin")
    return FINALS[final]
