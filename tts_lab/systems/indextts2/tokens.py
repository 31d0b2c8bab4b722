"""Text -> tokens of the released SentencePiece model -> segments of a request.

The way of the public program (index-tts, indextts/utils/front.py): write numbers out, keep pinyin with a tone (ZHONG4),
make punctuation ASCII, put spaces around every Chinese character, and make letters capitals.

Where ours differs: Chinese text is normalised by `tts_lab.text.normalise`, which drops quotation marks and brackets
where the public program makes apostrophes of them, makes one stop of an ellipsis, and spells out signs that the other
leaves; a text without Chinese is left as it is but for punctuation, so that its numbers stay digits; a single character
is treated like any text; a single vowel with a digit (A4) is no pinyin; there is no glossary, and no notation for
readings other than pinyin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError, TextError, WeightsError
from tts_lab.systems.indextts2.segments import LIMIT, segments
from tts_lab.text.normalise import normalise

# What is set apart by spaces: Chinese characters and their marks, kana, hangul, wide forms.
WIDE = re.compile(
    "([\u1100-\u11ff\u2e80-\ua4cf\ua840-\ud7af\uf900-\ufaff\ufe30-\ufe4f\uff65-\uffdc\U00020000-\U0002ffff])"
)
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002ffff]")
MARKS = str.maketrans({
    **dict.fromkeys("，：；、;:", ","), "。": ".", "！": "!", "？": "?", "\n": " ", "·": "-",
    **dict.fromkeys("—～~", "-"), **dict.fromkeys("“”‘’\"（）()《》【】[]「」", "'"), "…": ".",
})  # fmt: skip
_FINAL = (
    "[aeiouüv]|[ae]i|u[aio]|ao|ou|i[aue]|[uüv]e|[uvü]ang?|uai|[aeiuv]n|[aeio]ng|ia[no]|i[ao]ng"  # as the vocabulary has
)
PINYIN = re.compile(
    rf"(?<![A-Za-z])(?![A-Za-z]\d)((?:(?:[zcs]h|[bpmfdtnlgkhjqxzcsryw])?(?:{_FINAL})|ng|er)[1-5])(?!\d)", re.IGNORECASE
)


@dataclass(frozen=True)
class Segment:
    """What is spoken in one go. pieces: of the vocabulary, with their ids; text: the words they stand for."""

    text: str
    pieces: tuple[str, ...]
    ids: tuple[int, ...]


class Tokens:
    """The tokenizer. Ids of the released one: 0 start, 1 stop, 2 unknown."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def load(cls, path: Path | str) -> Tokens:
        """Read `bpe.model`. Raises WeightsError where it is missing or something else."""
        try:
            from sentencepiece import SentencePieceProcessor
        except ModuleNotFoundError:
            raise LabError("IndexTTS-2 needs sentencepiece, which is not installed; run ./lab install.") from None
        if not Path(path).is_file():
            raise WeightsError(f"The tokenizer {path} is missing: run 'tts-lab fetch indextts2 --only indextts2'.")
        model = SentencePieceProcessor()
        try:
            model.LoadFromSerializedProto(Path(path).read_bytes())
        except (OSError, RuntimeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise WeightsError(
                f"The tokenizer {path} is no SentencePiece model ({reason}): give the released bpe.model."
            ) from None
        return cls(model)

    def __len__(self) -> int:
        """Pieces of the vocabulary."""
        return int(self._model.GetPieceSize())

    @property
    def unknown_id(self) -> int:
        return int(self._model.unk_id())

    def pieces(self, text: str) -> list[str]:
        """Pieces of a text as people write it. Raises TextError where nothing in it can be spoken."""
        found: list[str] = self._model.EncodeAsPieces(spaced(readable(text)[0]))
        if not any(character.isalnum() for piece in found for character in piece):
            raise TextError("There is nothing in the text that can be spoken; give some words, such as 你好。")
        return found

    def ids(self, pieces: list[str] | tuple[str, ...]) -> list[int]:
        """Ids of pieces; `unknown_id` for what the vocabulary lacks."""
        return [int(self._model.PieceToId(piece)) for piece in pieces]

    def segments(self, text: str, limit: int = LIMIT, first: int = 0) -> list[Segment]:
        """Cut a text into segments of at most `limit` pieces; first: see `segments.segments`. Raises TextError."""
        parts = segments(self.pieces(text), limit, first)
        return [Segment(written(part), tuple(part), tuple(self.ids(part))) for part in parts]

    def unknown(self, text: str) -> tuple[str, ...]:
        """What of a text is not spoken, each once, in order: characters without a reading, and those for which the
        vocabulary has no piece."""
        plain, unread = readable(text)
        foreign = [p.strip("▁") for p in self._model.EncodeAsPieces(spaced(plain))
                   if self._model.PieceToId(p) == self.unknown_id]  # fmt: skip
        return tuple(dict.fromkeys([*unread, *filter(None, foreign)]))


def readable(text: str) -> tuple[str, tuple[str, ...]]:
    """Numbers written out and punctuation in ASCII; beside it, the characters that have no reading."""
    if not HAN.search(text) and re.search("[A-Za-z]", text) and not PINYIN.search(text):
        return re.sub(r"\s+", " ", re.sub(r"\.{2,}|…+", ".", text).translate(MARKS)).strip(), ()
    hidden, syllables = _hide_pinyin(text)
    found = normalise(hidden)
    plain = found.text.translate(MARKS)
    for name, syllable in syllables.items():
        plain = plain.replace(name, syllable)
    return plain, found.unknown


def spaced(text: str) -> str:
    """Spaces around every Chinese character, letters as capitals: 你好 world -> 你 好 WORLD."""
    return " ".join(part.strip().upper() for part in WIDE.split(text.strip()) if part.strip())


def written(pieces: list[str] | tuple[str, ...]) -> str:
    """Pieces as one reads them: without the spaces beside Chinese characters."""
    text = "".join(pieces).replace("▁", " ").strip()
    wide = WIDE.pattern
    return re.sub(rf"(?<={wide})\s+|\s+(?={wide})", "", text)


def _hide_pinyin(text: str) -> tuple[str, dict[str, str]]:
    """Letters in the place of every syllable with a tone, for its digit is no number. Returns the names given, too."""
    mark = "ZQ"
    while mark in text.upper():
        mark += "Q"
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        key = mark + "".join(chr(65 + int(digit)) for digit in f"{len(names):03d}") + mark[::-1]
        names[key] = _syllable(found[1])
        return key

    return PINYIN.sub(name, text), names


def _syllable(pinyin: str) -> str:
    """Capitals, and V for the ü that is written u after j, q, x: ju4 -> JV4."""
    return re.sub(r"^([JQX])[UÜ](?=N|E|AN|\d)", r"\1V", pinyin.upper())
