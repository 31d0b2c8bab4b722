"""What each lever saves and costs, alone, from one run: the table of docs/levers.md.

    python benchmarks/levers.py
    python benchmarks/levers.py --only vocoder        the rows of one lever; the others stay

Memory and time are predicted for the full-size system on an RTX 3070; the sound is mini's, on the CPU. Writes
`data/measured/levers.json`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

import torch
from tqdm.auto import tqdm

from environment import ROOT, command, environment, renewed, today, write_json
from tts_lab.experiments.lever_table import CARD, FULL, MOVES, SPOKEN, SYSTEM, TEXT, lever_table
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.vram import REFERENCE_SECONDS, SECONDS

RESULT = ROOT / "data" / "measured" / "levers.json"
ACTS_ON = {
    "precision": "all", "quantisation": "all", "offload": "all", "tile": "vocoder", "vocoder": "vocoder",
    "cache": "semantic", "beams": "semantic", "temperature": "semantic", "attention": "acoustic",
    "guidance_mode": "acoustic", "guidance": "acoustic", "steps": "acoustic", "solver": "acoustic",
    "schedule": "acoustic", "max_chars": "all", "checkpointing": "acoustic", "crossfade_ms": "all",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted({lever for lever, _ in MOVES}), help="measure this lever's rows anew")
    only = parser.parse_args().only
    torch.set_num_threads(1)  # float16 on a busy CPU is slow beyond measure with more
    moves = [move for move in MOVES if only in (None, move[0])]
    rows = [asdict(row) for row in lever_table(moves=moves, watched=lambda moves: tqdm(moves, "levers"))]
    result = {
        "command": command(), "date": today(), "environment": environment(), "system": SYSTEM, "card": CARD,
        "seconds": SECONDS, "reference_seconds": REFERENCE_SECONDS, "from": FULL.to_dict(),
        "mini_from": SPOKEN.to_dict(), "text": TEXT, "rows": rows,
    }  # fmt: skip
    if only is not None:
        kept = json.loads(RESULT.read_text(encoding="utf-8"))
        result = {
            **kept,
            "rows": renewed(kept["rows"], rows[1:], "lever", "value"),
            "renewed": {**kept.get("renewed", {}), only: [command(), today()]},
        }
    print(markdown(table(result)))
    write_json(RESULT, result)


def table(result: dict[str, Any]) -> Table:
    """One row a move: against the first row."""
    head = ("lever", "stage it acts on", "that stage (MiB)", "request (MiB)", "reserved (MiB)", "seconds (estimated)",
            "moved on mini", "mini's sound")  # fmt: skip
    first, *rest = result["rows"]
    return head, [_row(row, first) for row in (first, *rest)]


def _row(row: dict[str, Any], first: dict[str, Any]) -> tuple[str, ...]:
    stage = ACTS_ON.get(row["lever"], "all")
    own = [max(each["stages"].values()) if stage == "all" else each["stages"][stage] for each in (row, first)]
    name = f"{row['lever']} {row['before']} -> {row['value']}" if row["lever"] else "as released, nothing moved"
    figures = (own, *((row[size], first[size]) for size in ("allocated", "reserved")))
    return name, stage, *(_mib(*pair) for pair in figures), f"{row['seconds']:.1f}", *_sound(row["sound"])


def _mib(now: int, before: int) -> str:
    change = (now - before) / 2**20
    return f"{now / 2**20:,.0f}" + (f" ({change:+,.0f})" if abs(change) >= 0.5 else "")


def _sound(sound: dict[str, Any] | None) -> tuple[str, str]:
    if sound is None:
        return "", ""
    if sound["equal"]:
        return sound["change"], "equal, bit for bit"
    cents = "" if sound["f0_cents"] is None else f", pitch {sound['f0_cents']:.0f} cents"
    return sound["change"], f"{sound['cepstral']:.2f} dB{cents}"


if __name__ == "__main__":
    main()
