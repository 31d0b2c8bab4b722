"""What a listening test is, as plain data: it decides which trials there are, and with a name in which order.

Two people take the same test exactly when their definitions are equal, sounds included.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from tts_lab.errors import LabError
from tts_lab.experiments.listening.sequential import Sprt

ABX, PREFERENCE, MUSHRA = "abx", "preference", "mushra"
MOST_SIGNALS = 12  # of one MUSHRA trial: ITU-R BS.1534-3, 5.2
QUESTION = {
    ABX: "Is X the same as A, or the same as B?",
    PREFERENCE: "Which one sounds better?",
    MUSHRA: "How near does each come to the reference R?",
}


@dataclass(frozen=True)
class Definition:
    """A test without its sounds.

    kind: abx, preference or mushra. items, conditions: names. digests: a hash of each sound, items by conditions.
    rate: in Hz. trials: how many there are; of a sequential test, at most. seed: of all orders. tie: whether
    "no difference" may be answered. reference, low, mid: of MUSHRA, which conditions these are. sequential: of ABX,
    when to stop early.
    """

    kind: str
    items: tuple[str, ...]
    conditions: tuple[str, ...]
    digests: tuple[tuple[str, ...], ...]
    rate: int
    trials: int
    seed: int = 0
    tie: bool = False
    reference: str | None = None
    low: str | None = None
    mid: str | None = None
    sequential: Sprt | None = None
    question: str = ""

    def __post_init__(self) -> None:
        if self.kind not in QUESTION:
            raise LabError(f"There is no test {self.kind!r}; there are {', '.join(QUESTION)}.")
        if self.kind == ABX and len(self.conditions) != 2:
            raise LabError(
                f"ABX compares two conditions, but there are {len(self.conditions)}; choose two with `only`."
            )
        if len(self.conditions) < 2:
            raise LabError("A comparison needs two conditions at least.")
        if self.kind == MUSHRA and len(self.conditions) > MOST_SIGNALS:
            raise LabError(
                f"A MUSHRA trial holds at most {MOST_SIGNALS} sounds, reference and anchors included, but there are "
                f"{len(self.conditions)}; leave some out with `only`."
            )
        if isinstance(self.trials, bool) or not isinstance(self.trials, int) or self.trials < 1:
            raise LabError(f"The number of trials must be a whole number of at least 1, but is {self.trials!r}.")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every two conditions once."""
        return tuple(combinations(self.conditions, 2))

    @property
    def asked(self) -> str:
        """The question that a listener is asked."""
        return self.question or QUESTION[self.kind]

    @cached_property
    def key(self) -> str:
        """A name of twenty letters and digits that only equal definitions share."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:20]

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Definition:
        """Raises LabError for what is no definition."""
        try:
            lists = {name: tuple(data[name]) for name in ("items", "conditions")}
            digests = tuple(map(tuple, data["digests"]))
            sequential = Sprt(**data["sequential"]) if data["sequential"] else None
            return cls(**{**data, **lists, "digests": digests, "sequential": sequential})
        except (TypeError, KeyError, AttributeError):
            raise LabError("This is not the definition of a listening test that this version knows.") from None
