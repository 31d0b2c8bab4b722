"""A replay as a snapshot file that PyTorch's own viewer opens: a prediction, looked at like a measurement.

The format is that of `torch.cuda.memory._dump_snapshot`; the viewer is https://docs.pytorch.org/memory_viz.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from tts_lab.memory.allocator import Allocator
from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.allocator_state import snapshot
from tts_lab.memory.blocks import Block
from tts_lab.memory.cards import Card
from tts_lab.memory.events import Event, EventLog
from tts_lab.memory.replay import ENDLESS
from tts_lab.whole import whole


def snapshot_of(log: EventLog, card: Card, settings: Settings | None = None) -> dict[str, Any]:
    """The run as PyTorch would record it on a card without end: every allocation and free with its place.

    Where PyTorch names Python's frames there stand operator, module and stage. Raises LabError for a damaged log.
    """
    allocator = Allocator(ENDLESS, card.context_bytes, settings)
    held: dict[int, tuple[Block, list[dict[str, Any]]]] = {}
    trace: list[dict[str, Any]] = []
    emptied = frozenset(log.flushes)
    for time, event in enumerate(log):
        if time in emptied:
            allocator.empty_cache()
        if event.bytes > 0:
            block, frames = allocator.malloc(event.bytes, event.stream), _frames(event)
            held[event.storage] = block, frames
            trace.append(_entry("alloc", block, event, frames, time))
        else:
            block, frames = held.pop(event.storage)
            trace += [_entry(action, block, event, frames, time) for action in ("free_requested", "free_completed")]
            allocator.free(block)
    return {"segments": [_with_frames(segment, held) for segment in snapshot(allocator)], "device_traces": [trace]}


def write_snapshot(log: EventLog, card: Card, path: str | Path, settings: Settings | None = None) -> Path:
    """Write `snapshot_of` as a pickle. Raises OutputError where it cannot be written."""
    path = Path(path)
    with whole(path, "snapshot") as part:
        part.write_bytes(pickle.dumps(snapshot_of(log, card, settings)))
    return path


def _entry(action: str, block: Block, event: Event, frames: list[dict[str, Any]], time: int) -> dict[str, Any]:
    return {
        "action": action, "addr": block.address, "size": abs(event.bytes), "stream": event.stream, "frames": frames,
        "category": event.category, "time_us": time, "device": 0,
    }  # fmt: skip


def _frames(event: Event) -> list[dict[str, Any]]:
    """Innermost first, as PyTorch writes them."""
    places = (event.operator or f"{event.category}, there before"), event.module, event.stage and f"stage {event.stage}"
    return [{"name": place, "filename": "", "line": 0} for place in places if place]


def _with_frames(segment: dict[str, Any], held: dict[int, tuple[Block, list[dict[str, Any]]]]) -> dict[str, Any]:
    known = {block.address: frames for block, frames in held.values()}
    blocks = [block | {"frames": known.get(block["address"], [])} for block in segment["blocks"]]
    return segment | {"blocks": blocks, "frames": []}
