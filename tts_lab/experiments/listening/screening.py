"""Post-screening of MUSHRA: whose scores do not count, by the rule of ITU-R BS.1534-3, 4.1.2.

A listener is left out who scores the hidden reference below 90 for more than 15 % of the items: it *is* the reference.
As an option also one who scores the 7 kHz anchor above 90 for more than 15 % of the items; an item whose anchor more
than a quarter of all listeners score so does not count for that, because the filter may have taken nothing from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tts_lab.experiments.listening.rows import Row

LIMIT, SHARE, UNCLEAR = 90, 0.15, 0.25


@dataclass(frozen=True)
class Screened:
    """A listener before screening. reference: share of the items whose hidden reference had less than 90. mid: share
    of those whose 7 kHz anchor had more than 90; None: not asked. kept: whether the scores count."""

    listener: str
    reference: float
    mid: float | None
    kept: bool

    @property
    def sentence(self) -> str:
        """Why the listener was left out."""
        also = "" if self.mid is None else f", and the 7 kHz anchor above {LIMIT} in {self.mid:.0%}"
        return (
            f"{self.listener} scored the hidden reference below {LIMIT} in {self.reference:.0%} of the items{also}; "
            f"more than {SHARE:.0%} are too many, so these scores do not count."
        )


def screen(rows: Sequence[Row], reference: str, mid: str | None = None) -> tuple[Screened, ...]:
    """Every listener, and whether the scores count. mid: the anchor whose rule applies too; None: it does not."""
    listeners = list(dict.fromkeys(row["listener"] for row in rows))
    unclear = _unclear(rows, mid, len(listeners)) if mid else set()
    found = []
    for name in listeners:
        own = [row for row in rows if row["listener"] == name]
        low = _share([row["score"] < LIMIT for row in own if row["condition"] == reference])
        anchor = [row["score"] > LIMIT for row in own if row["condition"] == mid and row["item"] not in unclear]
        high = _share(anchor) if mid else None
        found.append(Screened(name, low, high, low <= SHARE and (high or 0) <= SHARE))
    return tuple(found)


def _unclear(rows: Sequence[Row], mid: str, listeners: int) -> set[str]:
    """Items whose anchor too many listeners took for nearly perfect."""
    praised: dict[str, set[str]] = {}
    for row in rows:
        if row["condition"] == mid and row["score"] > LIMIT:
            praised.setdefault(row["item"], set()).add(row["listener"])
    return {item for item, who in praised.items() if len(who) > UNCLEAR * listeners}


def _share(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers) if answers else 0.0
