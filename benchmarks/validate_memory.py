"""Predicted against measured memory, on the CUDA card of this machine: every system, recipe and stage.

    python benchmarks/validate_memory.py                                    all systems, the usual recipes
    python benchmarks/validate_memory.py --systems mini --recipes default --seconds 10 --out trial.json
    python benchmarks/validate_memory.py --limit 8 --recipes as-released fits-8gb    with no more than 8 GiB of the card
    python benchmarks/validate_memory.py --jobs 4 --measured found.json    only measure; four at once, without times
    python benchmarks/validate_memory.py --from found.json                 compare it, on any machine
    python benchmarks/validate_memory.py --from data/measured/memory-nvidia-h200.json    against today's predictions

Each cell is a fresh process: what an earlier run leaves in the allocator would count for the next one. Weights are
random. Prints a table, lists every miss with what is known of its cause, and writes `data/measured/memory-<card>.json`.
A miss is an allocated peak that differs by more than 1 %, a reserved one by more than 5 %, or a run that ends
otherwise than predicted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from environment import ROOT, command, environment, positive, today, write_json
from tts_lab.errors import LabError
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.vram import vram
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.cuda import CudaMeter, measured_card
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import Recipe
from tts_lab.systems import STUDIES, SYSTEMS, run_lengths

RECIPES = ("default", "article-original", "article-fp16", "article-recommended", "fastest")
ALLOCATED, RESERVED = 0.01, 0.05  # what may differ
# cuDNN copies what a convolution reads, makes and is made with into a layout of its own. Of the largest result, an
# H200's allocator was asked for 2 times as much in float32 and up to 4.3 times in float16 (found with --events).
COPIES = 4.5
MIB = 2**20
NO_MISSES = "No misses: every allocated peak within 1 %, every reserved one within 5 %, every run ends as predicted."


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        if args.one:
            print(json.dumps(measured(*args.one, args)))
            return
        found = json.loads(args.read.read_text(encoding="utf-8")) if args.read else measure(args)
        if args.measured:
            return
        result = validate(found)
        print(markdown(table(result["cells"])), "", *misses(result["cells"]), sep="\n")
        out = args.out or ROOT / "data" / "measured" / f"memory-{result['name']}.json"
        write_json(out, result)
        print(f"\nWritten to {out}.")
    except LabError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All cells on the card, each in a process of its own. With `--measured` they are written as they become ready."""
    CudaMeter()  # raises where there is no card, before any work
    card = measured_card()
    found: dict[str, Any] = {
        "date": today(), "command": command(), "environment": environment(),
        "card": {"name": card.name, "total_bytes": card.total_bytes, "compute_capability": card.compute_capability},
        "limit_gib": args.limit, "seconds": args.seconds, "reference_seconds": args.reference_seconds,
        "weights": "random", "cells": [],
    }  # fmt: skip
    with ThreadPoolExecutor(args.jobs) as pool:
        for cell in pool.map(lambda pair: _cell(*pair, args), itertools.product(args.systems, args.recipes)):
            found["cells"].append(cell)
            if args.measured:
                write_json(args.measured, found)
    return found


def _cell(system: str, recipe: str, args: argparse.Namespace) -> dict[str, Any]:
    """What was found of one, or the last line of why it did not run."""
    lengths = [f"--seconds={args.seconds}", f"--reference-seconds={args.reference_seconds}"]
    more = [f"--limit={args.limit}"] * (args.limit is not None) + [f"--events={args.events}"] * bool(args.events)
    run = [sys.executable, __file__, "--one", system, recipe, *lengths, *more]
    done = subprocess.run(run, capture_output=True, text=True)
    if done.returncode:
        return {"system": system, "recipe": recipe, "error": done.stderr.strip().splitlines()[-1:]}
    cell = json.loads(done.stdout.splitlines()[-1])
    if args.jobs > 1:  # others used the card beside it
        cell["outside_bytes"] = None
        for stage in cell["stages"].values():
            stage["seconds_measured"] = None
    return cell


