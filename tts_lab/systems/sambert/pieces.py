"""A text of any length in pieces that the acoustic model speaks one at a time.

The model was taught single sentences and has positions for 800 units, so a piece is one sentence, or a part of one that
is too long. A piece of SSML is SSML again: whatever `front_end.analyse` reads, it reads in pieces.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tts_lab.errors import RecipeError, TextError
from tts_lab.systems.sambert.front_end import analyse
from tts_lab.systems.sambert.ssml import Segment, read_ssml, write_ssml
from tts_lab.text.split import CLOSERS, SHORTEST, STOPS, sentences, split_text

MAX_UNITS = 800  # rows of the encoder's table of positions (max_len); the end mark takes none
FEWEST_UNITS = 50  # more than any one character needs
SENTENCE_PAUSE = 0.28  # seconds between two sentences (KAN-TTS, bin/text_to_wav.py)
FINAL_PAUSE = 0.05  # seconds after the last
CLOSING = 16  # characters at a piece's end among which its last mark is
SAID = re.compile(rf"[{re.escape(''.join(STOPS))}][{re.escape(CLOSERS)}\s]*\Z")
SPACE = re.compile(r"\s+")

Span = tuple[int, int]


def split_pieces(text: str, max_chars: int = 60, max_units: int = MAX_UNITS) -> Iterator[str]:
    """Cut a text, plain or SSML, into sentences, and sentences that are too long into parts, lazily.

    max_chars: longest piece in characters, 10 to 500; max_units: longest in units, 50 to 800. Every piece holds
    something to speak; what cannot be spoken stays with a neighbour, whose analysis reports it.

    Raises RecipeError for a limit out of range and TextError for malformed SSML, both before any piece is made, and
    TextError in place of the first piece where nothing can be spoken.
    """
    _check(max_chars, max_units)
    return (piece for piece, _ in _Splitter.of(text, max_chars, max_units).pieces())


def split_with_pauses(text: str, max_chars: int = 60, max_units: int = MAX_UNITS) -> Iterator[tuple[str, float]]:
    """As `split_pieces`, each piece with the seconds of silence after it: SENTENCE_PAUSE where it ends a sentence, none
    inside one, FINAL_PAUSE at the end of the text. It reads one piece ahead."""
    _check(max_chars, max_units)
    splitter = _Splitter.of(text, max_chars, max_units)
    return splitter.paused()


def _check(max_chars: int, max_units: int) -> None:
    whole = isinstance(max_units, int) and not isinstance(max_units, bool)
    if not whole or not FEWEST_UNITS <= max_units <= MAX_UNITS:
        raise RecipeError(f"A piece can be {FEWEST_UNITS} to {MAX_UNITS} units long, not {max_units!r}.")
    split_text("", max_chars)  # checks the limit


@dataclass(frozen=True)
class _Splitter:
    """plain: the text without tags; segments: its stretches, the n-th from starts[n] on."""

    text: str
    plain: str
    segments: tuple[Segment, ...]
    starts: tuple[int, ...]
    max_chars: int
    max_units: int

    @classmethod
    def of(cls, text: str, max_chars: int, max_units: int) -> _Splitter:
        segments = read_ssml(text)
        starts = tuple(accumulate((len(segment.text) for segment in segments), initial=0))[:-1]
        return cls(text, "".join(segment.text for segment in segments), segments, starts, max_chars, max_units)

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """Each piece, and whether a sentence ends with it."""
        found = False
        fitting = (part for span in self._spans() for part in self._fitting(span))
        for span in self._speakable(fitting):
            found = True
            yield self._marked(span), self._ends_sentence(span[1])
        if not found:
            analyse(self.text)  # raises, naming what is wrong with it

    def paused(self) -> Iterator[tuple[str, float]]:
        """Each piece, and the seconds of silence after it."""
        held: tuple[str, bool] | None = None
        for piece in self.pieces():
            if held:
                yield held[0], SENTENCE_PAUSE if held[1] else 0.0
            held = piece
        if held:
            yield held[0], FINAL_PAUSE

    def _ends_sentence(self, at: int) -> bool:
        said, after = SAID.search(self.plain, max(0, at - CLOSING), at), SPACE.match(self.plain, at)
        return said is not None or (after is not None and "\n" in after[0])

    def _spans(self) -> Iterator[Span]:
        start = 0
        for sentence in sentences(self.plain):
            yield from self._places(split_text(sentence, self.max_chars), start)
            start += len(sentence)

    def _places(self, parts: Iterable[str], start: int) -> Iterator[Span]:
        """Where parts stand that follow one another with nothing but white space between them."""
        for part in parts:
            start = self.plain.index(part, start)
            yield start, start + len(part)
            start += len(part)

    def _speakable(self, spans: Iterable[Span]) -> Iterator[Span]:
        """Spans joined until each holds something to speak."""
        start, stop, ready = 0, 0, False
        for first, last in spans:
            says = self._size((first, last)) > 0
            if says and ready:
                yield start, stop
                start, ready = first, False
            start = start if stop > start else first
            stop, ready = last, ready or says
        if ready:
            yield start, stop

    def _fitting(self, span: Span) -> Iterator[Span]:
        """A span that is not too long in units, or its halves."""
        start, stop = span
        if self._size(span) <= self.max_units or stop - start == 1:
            yield span
            return
        half = max(SHORTEST, (stop - start) // 2)
        parts = list(self._places(split_text(self.plain[start:stop], half), start)) if half < stop - start else [span]
        if len(parts) == 1:  # one endless word
            middle = (start + stop) // 2
            parts = [(start, middle), (middle, stop)]
        for part in parts:
            yield from self._fitting(part)

    def _size(self, span: Span) -> int:
        """Units of a span; 0 if there is nothing to speak in it."""
        try:
            words = analyse(self._marked(span)).words
        except TextError:
            return 0
        return sum(2 * len(word.pinyin) + 1 for word in words)

    def _marked(self, span: Span) -> str:
        """A span as text, or as SSML where it has emotions."""
        start, stop = span
        first, last = bisect_right(self.starts, start) - 1, bisect_right(self.starts, stop - 1)
        edges = [start, *self.starts[first + 1 : last], stop]
        kept = self.segments[first:last]
        return write_ssml(
            Segment(self.plain[a:b], segment.emotion) for (a, b), segment in zip(pairwise(edges), kept, strict=True)
        )
