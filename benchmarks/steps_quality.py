"""How near each solver and schedule comes to 64 evaluations in fp32, at equal numbers of model evaluations.

    python benchmarks/steps_quality.py                      8 renderings, 1 to 32 evaluations, two processes
    python benchmarks/steps_quality.py --judges             error, rating and likeness too (extra `judges`)
    python benchmarks/steps_quality.py --texts 2 --evaluations 8,32 --out trial.json

A sweep over `mini`: killed or stopped, the same command goes on. Prints a table and writes `data/measured/` (with
other texts, voices or evaluations only where `--out` says). An evaluation is one call of the diffusion model: guidance,
which is 1 here, doubles them, midpoint and heun double them, alternating guidance makes them one and a half times as
many. The question: which ways are at 8 evaluations as near as uniform Euler is at 32?
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from environment import ROOT, command, counts, environment, today, write_json
from tts_lab.errors import LabError, RecipeError
from tts_lab.experiments.quality import EVALUATIONS, ladder
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.scoring import interval
from tts_lab.experiments.sweep import Sweep
from tts_lab.experiments.sweep_results import Results, Row
from tts_lab.recipe import Recipe, choices

HELDOUT = ROOT / "benchmarks" / "heldout.json"
RESULT = ROOT / "data" / "measured" / "steps_quality.json"
CELLS = ROOT / "data" / "measured" / "unfinished" / "steps_quality.jsonl"  # not kept with the code
VOICES = ("xiaobei", "yunxi")  # a woman's and a man's
FIGURES = ("mel_cepstral_distance", "f0_error_cents", "voicing_error", "mos", "toneless_error", "speaker_similarity")
FEW, MANY = 8, 32
YARDSTICK = ("euler", "uniform", "batched")
GUIDANCE = 1.0  # so that its modes can be compared
SCHEDULES = ("uniform", "sway")  # a leap is not after the limit that is measured against


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        result = measure(args)
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(markdown(table(result)), *answer(result), sep="\n")
    out = args.out or (RESULT if _is_default(args) else None)
    if out:
        write_json(out, result)
    print(f"\nEvery figure is in {out}." if out else "\nNot written: name a file with --out to keep the figures.")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run what is left of the sweep, and sum it up."""
    texts = sentences(args.split, args.texts)
    every = {setting: recipe for count in args.evaluations for setting, recipe in settings(count)}
    recipes = [recipe.to_dict() for recipe in dict.fromkeys(every.values())]
    grid = grid_of(texts, args.voices, recipes)
    args.cells.parent.mkdir(parents=True, exist_ok=True)
    sweep = Sweep(grid, args.cells, judges=args.judges)
    results = sweep.run(args.workers, tell=lambda sentence: print(sentence, file=sys.stderr))
    return {
        "what": __doc__.splitlines()[0], "command": command(), "date": today(), "environment": environment(),
        "workers": args.workers, "weights": sweep.cells[0].weights, "texts": texts, "voices": list(args.voices),
        "reference": sweep.grid.reference.to_dict(),  # type: ignore[union-attr]
        "settings": summed(every, results),
    }  # fmt: skip


