"""`tts-lab listen analyse`: what the answers of one or several listeners show, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tts_lab.errors import LabError
from tts_lab.experiments.listening import analyse, read
from tts_lab.experiments.listening.result import Result
from tts_lab.experiments.quality_table import Table as Figures


def run(files: Sequence[Path], mid_rule: bool, figure: Path | None, as_json: bool) -> None:
    """Analyse and print. Raises LabError for files that cannot be read or merged, or a picture that cannot be drawn."""
    if figure is not None:
        from tts_lab.show.plots import check_picture

        check_picture(figure)
    result = analyse(read(files), mid_rule=mid_rule)
    if as_json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        _show(result)
    if figure is not None:
        _draw(result, figure)


def _show(result: Result) -> None:
    from rich.console import Console

    console = Console()
    console.print(result.headed(result.sentence), markup=False, highlight=False)
    for figures in result.tables():
        console.print(_table(figures))
    for note in result.notes():
        console.print(note, markup=False, highlight=False)


def _table(figures: Figures) -> object:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    header, rows = figures
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _draw(result: Result, path: Path) -> None:
    from tts_lab.show.listening_figure import listening_figure
    from tts_lab.show.plots import save

    try:
        save(listening_figure(result), path)
    except ValueError as error:
        raise LabError(f"There is nothing to draw: {error}.") from None