def measured(system: str, recipe: str, args: argparse.Namespace) -> dict[str, Any]:
    """One run for real: as a report tells it, what the comparison needs."""
    meter = CudaMeter()
    if args.limit is not None:
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, args.limit * 2**30 / total))
    if args.events:
        torch.cuda.memory._record_memory_history(context=None)
    found: dict[str, Any] = {"system": system, "recipe": recipe, "verdict": "fits", "stages": {}}
    try:
        run_lengths(system, Recipe.find(recipe), args.seconds, args.reference_seconds, meter)
    except torch.OutOfMemoryError as error:
        found |= {"verdict": "out_of_memory", "message": str(error).partition(". ")[0]}
    report = meter.report()
    if report.verdict == "tight" and found["verdict"] == "fits":
        found["verdict"] = "tight"
    if args.events:
        _keep_events(args.events / f"{system}-{recipe}.npz")
    stages = {
        stage.name: {"peak_allocated_bytes": stage.peak_allocated, "peak_reserved_bytes": stage.peak_reserved,
                     "seconds_measured": stage.seconds}
        for stage in report.stages
    }  # fmt: skip
    return found | {"outside_bytes": report.context, "peak_allocated_bytes": report.peak_allocated,
                    "peak_reserved_bytes": report.peak_reserved, "stages": stages}  # fmt: skip


def _keep_events(path: Path) -> None:
    """What the allocator was asked for and did, in order: to find the first difference from a prediction."""
    trace = torch.cuda.memory._snapshot()["device_traces"][0]
    actions = sorted({event["action"] for event in trace})
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path, actions=np.array(actions), action=np.array([actions.index(event["action"]) for event in trace], np.uint8),
        size=np.array([event["size"] for event in trace]), address=np.array([event["addr"] for event in trace]),
    )  # fmt: skip


def validate(found: dict[str, Any]) -> dict[str, Any]:
    """What was found on a card beside what is predicted for it."""
    card = card_of(found)
    cells = []
    for cell in map(as_found, found["cells"]):
        if "error" not in cell:
            predicted = vram(cell["system"], card, cell["recipe"], found["seconds"], found["reference_seconds"])
            cell = compared(predicted, cell)
        cells.append(cell)
    limit = f"-{found['limit_gib']:g}gib" if found["limit_gib"] is not None else ""
    name = card.name.lower().replace(" ", "-") + limit
    return found | {"name": name, "cells": cells}


