"""What allocated memory consisted of, event by event: for the time line, and at the peak of each stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts_lab.memory.events import CATEGORIES, Event


@dataclass(frozen=True)
class Profile:
    """Allocated bytes by category after each event: (categories, events) int64, rows in the order of CATEGORIES."""

    bytes: NDArray[np.int64]

    @classmethod
    def of(cls, events: Sequence[Event], changes: Sequence[int], workspaces: Sequence[tuple[int, int]]) -> Profile:
        """changes: of the allocated bytes by each event; workspaces: (event, bytes) that cuBLAS took with it."""
        row = {name: i for i, name in enumerate(CATEGORIES)}
        steps = np.zeros((len(CATEGORIES), len(changes)), np.int64)
        kinds = np.array([row[event.category] for event in events[: len(changes)]], np.int64)
        steps[kinds, np.arange(len(changes))] = changes
        for index, size in workspaces:
            steps[row["workspace"], index] += size
        return cls(steps.cumsum(1))

    def at(self, event: int) -> Mapping[str, int]:
        """Bytes of each category after the event, those that there were."""
        if not 0 <= event < self.bytes.shape[1]:
            return {}
        return {name: int(n) for name, n in zip(CATEGORIES, self.bytes[:, event].tolist(), strict=True) if n}

    def stage_peaks(self, stage_of: Sequence[str]) -> dict[str, int]:
        """The event at which each stage held most. What was there when a stage began counts as its own."""
        total = self.bytes.sum(0)
        found: dict[str, int] = {}
        for index, stage in enumerate(stage_of):
            entered = index > 0 and stage != stage_of[index - 1]
            for at in (index - 1, index) if entered else (index,):
                if stage not in found or total[at] > total[found[stage]]:
                    found[stage] = at
        return found
