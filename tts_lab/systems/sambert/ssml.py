"""The part of SSML that the model can obey: `<speak>` and, inside it, `<emotion category="happy">`.

    <speak>今天<emotion category="happy">真高兴</emotion>！</speak>

Text without tags is text. The innermost emotion holds. Whatever the model cannot do is refused, never ignored: a tag or
attribute that had no effect would look like a voice that does not listen. Entities are XML's own five and character
references; a document type, and with it every other entity, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from tts_lab.errors import TextError, VoiceError
from tts_lab.nearest import did_you_mean
from tts_lab.systems.sambert.voices import ALIKE, find_emotion

MARKUP = re.compile(r"\ufeff?\s*<(?:[A-Za-z/]|\?xml|!)")
ATTRIBUTES = {"speak": ("version", "xmlns", "xml:lang"), "emotion": ("category",)}
CHINESE = re.compile(r"(?i)zh\b.*|cmn\b.*")
MISMATCHED = expat.errors.codes[expat.errors.XML_ERROR_TAG_MISMATCH]
UNCLOSED = expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]


@dataclass(frozen=True)
class Segment:
    """A stretch of text with one emotion: a name, or None where none is asked for."""

    text: str
    emotion: str | None = None


def is_ssml(text: str) -> bool:
    """Whether a text begins with markup. `3 < 5` does not, and `<speak` does."""
    return MARKUP.match(text) is not None


def read_ssml(text: str) -> tuple[Segment, ...]:
    """The stretches of a text, plain or SSML, in order; neighbours with one emotion are one stretch.

    Raises TextError with the line and column where the SSML is malformed or asks for what the model cannot do.
    """
    if not is_ssml(text):
        return (Segment(text),)
    reader = _Reader(text.lstrip("\ufeff \t\r\n") if text.lstrip("\ufeff \t\r\n").startswith("<?xml") else text)
    return tuple(reader.read())


def write_ssml(segments: Iterable[Segment]) -> str:
    """The inverse of `read_ssml`: plain text if no stretch has an emotion, else SSML."""
    parts = list(segments)
    plain = "".join(part.text for part in parts)
    if all(part.emotion is None for part in parts) and not is_ssml(plain):
        return plain
    return f"<speak>{''.join(map(_marked, parts))}</speak>"


def _marked(part: Segment) -> str:
    text = escape(part.text)
    return text if part.emotion is None else f'<emotion category="{part.emotion}">{text}</emotion>'


@dataclass
class _Reader:
    """expat's callbacks. open: the tags that are open, each with its place and emotion."""

    source: str
    runs: list[tuple[str | None, list[str]]] = field(default_factory=list)
    open: list[tuple[str, str, str | None]] = field(default_factory=list)

    def read(self) -> list[Segment]:
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        try:
            self.parser.Parse(self.source.encode(), True)
        except UnicodeEncodeError:
            raise TextError("The SSML is not valid Unicode (half of a character); give it as UTF-8.") from None
        except expat.ExpatError as error:
            raise TextError(self._malformed(error)) from None
        return [Segment("".join(parts), emotion) for emotion, parts in self.runs]

    def _here(self) -> str:
        return f"line {self.parser.CurrentLineNumber}, column {self.parser.CurrentColumnNumber + 1}"

    def _malformed(self, error: expat.ExpatError) -> str:
        place = f"line {error.lineno}, column {error.offset + 1}"
        what = expat.ErrorString(error.code)
        advice = "; write & as &amp; and < as &lt;" if error.code not in (MISMATCHED, UNCLOSED) else ""
        if self.open:
            name, opened, _ = self.open[-1]
            advice += f"; <{name}> of {opened} is still open there"
        return f"The SSML is malformed at {place}: {what}{advice}."

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        here = self._here()
        if name not in ATTRIBUTES:
            guess = did_you_mean(name, ATTRIBUTES, ALIKE)
            raise TextError(f"SSML, {here}: there is no tag <{name}> here{guess}; the tags are <speak> and <emotion>.")
        if (name == "speak") == bool(self.open):
            raise TextError(f"SSML, {here}: <speak> encloses everything, once, and <emotion> stands inside it.")
        for attribute, value in attributes.items():
            self._check(name, attribute, value, here)
        outer = self.open[-1][2] if self.open else None
        self.open.append((name, here, self._emotion(attributes, here) if name == "emotion" else outer))

    def _check(self, name: str, attribute: str, value: str, here: str) -> None:
        if name == "emotion" and attribute == "intensity":
            raise TextError(
                f"SSML, {here}: intensity cannot be obeyed, because the model has no intensity input; leave it out, "
                "or mix the emotion with neutral ('50% happy + 50% neutral')."
            )
        if attribute not in ATTRIBUTES[name]:
            guess = did_you_mean(attribute, ATTRIBUTES[name], ALIKE)
            known = ", ".join(ATTRIBUTES[name])
            raise TextError(f"SSML, {here}: <{name}> has no attribute {attribute!r} here{guess}; it takes {known}.")
        if attribute == "xml:lang" and not CHINESE.fullmatch(value):
            raise TextError(f"SSML, {here}: the voices speak Mandarin (zh-CN), not {value!r}.")

    def _emotion(self, attributes: dict[str, str], here: str) -> str:
        if "category" not in attributes:
            raise TextError(f'SSML, {here}: <emotion> says which one, as in <emotion category="happy">.')
        try:
            return find_emotion(attributes["category"])
        except VoiceError as error:
            raise TextError(f"SSML, {here}: {error}") from None

    def _end(self, name: str) -> None:
        self.open.pop()

    def _text(self, text: str) -> None:
        emotion = self.open[-1][2]
        if not self.runs or self.runs[-1][0] != emotion:
            self.runs.append((emotion, []))
        self.runs[-1][1].append(text)

    def _doctype(self, *_: object) -> None:
        raise TextError(
            f"SSML, {self._here()}: a document type is refused, because it could define entities; leave it out."
        )
