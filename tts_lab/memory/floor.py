"""The streaming floor: the least memory that a run could do with if every weight came only when it is read.

At each operator: what lives beside the weights (activations, caches, workspaces) and the weights that this operator
reads. Its maximum is a lower bound for any recipe that streams weights and changes nothing else; fetching the next
weights while the last are in use adds the largest pair of neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tts_lab.memory.events import EventLog


@dataclass(frozen=True)
class Floor:
    """Bytes, as asked for (no rounding). double_buffered: with the next operator's weights already there.

    stages: the floor of each stage by name.
    """

    bytes: int
    double_buffered: int
    stages: Mapping[str, int] = field(default_factory=dict)


def streaming_floor(log: EventLog) -> Floor:
    """The floor of a traced run. Linear in the number of events."""
    beside = _beside_weights(log)
    read, at = _read(log)
    stage = _stage_names(log)
    need, both = beside.copy(), beside.copy()
    following = np.append(read[1:], 0)
    np.maximum.at(need, at, beside[at] + read)
    np.maximum.at(both, at, beside[at] + read + following)
    stages = {name: int(need[stage == name].max()) for name in dict.fromkeys(stage.tolist())}
    return Floor(int(need.max(initial=0)), int(both.max(initial=0)), stages)


def _beside_weights(log: EventLog) -> NDArray[np.int64]:
    """Bytes that are alive after each event and are no weights."""
    columns = log.columns()
    kinds = columns.tables.get("category", ())
    weight = columns.category == (kinds.index("weight") if "weight" in kinds else -1)
    return np.cumsum(np.where(weight, 0, columns.bytes))


def _read(log: EventLog) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bytes of weights that each reading operator reads, and the event after which it ran."""
    uses, columns = log.uses, log.columns()
    if not len(uses):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    fresh = columns.bytes > 0
    size = np.zeros(int(columns.storage.max()) + 1, np.int64)
    size[columns.storage[fresh]] = columns.bytes[fresh]
    begins = np.flatnonzero(uses.first)
    return np.add.reduceat(size[uses.storage], begins), np.maximum(uses.position[begins] - 1, 0)


def _stage_names(log: EventLog) -> NDArray[np.str_]:
    columns = log.columns()
    return np.array(columns.tables.get("stage", ()) or [""])[columns.stage] if len(log) else np.zeros(0, str)
