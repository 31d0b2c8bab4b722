"""Text cut into segments by the released rules, on tokens of the SentencePiece model.

A piece ends at a stop, and sooner at a comma or a hyphen; neighbours are joined again as long as they fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

STOPS = frozenset((".", "!", "?", "▁.", "▁?", "▁..."))  # as tokens; there is no "▁!" in the vocabulary
BREAKS = frozenset((",", "▁,", "-"))
APOSTROPHES = frozenset(("'", "▁'"))
LIMIT = 120  # tokens of a segment, as released


def segments(tokens: Sequence[str], limit: int = LIMIT, first: int = 0) -> list[list[str]]:
    """Segments of at most `limit` tokens, one more where a stop at the limit is followed by an apostrophe.

    first: so many tokens are not joined up to the limit but to half of it, so that speech begins sooner
    (`quick_streaming_tokens`). Raises ValueError for a limit below 1.
    """
    if limit < 1:
        raise ValueError(f"a segment has at least 1 token, but the limit is {limit}")
    return joined(pieces(tokens, limit), limit, first)


def pieces(tokens: Sequence[str], limit: int) -> Iterator[list[str]]:
    """Pieces between marks; one without marks is cut at the limit.

    A stop ends a piece of three tokens or more. An apostrophe behind it is taken into the piece and, as in the public
    program, stays at the head of the next one too.
    """
    piece: list[str] = []
    following: Sequence[str | None] = [*tokens, None][1:]
    for token, after in zip(tokens, following, strict=True):
        piece.append(token)
        if len(piece) > limit:
            yield piece[:limit]
            yield piece[limit:]
        elif token in BREAKS:
            yield piece
        elif token in STOPS and len(piece) > 2:
            yield [*piece, after] if after in APOSTROPHES and after is not None else piece
        else:
            continue
        piece = []
    if piece:
        yield piece


def joined(parts: Iterable[list[str]], limit: int, first: int = 0) -> list[list[str]]:
    """Neighbours together where they fit into the limit, or before `first` tokens into half of it."""
    out: list[list[str]] = []
    total = 0
    for part in parts:
        total += len(part)
        room = limit if total > first else limit / 2
        if out and len(out[-1]) + len(part) <= room:
            out[-1] = out[-1] + part
        else:
            out.append(part)
    return out
