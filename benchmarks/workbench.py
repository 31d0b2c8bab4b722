"""How soon the bar of the workbench follows a lever: from a trace that is kept to the finished HTML.

    python benchmarks/workbench.py

*Seen before*: the same system, recipe and card, as when a slider goes back. *Kept trace*: the trace is there, its
replay on this card is not. *New recipe*: the first time in this process, the system's modules already known. Medians,
in one run.
Writes `data/measured/workbench.json`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from environment import ROOT, command, environment, no_options, today, write_json
from tts_lab.experiments import vram as predicting
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.vram import REFERENCE_SECONDS, vram
from tts_lab.memory.cards import find_card
from tts_lab.recipe import Recipe
from tts_lab.show.live_bar import bar_html

RESULT = ROOT / "data" / "measured" / "workbench.json"
CASES = (("mini", 5), ("mini", 30), ("indextts2", 5), ("indextts2", 10), ("indextts2", 30), ("sambert", 10))
REPEATS = 7


def main() -> None:
    rows = [_case(system, seconds) for system, seconds in CASES]
    result = {"command": command(), "date": today(), "environment": environment(), "settings": rows}
    print(markdown(table(result)))
    write_json(RESULT, result)


def table(result: dict[str, Any]) -> Table:
    """A row for each system and length, in milliseconds."""
    head = ("system", "seconds of speech", "seen before (ms)", "kept trace (ms)", "new recipe (ms)")
    keys = ("seen_before", "kept_trace", "new_recipe")
    return head, [(r["system"], str(r["seconds"]), *(f"{1000 * r[k]:,.0f}" for k in keys)) for r in result["settings"]]


def _case(system: str, seconds: float) -> dict[str, Any]:
    recipe, card = Recipe(precision="fp16"), "rtx3070"

    def bar(**levers: Any) -> None:
        bar_html(vram(system, card, recipe.replace(**levers), seconds, REFERENCE_SECONDS))

    def replayed() -> None:
        bar_html(vram(system, find_card(card), recipe, seconds, REFERENCE_SECONDS))  # a card by itself is not kept

    predicting.vram("mini", card)  # what is imported once
    vram(system, card, recipe.replace(steps=3), seconds, REFERENCE_SECONDS)
    new = [_timed(lambda n=n: bar(max_chars=50 + n)) for n in range(3)]
    return {
        "system": system, "seconds": seconds, "seen_before": _median(bar), "kept_trace": _median(replayed),
        "new_recipe": statistics.median(new),
    }  # fmt: skip


def _median(act: Callable[[], None]) -> float:
    act()
    return statistics.median(_timed(act) for _ in range(REPEATS))


def _timed(act: Callable[[], None]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


if __name__ == "__main__":
    no_options(__doc__)
    main()
