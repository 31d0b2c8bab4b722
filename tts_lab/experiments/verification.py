"""Is it the same voice? Thresholds on distances, and how often they err.

A trial is a distance between a clip and the nearest known voice; a clip is accepted where it is at most a threshold.
False rejection: a clip of a known voice that is not accepted. False acceptance: a clip of another voice that is. The
threshold at which the two are equal, and that rate, are the usual figures of speaker verification (NIST SRE plans).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tts_lab.errors import LabError


def false_rejection(known: Sequence[float], threshold: float) -> float:
    """Share of distances of known voices beyond the threshold."""
    return sum(d > threshold for d in _some(known)) / len(known)


def false_acceptance(others: Sequence[float], threshold: float) -> float:
    """Share of distances of other voices up to the threshold."""
    return sum(d <= threshold for d in _some(others)) / len(others)


def equal_error(known: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """The threshold at which both errors are most nearly equal, and their mean there.

    Of the thresholds between two neighbouring distances that are equally good, the middle of their range. Raises
    LabError without distances.
    """
    found = sorted({*_some(known), *_some(others)})
    between = [found[0], *((a + b) / 2 for a, b in zip(found, found[1:], strict=False)), found[-1]]
    pairs = [(false_rejection(known, t), false_acceptance(others, t)) for t in between]
    best = min(range(len(pairs)), key=lambda i: (abs(pairs[i][0] - pairs[i][1]), sum(pairs[i])))
    equals = [between[i] for i, pair in enumerate(pairs) if pair == pairs[best]]
    return (equals[0] + equals[-1]) / 2, sum(pairs[best]) / 2


def quantile_above(distances: Sequence[float], share: float) -> float:
    """The smallest of the distances that at least this share of them does not exceed. share: above 0, up to 1."""
    if not 0 < share <= 1:
        raise LabError(f"A share must be above 0 and at most 1, but is {share!r}.")
    return sorted(_some(distances))[math.ceil(share * len(distances)) - 1]


def _some(distances: Sequence[float]) -> Sequence[float]:
    if not distances:
        raise LabError("A threshold needs distances of known and of other voices; one of them is empty.")
    return distances
