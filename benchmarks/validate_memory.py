"""Predicted against measured memory, on the CUDA card of this machine: every system, recipe and stage.

    python benchmarks/validate_memory.py                                    all systems, the usual recipes
    python benchmarks/validate_memory.py --systems mini --recipes default --seconds 10 --out trial.json

Each cell is a fresh process: what an earlier run leaves in the allocator would count for the next one. Weights are
random. Prints a table, lists every miss with what is known of its cause, and writes `data/measured/memory-<card>.json`.
A miss is an allocated peak that differs by more than 1 %, or a reserved one by more than 5 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from environment import ROOT, command, environment, today, write_json
from tts_lab.errors import LabError
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.vram import vram
from tts_lab.memory.cards import Card
from tts_lab.memory.cuda import CudaMeter, measured_card
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import Recipe
from tts_lab.systems import SYSTEMS, run_lengths

RECIPES = ("default", "article-original", "article-fp16", "article-recommended", "fastest")
ALLOCATED, RESERVED = 0.01, 0.05  # what may differ
MIB = 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        if args.one:
            print(json.dumps(measured(*args.one, args.seconds, args.reference_seconds)))
            return
        CudaMeter()  # raises where there is no card, before any work
        result = validate(args)
        print(markdown(table(result["cells"])), "", *misses(result["cells"]), sep="\n")
        out = args.out or ROOT / "data" / "measured" / f"memory-{result['card']}.json"
        write_json(out, result)
        print(f"\nWritten to {out}.")
    except LabError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def validate(args: argparse.Namespace) -> dict[str, Any]:
    """All cells, each in a process of its own."""
    card = measured_card()
    cells = [_cell(system, recipe, card, args) for system in args.systems for recipe in args.recipes]
    return {
        "date": today(), "command": command(), "environment": environment(),
        "card": card.name.lower().replace(" ", "-"), "seconds": args.seconds,
        "reference_seconds": args.reference_seconds, "weights": "random", "cells": cells,
    }  # fmt: skip


def _cell(system: str, recipe: str, card: Card, args: argparse.Namespace) -> dict[str, Any]:
    lengths = [f"--seconds={args.seconds}", f"--reference-seconds={args.reference_seconds}"]
    run = [sys.executable, __file__, "--one", system, recipe, *lengths]
    done = subprocess.run(run, capture_output=True, text=True)
    if done.returncode:
        return {"system": system, "recipe": recipe, "error": done.stderr.strip().splitlines()[-1:]}
    predicted = vram(system, card, recipe, args.seconds, args.reference_seconds)
    return compared(predicted, json.loads(done.stdout.splitlines()[-1]))


def measured(system: str, recipe: str, seconds: float, reference_seconds: float) -> dict[str, Any]:
    """One run for real."""
    meter = CudaMeter()
    run_lengths(system, Recipe.find(recipe), seconds, reference_seconds, meter)
    return meter.report(about={"system": system, "recipe_name": recipe}).to_dict()


def compared(predicted: MemoryReport, found: dict[str, Any]) -> dict[str, Any]:
    """Predicted and measured bytes of each stage and of the whole run."""
    band = predicted.unmodelled.get("convolution_workspace", 0)
    whole = _pair(predicted.peak_allocated, predicted.peak_reserved, found, band)
    stages = {
        stage.name: _pair(stage.peak_allocated, stage.peak_reserved, found["stages"][stage.name], band)
        | {"seconds_estimated": stage.seconds, "seconds_measured": found["stages"][stage.name]["seconds_measured"]}
        for stage in predicted.stages
        if stage.name in found["stages"]
    }
    outside = {"context_assumed": predicted.context, "outside_measured": found["context_bytes"]}
    return {"system": found["system"], "recipe": found["recipe"], **outside, "whole": whole, "stages": stages}


def _pair(allocated: int, reserved: int, found: dict[str, Any], band: int) -> dict[str, Any]:
    there = found["peak_allocated_bytes"], found["peak_reserved_bytes"]
    pair = {"allocated": [allocated, there[0]], "reserved": [reserved, there[1]]}
    return pair | {"cause": cause(allocated, reserved, *there, band)}


def cause(allocated: int, reserved: int, allocated_there: int, reserved_there: int, band: int) -> str:
    """Of a miss, what is known of its cause; nothing where there is none."""
    more = allocated_there - allocated
    if _far(allocated, allocated_there, ALLOCATED):
        return "convolution workspace" if 0 < more <= band else "unexplained"
    if _far(reserved, reserved_there, RESERVED):
        return "segments of a convolution workspace" if 0 < reserved_there - reserved <= band else "unexplained"
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
        for stage, pair in {"whole run": cell.get("whole", {}), **cell.get("stages", {})}.items():
            if pair.get("cause"):
                sizes = (f"{what} {_change(*pair[what])}" for what in ("allocated", "reserved"))
                found.append(f"- {name}, {stage}: {', '.join(sizes)}: {pair['cause']}")
    return found or ["No misses: every allocated peak within 1 %, every reserved one within 5 %."]


def _change(predicted: int, there: int) -> str:
    return f"{(there - predicted) / MIB:+,.1f} MiB ({there / max(predicted, 1) - 1:+.1%})"


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--reference-seconds", type=float, default=15.0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", nargs=2, metavar=("SYSTEM", "RECIPE"), help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
