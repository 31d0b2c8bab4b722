"""Long text in pieces that are spoken one at a time.

A piece ends at the end of a sentence if one fits, else at the end of a clause, else between words; never inside a
number, a date, a telephone number, an address or a Latin word. Short neighbours are joined as long as they fit, because
a voice sounds more natural with more of the sentence before it; but never across a line break, where a speaker pauses
anyway (unless the line has fewer than ten characters), and never part of a sentence with the end of the one before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tts_lab.errors import RecipeError
from tts_lab.text.words import cut_words

SHORTEST, LONGEST = 10, 500
INSIDE, WORD, CLAUSE, SENTENCE, LINE = range(5)  # how good a place the end of a token is to stop
LOOK_AHEAD = 8  # characters past the limit that are read, so that the last word is known whole

SENTENCE_MARKS = "。！？!?…；;."
STOPS = frozenset("。！？!?.")  # of these, the ones that end a sentence; … and ； are pauses inside it
CLAUSE_MARKS = "，,、：:—~～"
CLOSERS = "”’」』）)】》〉\"'"
OPENERS = "“‘「『（(【《〈[{"
LATIN = r"A-Za-zＡ-Ｚａ-ｚÀ-ɏ"
HAN_NUMERALS = "零〇幺一二两三四五六七八九十百千万亿点"
TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
    | (?P<atom>
        [-+−¥￥$€£]{{0,2}}[{LATIN}\d](?:[{LATIN}\d]|[.,:：/\-+@_%~～–—'’&=?\#°℃^*×](?=[{LATIN}\d]))*
        (?:[年月日号时点分秒]\d[\d.:]*|\x20\d+){{0,4}}[%‰°℃℉年月日号时点分秒个元天次人]?
        | [{HAN_NUMERALS}]{{2,}}
      )
    | (?P<mark>[{re.escape(SENTENCE_MARKS + CLAUSE_MARKS)}]+[{re.escape(CLOSERS)}]*)
    | (?P<opener>[{re.escape(OPENERS)}])
    | (?P<char>.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class _Token:
    text: str
    level: int


def split_text(text: str, max_chars: int = 60) -> Iterator[str]:
    """Cut a text into pieces, lazily and in time linear in its length.

    max_chars: longest piece in characters, 10 to 500. A number, address or Latin word longer than that is kept whole
    up to 500 characters, with the mark after it. Joined, the pieces give the text, apart from white space at their
    ends. A piece may hold nothing to speak (a line of stars): see `front_end.speakable`.

    Raises RecipeError for a limit out of range, before any piece is made.
    """
    if isinstance(max_chars, bool) or not isinstance(max_chars, int) or not SHORTEST <= max_chars <= LONGEST:
        raise RecipeError(f"A piece of text can be {SHORTEST} to {LONGEST} characters long, not {max_chars!r}.")
    return _pieces(text, max_chars)


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text, lazily, with the marks and the white space after them; joined they give the text.

    A sentence ends at 。！？ (or their Western forms, not inside a number or an address) and at the end of a line.
    """
    held: list[str] = []
    ended = False
    for token in _tokens(text):
        if ended and not token.text.isspace():
            yield "".join(held)
            held, ended = [], False
        held.append(token.text)
        stop = token.level == SENTENCE and any(mark in STOPS for mark in token.text)
        ended = ended or stop or token.level == LINE
    if held:
        yield "".join(held)


def _pieces(text: str, limit: int) -> Iterator[str]:
    held: list[_Token] = []
    size = 0
    for token in _tokens(text):
        held.append(token)
        size += len(token.text)
        while size > limit + LOOK_AHEAD and size - len(token.text) > limit:  # the mark after a long number is known
            stop = _best_stop(held, limit)
            yield from _stripped(held[:stop])
            held = held[stop:]
            size = sum(len(t.text) for t in held)
        if token.level == LINE and size > SHORTEST:
            yield from _rest(held, limit)
            held, size = [], 0
    yield from _rest(held, limit)


def _rest(held: list[_Token], limit: int) -> Iterator[str]:
    while len(_joined(held).strip()) > limit:
        stop = _best_stop(held, limit)
        yield from _stripped(held[:stop])
        held = held[stop:]
    yield from _stripped(held)


def _stripped(tokens: list[_Token]) -> Iterator[str]:
    piece = _joined(tokens).strip()
    if piece:
        yield piece


def _joined(tokens: list[_Token]) -> str:
    return "".join(token.text for token in tokens)


def _tokens(text: str) -> Iterator[_Token]:
    for found in TOKEN.finditer(text):
        kind, token = found.lastgroup, found[0]
        level = _level(kind or "", token, text[found.end() : found.end() + 1])
        for start in range(0, len(token), LONGEST):
            yield _Token(token[start : start + LONGEST], level)


def _level(kind: str, token: str, after: str) -> int:
    if kind == "space":
        return LINE if "\n" in token or "\r" in token else WORD
    if kind == "mark":
        return SENTENCE if any(c in SENTENCE_MARKS for c in token) else CLAUSE
    if kind == "char" and token in CLOSERS:
        return WORD
    return WORD if after and (after.isspace() or after in OPENERS) else INSIDE


def _best_stop(held: list[_Token], limit: int) -> int:
    """How many tokens to speak now: up to the last of the best stops that fit, at least one."""
    best, stop, size = INSIDE, 0, 0
    for index, token in enumerate(held, 1):
        size += len(token.text)
        if size > limit:
            break
        if token.level >= max(best, WORD):
            best, stop = token.level, index
    return stop if best > WORD else _between_words(held, limit)


def _between_words(held: list[_Token], limit: int) -> int:
    """The last place between two words that fits, in tokens; not after an opening bracket or before a mark."""
    ends = _word_ends(_joined(held))
    stop, size, fits = 0, 0, 0
    for index, (token, after) in enumerate(zip(held, [*held[1:], None], strict=True), 1):
        size += len(token.text)
        if size > limit:
            break
        fits = index
        if size in ends and token.text not in OPENERS and not _is_mark(after):
            stop = index
    if stop or fits:
        return stop or fits
    closed = len(held) > 1 and _is_mark(held[1]) and len(held[1].text) < SHORTEST
    return 2 if closed else 1  # one token longer than the limit, and the mark that ends it


def _is_mark(token: _Token | None) -> bool:
    return token is not None and token.text[0] in SENTENCE_MARKS + CLAUSE_MARKS + CLOSERS


def _word_ends(text: str) -> set[int]:
    ends, place = set(), 0
    for run in re.split(r"([\u4e00-\u9fff]+)", text):
        for word in cut_words(run) if run and "\u4e00" <= run[0] <= "\u9fff" else [run]:
            place += len(word)
            ends.add(place)
    return ends
