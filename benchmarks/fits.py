"""What each recipe of the full-size system needs, predicted: the table of the README.

    python benchmarks/fits.py

Writes `data/measured/fits.json`. Nothing in it depends on the machine, so a test makes it again and compares.
"""

from __future__ import annotations

from typing import Any

from environment import ROOT, command, no_options, write_json
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.vram import vram

RESULT = ROOT / "data" / "measured" / "fits.json"
RECIPES = {
    "indextts2-public": ("as-released",),
    "indextts2": (
        "as-released",
        "article-original",
        "article-recommended",
        "fits-8gb",
        "fits-4gb",
        "fits-2gb",
        "smallest",
    ),
    "mini": ("default",),
}
CARDS = ("rtx3070", "4gb", "2gb")
SECONDS, REFERENCE_SECONDS = 30.0, 15.0


def main() -> None:
    result = predicted()
    print(markdown(table(result)))
    write_json(RESULT, result)


def predicted() -> dict[str, Any]:
    """Peaks and verdicts of every row."""
    rows = [_row(system, recipe) for system, recipes in RECIPES.items() for recipe in recipes]
    return {"command": command(), "seconds": SECONDS, "reference_seconds": REFERENCE_SECONDS, "rows": rows}


def _row(system: str, recipe: str) -> dict[str, Any]:
    reports = {card: vram(system, card, recipe, SECONDS, REFERENCE_SECONDS) for card in CARDS}
    first = reports[CARDS[0]]
    return {
        "system": system, "recipe": recipe, "allocated": first.peak_allocated, "reserved": first.peak_reserved,
        "floor": first.floor.bytes if first.floor else 0, "verdicts": {c: r.verdict for c, r in reports.items()},
    }  # fmt: skip


def table(result: dict[str, Any]) -> Table:
    """GB of 10^9 bytes, and the verdict of each card."""
    head = ("system", "recipe", "allocated (GB)", "reserved (GB)", "floor, weights streamed (GB)", *CARDS)
    rows = []
    for row in result["rows"]:
        sizes = (f"{row[name] / 1e9:.2f}" for name in ("allocated", "reserved", "floor"))
        verdicts = (row["verdicts"][card].replace("_", " ") for card in CARDS)
        rows.append((row["system"], row["recipe"], *sizes, *verdicts))
    return head, rows


if __name__ == "__main__":
    no_options(__doc__)
    main()
