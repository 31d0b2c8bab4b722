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
    """How much of the weights on the card each stage reads; the rest only waits there. Of a stage its fullest pass."""
    columns, uses = log.columns(), log.uses
    if not len(log):
        return ()
    kinds = columns.tables["category"]
    weight = columns.category == (kinds.index("weight") if "weight" in kinds else -1)
    there = np.cumsum(np.where(weight, columns.bytes, 0))
    fresh = columns.bytes > 0
    size = np.zeros(int(columns.storage.max()) + 1, np.int64)
    size[columns.storage[fresh]] = columns.bytes[fresh]
    best: dict[str, Reading] = {}
    for stage, start, end in _visits(log):
        inside = (uses.position > start) & (uses.position <= end)
        read = int(size[np.unique(uses.storage[inside])].sum())
        on_card = int(there[max(start - 1, 0) : end].max(initial=0))
        before = best.get(stage, Reading(stage, 0, 0))
        best[stage] = Reading(stage, max(on_card, before.on_card), max(read, before.read))
    return tuple(best.values())


def _visits(log: EventLog) -> list[tuple[str, int, int]]:
    """Each pass through a stage: its name, and the events between which it ran."""
    begun: dict[str, int] = {}
    found = []
    for marker in log.markers:
        if marker.begins:
            begun[marker.stage] = marker.position
        else:
            found.append((marker.stage, begun.pop(marker.stage), marker.position))
    return found


def _cut(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth]) if path else OUTSIDE
