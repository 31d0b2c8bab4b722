"""Which modules hold the memory: the most bytes that each one's tensors took at one time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tts_lab.memory.events import EventLog

OUTSIDE = "(outside of modules)"


@dataclass(frozen=True)
class Holder:
    """A module with all modules inside it. Bytes as asked for, without the allocator's rounding.

    weights: the most of its weights at one time; other: the most of what else its operators made (activations, caches,
    workspaces); while_running: the most that was alive in the whole run at its own events.
    """

    module: str
    weights: int
    other: int
    while_running: int


def holders(log: EventLog, depth: int = 2) -> tuple[Holder, ...]:
    """Every module down to `depth` parts of its dotted path, those that hold most first."""
    columns = log.columns()
    if not len(log):
        return ()
    paths = np.array([_cut(path, depth) for path in columns.tables["module"]])
    kinds = columns.tables["category"]
    weight = columns.category == (kinds.index("weight") if "weight" in kinds else -1)
    live = log.live_bytes()
    found = []
    for name in dict.fromkeys(paths.tolist()):
        mine = (paths == name)[columns.module]
        own = np.where(mine, columns.bytes, 0)
        weights, other = (int(np.cumsum(np.where(kind, own, 0)).max()) for kind in (weight, ~weight))
        found.append(Holder(name, weights, other, int(live[mine].max())))
    return tuple(sorted(found, key=lambda each: (-each.weights - each.other, each.module)))


@dataclass(frozen=True)
class Reading:
    """Weights of a stage. on_card: the most that were there; read: those of them that the stage's operators read."""

    stage: str
    on_card: int
    read: int


def weights_read(log: EventLog) -> tuple[Reading, ...]:
    """How much of the weights on the card each stage reads: the rest only waits there. In the order of the stages."""
    columns, uses = log.columns(), log.uses
    if not len(log):
        return ()
    kinds = columns.tables["category"]
    weight = columns.category == (kinds.index("weight") if "weight" in kinds else -1)
    there = np.cumsum(np.where(weight, columns.bytes, 0))
    fresh = columns.bytes > 0
    size = np.zeros(int(columns.storage.max()) + 1, np.int64)
    size[columns.storage[fresh]] = columns.bytes[fresh]
    reader = columns.stage[np.maximum(uses.position - 1, 0)]
    found = []
    for code, name in enumerate(columns.tables["stage"]):
        mine = columns.stage == code
        if name and mine.any():
            read = np.unique(uses.storage[reader == code])
            found.append(Reading(name, int(there[mine].max()), int(size[read].sum())))
    return tuple(found)


def _cut(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth]) if path else OUTSIDE
