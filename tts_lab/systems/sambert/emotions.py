"""The emotion that a request asks for, as shares of the model's rows.

Axes: v rows of the table, e width of an emotion.
"""

from __future__ import annotations

from torch import Tensor

from tts_lab.systems.sambert.voices import EMOTIONS, NEUTRAL, emotion_row, read_mix


def asked_for(emotion: str | None, strength: float = 1.0) -> dict[str, float]:
    """Name of each emotion -> its share, heaviest first; the shares sum to 1.

    emotion: a name or a mixture, as `read_mix` reads it; strength: how much of it, the rest is neutral. Raises
    VoiceError with the nearest name.
    """
    shares: dict[str, float] = {}
    for row, share in read_mix(NEUTRAL if emotion is None else emotion).weights.items():
        shares[EMOTIONS[row]] = share * strength
    shares[NEUTRAL] = shares.get(NEUTRAL, 0.0) + 1 - strength
    return {name: share for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 1e-9}


def vector(table: Tensor, shares: dict[str, float]) -> Tensor:
    """Mixture (1, e) of the rows of a table (v, e)."""
    return sum((share * table[emotion_row(name)] for name, share in shares.items()), table.new_zeros(table.shape[1]))[
        None
    ]


def marker(text: str) -> str:
    """An emotion that no public voice names and the text does not use, to stand for a mixture."""
    return next(name for name in reversed(EMOTIONS) if name.startswith("placeholder_") and name not in text)
