"""What stands in for the tokenizer where weights are random: one token for each character."""

from __future__ import annotations

from tts_lab.errors import TextError
from tts_lab.systems.indextts2.tokens import Segment


class Characters:
    """Implements what `tokens.Tokens` does, for a vocabulary of any size. The ids mean nothing."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary

    def segments(self, text: str, limit: int) -> list[Segment]:
        """Pieces of at most `limit` tokens. Raises TextError where there is none."""
        pieces = [character for character in text if not character.isspace()]
        if not pieces:
            raise TextError("There is no text to speak; give some Chinese text, such as 你好。")
        parts = (pieces[i : i + limit] for i in range(0, len(pieces), limit))
        return [Segment("".join(part), tuple(part), tuple(self.ids(part))) for part in parts]

    def unknown(self, text: str) -> tuple[str, ...]:
        """Nothing: every character has an id."""
        return ()

    def ids(self, pieces: list[str] | tuple[str, ...]) -> list[int]:
        """Ids from 2 on: 0 and 1 are marks."""
        return [2 + ord(piece[0]) % (self.vocabulary - 2) for piece in pieces]