def grid_of(texts: Sequence[str], voices: Sequence[str], recipes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the sweep is asked for; the sound that all are measured against is guided as they are."""
    base = {"guidance": GUIDANCE}
    return {"texts": list(texts), "voices": list(voices), "recipes": list(recipes), "base": base, "device": "cpu"}


def settings(count: int) -> Iterator[tuple[tuple[str, str, str, int], Recipe]]:
    """Every way to spend so many evaluations: (solver, schedule, guidance mode, evaluations) and its recipe."""
    if count == 1:
        yield (*YARDSTICK, 1), ladder([1], Recipe())[1]
        return
    for solver, schedule, mode in product(choices("solver"), SCHEDULES, ("batched", "alternate")):
        base = Recipe(solver=solver, schedule=schedule, guidance=GUIDANCE, guidance_mode=mode)
        try:
            recipe = ladder([count], base)[count]
        except RecipeError:  # so many cannot be had in this way
            continue
        if recipe.steps > 1 or ((schedule, mode) == YARDSTICK[1:] and solver != "adams"):  # one step: all the same
            yield (solver, schedule, mode, count), recipe


def summed(every: dict[tuple[str, str, str, int], Recipe], results: Results) -> list[dict[str, Any]]:
    """Means over renderings of each setting, with a 95 % bootstrap interval over them."""
    found = []
    for (solver, schedule, mode, count), recipe in every.items():
        rows = [row for row in results if row["status"] == "done" and _is_of(row, recipe, results.moved)]
        name = {"solver": solver, "schedule": schedule, "guidance_mode": mode, "evaluations": count}
        figures = {name: [row[name] for row in rows if row.get(name) is not None] for name in FIGURES}
        kept = {name: values for name, values in figures.items() if values}
        means = {name: round(fmean(values), 4) for name, values in kept.items()}
        spread = [round(x, 4) for x in interval(kept[FIGURES[0]], fmean)]
        found.append({**name, "steps": recipe.steps, "guidance": recipe.guidance, "cells": len(rows), **means,
                      "mel_cepstral_interval": spread, "rows": kept[FIGURES[0]]})  # fmt: skip
    return found


def table(result: dict[str, Any]) -> Table:
    """Mel-cepstral distance in dB of each way, by evaluations; and its F0 error at 8."""
    counts = sorted({s["evaluations"] for s in result["settings"]})
    ways: dict[tuple[str, str, str], dict[int, dict[str, Any]]] = {}
    for s in result["settings"]:
        ways.setdefault((s["solver"], s["schedule"], s["guidance_mode"]), {})[s["evaluations"]] = s
    header = ("solver", "schedule", "guidance", *(f"{n} eval{'s' if n > 1 else ''}" for n in counts), f"F0 at {FEW}")
    rows = [
        (*way, *(f"{by[n]['mel_cepstral_distance']:.2f}" if n in by else "" for n in counts), _f0(by.get(FEW)))
        for way, by in sorted(ways.items(), key=lambda item: _at(item[1]))
    ]
    return header, rows


def answer(result: dict[str, Any]) -> list[str]:
    """Which ways reach at 8 evaluations what uniform Euler has at 32, in sentences."""
    known = {(s["solver"], s["schedule"], s["guidance_mode"], s["evaluations"]): s for s in result["settings"]}
    goal = known.get((*YARDSTICK, MANY))
    if goal is None:
        return []
    aim = goal["mel_cepstral_distance"]
    few = sorted((s for s in known.values() if s["evaluations"] == FEW), key=lambda s: s["mel_cepstral_distance"])
    lines = [f"Uniform Euler at {MANY} evaluations: {aim:.3f} dB. At {FEW}, the nearest first:"]
    for s in few[:4]:
        wins = sum(a <= b for a, b in zip(s["rows"], goal["rows"], strict=True))
        verdict = "reaches it" if s["mel_cepstral_distance"] <= aim else "does not"
        lines.append(
            f"  {s['solver']}, {s['schedule']}, {s['guidance_mode']}: {s['mel_cepstral_distance']:.3f} dB {verdict}"
            f" (nearer in {wins} of {len(s['rows'])} renderings)"
        )
    return lines


def sentences(split: str, count: int) -> list[str]:
    """The first sentences of a split, as they are spread over its voices."""
    rows = [s for s in json.loads(HELDOUT.read_text(encoding="utf-8"))["sentences"] if s["split"] == split]
    voices = list(dict.fromkeys(s["speaker"] for s in rows))
    own = [[s["text"] for s in rows if s["speaker"] == voice] for voice in voices]
    return [group[i] for i in range(max(map(len, own))) for group in own if i < len(group)][:count]


def _is_of(row: Row, recipe: Recipe, moved: Sequence[str]) -> bool:
    return all(row[lever] == getattr(recipe, lever) for lever in moved)


def _at(by: dict[int, dict[str, Any]]) -> float:
    """Order of the table: by the distance at 8 evaluations, what cannot spend 8 last."""
    return float(by[FEW]["mel_cepstral_distance"]) if FEW in by else 1e9


def _f0(setting: dict[str, Any] | None) -> str:
    return "" if setting is None or "f0_error_cents" not in setting else f"{setting['f0_error_cents']:.0f} cents"


def _is_default(args: argparse.Namespace) -> bool:
    plain = _arguments([])
    return all(getattr(args, name) == getattr(plain, name) for name in ("evaluations", "texts", "voices", "split"))


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--evaluations", type=counts, default=list(EVALUATIONS), help="such as 8,32")
    add("--texts", type=int, default=4, help="held-out sentences")
    add("--split", default="test", help="test, or dev for choosing")
    add("--voices", type=lambda text: tuple(text.split(",")), default=VOICES, help="with commas between")
    add("--workers", type=int, default=2, help="processes")
    add("--judges", action="store_true", help="also error, rating and likeness of the voice")
    add("--cells", type=Path, default=CELLS, help="results of the sweep, a line each")
    add("--out", type=Path, help="JSON file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
