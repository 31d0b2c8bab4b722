"""How fast memory is predicted: tracing a request, replaying it against every card, and how the cost grows.

    python benchmarks/memory_speed.py
    python benchmarks/memory_speed.py --system mini --recipe article-original --out trial.json

Prints a table and the curve of replay against the number of events, and writes `data/measured/memory_speed.json`
(other settings than the default ones only where `--out` says). The first trace of a process also imports what it needs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from environment import ROOT, command, environment, today, write_json
from tts_lab.errors import LabError
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.memory.calls import Memory
from tts_lab.memory.cards import cards, find_card
from tts_lab.memory.events import Event, EventLog
from tts_lab.memory.replay import replay, replay_cards
from tts_lab.memory.tracer import Tracer
from tts_lab.recipe import Recipe
from tts_lab.systems import SYSTEMS, run_lengths

RESULT = ROOT / "data" / "measured" / "memory_speed.json"
LARGEST = "indextts2"
REPEATS = 3
OTHERS = ({"steps": 25}, {"offload": "voice"}, {"offload": "stage"}, {"cache": "growing"}, {"max_chars": 120})
CURVE = (5_000, 10_000, 20_000, 40_000, 80_000, 160_000)  # events


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        result = measure(args)
        print(markdown(speeds(result)), markdown(curve(result["curve"])), sep="\n\n")
        default = (args.system, args.recipe, args.seconds) == (LARGEST, "default", 30.0)
        if out := args.out or (RESULT if default else None):
            write_json(out, result)
            print(f"\nWritten to {out}.")
    except LabError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything, as plain data."""
    logs: list[EventLog] = []
    first, *again = [_timed(lambda: logs.append(_trace(args)))[0] for _ in range(1 + REPEATS)]
    log, found = logs[-1], list(cards().values())
    weights = {e.storage: e.bytes for e in log if e.category == "weight" and e.bytes > 0}
    replayed = [_timed(lambda: replay_cards(log, found))[0] for _ in range(REPEATS)]
    one = [_timed(lambda: replay(log, find_card("8gb")))[0] for _ in range(REPEATS)]
    return {
        "date": today(), "command": command(), "environment": environment(), "system": args.system,
        "recipe": args.recipe, "seconds": args.seconds, "reference_seconds": args.reference_seconds,
        "events": len(log), "operators": log.meta["operators"], "launches": log.meta["launches"],
        "weight_bytes": sum(weights.values()), "peak_bytes": log.peak_bytes(), "file_bytes": _size_on_disk(log),
        "first_trace_seconds": first, "trace_seconds": median(again), **_others(args),
        "operators_per_second": log.meta["operators"] / median(again), "cards": len(found),
        "replay_cards_seconds": median(replayed), "replay_seconds": median(one), "curve": [_point(n) for n in CURVE],
    }  # fmt: skip


def _trace(args: argparse.Namespace, recipe: Recipe | None = None, memory: Memory | None = None) -> EventLog:
    tracer = Tracer(memory=memory)
    run_lengths(args.system, recipe or Recipe.find(args.recipe), args.seconds, args.reference_seconds, tracer)
    return tracer.log


def _others(args: argparse.Namespace) -> dict[str, float]:
    """Medians for other recipes: traced from nothing, and with the calls that the first recipe left to remember."""
    memory, alone, after = Memory(), [], []
    _trace(args, memory=memory)
    for levers in OTHERS:
        recipe = Recipe.find(args.recipe).replace(**levers)
        alone.append(_timed(lambda recipe=recipe: _trace(args, recipe))[0])
        after.append(_timed(lambda recipe=recipe: _trace(args, recipe, memory))[0])
    return {"other_trace_seconds": median(alone), "other_remembered_seconds": median(after)}


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    value = action()
    return round(time.perf_counter() - start, 4), value


def _size_on_disk(log: EventLog) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return log.save(Path(folder) / "log.npz").stat().st_size


def _point(events: int) -> dict[str, float]:
    """Replay of a made-up run of so many events: 64 sizes, each alive over 40 others."""
    log = EventLog(_made_up(events))
    seconds = min(_timed(lambda: replay(log, find_card("rtx4090")))[0] for _ in range(REPEATS))
    return {"events": events, "seconds": seconds}


def _made_up(events: int) -> list[Event]:
    alive: list[Event] = []
    made: list[Event] = []
    while len(made) < events:
        if len(alive) == 40:
            old = alive.pop(0)
            made.append(Event(old.storage, -old.bytes, old.operator, "", "s", "activation"))
        new = Event(len(made), 4096 * (1 + 37 * len(made) % 64) ** 2, "aten.add.Tensor", "", "s", "activation")
        made.append(new)
        alive.append(new)
    return made[:events]


def speeds(result: dict[str, Any]) -> Table:
    """What one request costs to predict."""
    rows = [
        ("parameters' bytes on the card, all together", f"{result['weight_bytes'] / 2**20:,.0f} MiB"),
        ("operators traced", f"{result['operators']:,}"),
        ("of launches in the run", f"{result['launches']:,}"),
        ("seconds to trace", f"{result['trace_seconds']:.2f}"),
        ("seconds to trace another recipe", f"{result['other_trace_seconds']:.2f}"),
        ("the same with the first one's calls remembered", f"{result['other_remembered_seconds']:.2f}"),
        ("operators per second", f"{result['operators_per_second']:,.0f}"),
        ("events in the log", f"{result['events']:,}"),
        ("log on disk", f"{result['file_bytes'] / 2**20:.2f} MiB"),
        (f"seconds to replay against {result['cards']} cards", f"{result['replay_cards_seconds']:.2f}"),
        ("seconds to replay against one", f"{result['replay_seconds']:.2f}"),
    ]
    return (f"{result['system']}, {result['recipe']}, {result['seconds']:g} s", "figure"), rows


def curve(points: Sequence[dict[str, float]]) -> Table:
    """The cost of replay by the number of events."""
    rows = [
        (f"{p['events']:,}", f"{p['seconds']:.3f}", f"{1e6 * p['seconds'] / p['events']:.2f}") for p in points
    ]  # fmt: skip
    return ("events", "seconds to replay", "µs an event"), rows


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--system", default=LARGEST, choices=list(SYSTEMS))
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--reference-seconds", type=float, default=15.0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
