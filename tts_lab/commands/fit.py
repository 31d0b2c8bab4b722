"""`tts-lab fit`: the fastest recipe that fits a card, for people, for programs, and as a file for `speak --recipe`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tts_lab.commands.vram import beside
from tts_lab.errors import LabError
from tts_lab.experiments.plan_result import COLUMNS, Plan, rows, shown
from tts_lab.experiments.planner import plan
from tts_lab.whole import whole

if TYPE_CHECKING:
    from rich.table import Table

ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Question:
    """What is asked, as the command line gives it. safety: `5%` or `0.05`."""

    system: str
    card: str
    text: str | None = None
    seconds: float | None = None
    reference_seconds: float = 15.0
    quality: str | None = None
    safety: str = "5%"


def run(question: Question, out: Path | None, as_json: bool) -> None:
    """Answer on stdout and write the recipe. Raises LabError for bad input, or where nothing fits."""
    if question.card == "all":
        raise LabError("A plan is for one card; give a single --card, such as rtx3070 or 8gb.")
    if out is not None and out.suffix not in ENDINGS:
        raise LabError(f"A recipe is a YAML file, but {out} does not end in .yaml; choose another name.")
    found = plan(
        question.system, question.card, text=question.text, seconds=question.seconds,
        reference_seconds=question.reference_seconds, quality=question.quality, safety=share(question.safety),
    )  # fmt: skip
    if as_json:
        print(found.to_json())
    if found.choice is None:
        raise LabError(found.sentence)
    if out is not None:
        with whole(out, "recipe") as part:
            part.write_text(found.to_yaml(), encoding="utf-8")
    if not as_json:
        _show(found, out)


def share(text: str) -> float:
    """`5%` or `0.05` as a share. Raises LabError for what is no number; its range is the plan's affair."""
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise LabError(f"--safety wants a share of the card such as 5% or 0.05, not {text!r}.") from None


def _show(found: Plan, out: Path | None) -> None:
    from rich.console import Console

    console = Console()
    console.print(f"✓ {found.sentence}", style="green", markup=False, highlight=False)
    console.print(_table(found))
    lines = [f"Given up against {found.reference.name}:", *(f"  {text}" for text in found.given_up)]
    lines.append(f"{found.searched} recipes in question, {found.traced} traced; seconds are estimates.")
    lines += beside(found.report) if found.report else []
    if out is not None:
        lines.append(f"Wrote {out}: tts-lab speak --recipe {out}")
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _table(found: Plan) -> Table:
    """The front; names of recipes are broken to fit a narrow terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = "Nothing is smaller, faster and sounds as good:"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for i, name in enumerate(("", "fits", "MiB", "s", *COLUMNS[4:])):
        table.add_column(name, justify="right" if i in (2, 3) else "left", overflow="fold")
    for row in rows(found):
        table.add_row(*(Text(cell) for cell in shown(row)), style="bold" if row[0] else None)
    return table