def as_found(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell as it was measured, from one that was compared already."""
    if not isinstance(cell.get("verdict"), list):
        return cell
    told = {"system": cell["system"], "recipe": cell["recipe"], "verdict": cell["verdict"][1],
            "outside_bytes": cell["outside_measured"]}  # fmt: skip
    if "whole" not in cell:
        return told | {"message": cell["message"][1]}
    seconds = {name: pair["seconds_measured"] for name, pair in cell["stages"].items()}
    stages = {name: _there(pair) | {"seconds_measured": seconds[name]} for name, pair in cell["stages"].items()}
    return told | _there(cell["whole"]) | {"stages": stages}


def _there(pair: dict[str, Any]) -> dict[str, int]:
    return {"peak_allocated_bytes": pair["allocated"][1], "peak_reserved_bytes": pair["reserved"][1]}


def card_of(found: dict[str, Any]) -> Card:
    """The card that was measured on; a limit counts what PyTorch reserves, so CUDA's own memory is beside it."""
    try:
        known = find_card(found["card"]["name"])
    except LabError:
        known = find_card(f"{found['card']['total_bytes'] / 2**30:.3f}GiB")
    total = found["card"]["total_bytes"]
    if found["limit_gib"] is not None:
        total = int(found["limit_gib"] * 2**30) + known.context_bytes
    capability = tuple(found["card"]["compute_capability"])
    return replace(known, name=found["card"]["name"], total_bytes=total, compute_capability=capability)


def compared(predicted: MemoryReport, found: dict[str, Any]) -> dict[str, Any]:
    """Predicted and measured end of a run, and bytes of each stage and of the whole, where it came to its end."""
    cell = {"system": found["system"], "recipe": found["recipe"], "verdict": [predicted.verdict, found["verdict"]],
            "context_assumed": predicted.context, "outside_measured": found["outside_bytes"]}  # fmt: skip
    if found["verdict"] == "out_of_memory":
        return cell | {"message": [predicted.sentence, found["message"]]}
    band = predicted.unmodelled.get("convolution_workspace", 0)
    whole = _pair(predicted.peak_allocated, predicted.peak_reserved, found, band)
    stages = {
        stage.name: _pair(stage.peak_allocated, stage.peak_reserved, found["stages"][stage.name], band)
        | {"seconds_estimated": stage.seconds, "seconds_measured": found["stages"][stage.name]["seconds_measured"]}
        for stage in predicted.stages
        if stage.name in found["stages"]
    }
    return cell | {"whole": whole, "stages": stages}


def _pair(allocated: int, reserved: int, found: dict[str, Any], band: int) -> dict[str, Any]:
    there = found["peak_allocated_bytes"], found["peak_reserved_bytes"]
    pair = {"allocated": [allocated, there[0]], "reserved": [reserved, there[1]]}
    return pair | {"cause": cause(allocated, reserved, *there, band)}


def cause(allocated: int, reserved: int, allocated_there: int, reserved_there: int, band: int) -> str:
    """Of a miss, what is known of its cause; nothing where there is none."""
    more = allocated_there - allocated
    if _far(allocated, allocated_there, ALLOCATED):
        return "convolution workspace" if 0 < more <= COPIES * band else "unexplained"
    if _far(reserved, reserved_there, RESERVED):
        there = reserved_there - reserved
        return "segments of a convolution workspace" if 0 < there <= COPIES * band else "unexplained"
    return ""


def _far(predicted: int, there: int, share: float) -> bool:
    return abs(there - predicted) > share * max(there, 1)


def table(cells: Iterable[dict[str, Any]]) -> Table:
    """One row for each system and recipe: MiB predicted and measured, of the whole run."""
    head = ("system", "recipe", "allocated: predicted", "measured", "reserved: predicted", "measured ")
    rows = []
    for cell in cells:
        whole = cell.get("whole", {"allocated": [0, 0], "reserved": [0, 0]})
        sizes = (f"{size / MIB:,.1f}" for size in (*whole["allocated"], *whole["reserved"]))
        rows.append((cell["system"], cell["recipe"], *sizes))
    return head, rows


def misses(cells: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence for each miss, or one that says there are none."""
    found = []
    for cell in cells:
        name = f"{cell['system']}, {cell['recipe']}"
        found += [f"- {name}: did not run: {' '.join(cell['error'])}"] if "error" in cell else []
        expected, came = (_end(verdict) for verdict in cell.get("verdict", ("", "")))
        found += [f"- {name}: {expected} was predicted, {came} it was"] if expected != came else []
        for stage, pair in {"whole run": cell.get("whole", {}), **cell.get("stages", {})}.items():
            if pair.get("cause"):
                sizes = (f"{what} {_change(*pair[what])}" for what in ("allocated", "reserved"))
                found.append(f"- {name}, {stage}: {', '.join(sizes)}: {pair['cause']}")
    return found or [NO_MISSES]


def _end(verdict: str) -> str:
    """Whether a run comes to its end; one whose allocator had to empty its cache does."""
    return verdict.replace("_", " ") if verdict in ("", "out_of_memory") else "an end"


def _change(predicted: int, there: int) -> str:
    return f"{(there - predicted) / MIB:+,.1f} MiB ({there / max(predicted, 1) - 1:+.1%})"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=[*SYSTEMS, *STUDIES])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--reference-seconds", type=float, default=15.0)
    parser.add_argument("--limit", type=float, help="GiB of the card that PyTorch may take: a smaller card")
    parser.add_argument("--jobs", type=positive, default=1, help="cells at a time; with more than one none is timed")
    parser.add_argument("--measured", type=Path, metavar="FILE", help="only measure, and write what was found here")
    parser.add_argument("--from", dest="read", type=Path, metavar="FILE", help="compare what --measured wrote")
    parser.add_argument("--events", type=Path, metavar="FOLDER", help="keep what the allocator did, a file for a cell")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "RECIPE"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
