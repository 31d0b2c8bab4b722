"""Text as people write it -> text as it is said.

The result holds only simplified Chinese characters, Latin capitals (read letter by letter later on), spaces between
words, and the marks ， 。 ！ ？ ： ； 、. Nothing is invented, and nothing is lost without a word: characters that have
no reading are returned beside the text.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from tts_lab.text.grammar import read_numbers, simplify
from tts_lab.text.numerals import digits
from tts_lab.text.rules import apply_rules
from tts_lab.text.symbols import BETWEEN_WORDS, MARKS, PUNCTUATION, SIGNS, SILENT

STRENGTH = "、，：；。！？"  # of marks in a row the strongest is kept
HAN = r"\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
NUMERIC = re.compile(rf"[{HAN}0-9./:+×÷=<>]*\d[{HAN}0-9./:+×÷=<>]*")
# Numbers are read clause by clause; the bound keeps the time linear on a text without punctuation.
CLAUSES = re.compile(r"[^，。！？；\n]{0,400}[，。！？；\n]|[^，。！？；\n]{1,400}")
# Kept as they are although compatibility folding would change them.
KEPT = frozenset("℃℉°²³…⋯‰№㎡" + MARKS)
VULGAR = re.compile(r"(\d*)([¼½¾⅐-⅞])")
OLD_FORMS = str.maketrans({"著": "着", "乾": "干", "麽": "么", "妳": "你", "祂": "他", "牠": "它", "囉": "啰"})
KEEP_ZHU = re.compile(r"(?<=[名专原巨显编合论译土拙])著|著(?=[名作者称述书])")
KEEP_QIAN = re.compile(r"乾(?=[隆坤])")


@dataclass(frozen=True)
class Normalised:
    """text: what is said; unknown: characters that cannot be read, each once, in order."""

    text: str
    unknown: tuple[str, ...]


def normalise(text: str) -> Normalised:
    """Write out numbers, units, signs and punctuation, and simplify traditional characters.

    Telephone numbers are read digit by digit with 幺 for 1; other codes with 一. Names with numbers (GPT-4, RTX3070)
    read short and round numbers as quantities, others digit by digit. Storage sizes keep their letters (8GB).
    """
    folded = _simplified(_folded(text))
    return _spoken("".join(map(_written_out, CLAUSES.findall(folded))))


def _written_out(clause: str) -> str:
    if re.search(r"[A-Za-z0-9]", clause):
        clause = apply_rules(clause)
        clause = NUMERIC.sub(lambda m: read_numbers(m[0]), clause)
        clause = re.sub(r"\d+", lambda m: digits(m[0]), clause)
    return _latin(clause)


def _folded(text: str) -> str:
    """Full-width, circled and compatibility forms to plain ones; invisible characters removed."""
    text = VULGAR.sub(lambda m: (m[1] + "又" if m[1] else "") + unicodedata.normalize("NFKC", m[2]), text)
    text = text.replace("⁄", "/").replace("°C", "℃").replace("°F", "℉").replace("㎡", "m²").replace("￥", "¥")
    text = re.sub(r"(?<=\d)：(?=\d)", ":", text.replace("−", "-").replace("µ", "μ"))
    return re.sub(r"(\S)々", r"\1\1", "".join(map(_fold, unicodedata.normalize("NFC", text))))


def _fold(char: str) -> str:
    if char in KEPT or char == "\n" or "\u4e00" <= char <= "\u9fff":
        return char
    if char in "\r\t\v\f\u2028\u2029\x85":
        return "\n" if char in "\r\u2028\u2029\x85" else " "
    if unicodedata.category(char) in {"Cf", "Cc"} or "\ufe00" <= char <= "\ufe0f":
        return ""
    if unicodedata.category(char) == "Nl":  # Roman numerals written as one character
        return str(int(unicodedata.numeric(char)))
    plain = unicodedata.normalize("NFKC", char)
    if plain.isascii():
        return plain
    base = unicodedata.normalize("NFKD", char)[0]  # é -> e
    return base if base.isascii() and base.isalpha() else plain


def _simplified(text: str) -> str:
    try:
        text.encode("gb2312")  # covers the simplified characters in use: nothing to do
        return text
    except UnicodeEncodeError:
        pass
    kept = KEEP_QIAN.sub("\ue001", KEEP_ZHU.sub("\ue000", text))
    traditional = "".join(map(_simplified_piece, re.split(rf"([^{HAN}]+)", kept)))
    if traditional != kept:
        traditional = traditional.translate(OLD_FORMS)
    return traditional.replace("\ue000", "著").replace("\ue001", "乾")


def _simplified_piece(piece: str) -> str:
    return simplify(piece) if re.match(rf"[{HAN}]", piece) else piece


def _latin(text: str) -> str:
    text = re.sub(r"(?<=[A-Za-z])['’](?=[A-Za-z])", "", text)
    text = re.sub(rf"(?<=[A-Za-z{HAN}][A-Za-z{HAN}])\.(?=[A-Za-z][A-Za-z])", "点", text)  # Node.js
    text = re.sub(r"(?<=[A-Za-z])\.(?=[A-Za-z])", " ", text)  # U.S.
    text = re.sub(rf"(?<=[{HAN}])\s*/\s*(?=[{HAN}])", "，", text)
    text = re.sub(r"(?<=[A-Za-z0-9])#|#(?=[A-Za-z0-9零一二三四五六七八九])(?![^#\n]*#)", "井号", text)
    text = re.sub(rf"(?<=[{HAN}])[~～—–-](?=[周月日号年点第春夏秋冬])", "到", text)
    return re.sub(r"[A-Za-z]+", lambda m: m[0].upper(), text)


def _spoken(text: str) -> Normalised:
    said: list[str] = []
    unknown: dict[str, None] = {}
    for char in text:
        if char in MARKS or "A" <= char <= "Z" or re.match(rf"[{HAN}]", char):
            said.append(char)
        elif char == "\n":
            ended = "".join(said[-1:]) in MARKS or not said
            said.append(" " if ended else "。")
        elif char in SIGNS:
            said.append(SIGNS[char])
        elif char in PUNCTUATION:
            said.append(PUNCTUATION[char])
        elif char in SILENT:
            continue
        else:
            said.append(" ")
            if not char.isspace() and char not in BETWEEN_WORDS and not unicodedata.combining(char):
                unknown[char] = None
    return Normalised(_tidy("".join(said)), tuple(unknown))


def _tidy(text: str) -> str:
    text = re.sub(rf"\s*([{MARKS}])\s*", r"\1", text)
    text = re.sub(rf"[{MARKS}]{{2,}}", lambda m: max(m[0], key=STRENGTH.index), text)
    text = re.sub(rf"^[{MARKS}\s]+", "", text)
    return re.sub(r"\s+", " ", text).strip()
