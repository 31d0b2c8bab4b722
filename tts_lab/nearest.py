"""A guess at what was meant, for sentences about names that do not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.6  # of difflib's ratio: 1 is equal


def did_you_mean(word: object, known: Iterable[str], alike: float = ALIKE) -> str:
    """` (did you mean 'happy'?)`, or nothing where no known word is near. Capitals do not count."""
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), names, n=1, cutoff=alike)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""
