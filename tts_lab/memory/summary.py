"""A report in a few lines of HTML, for the end of a notebook's cell."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts_lab.memory.report import MemoryReport, StageReport

MIB = 2**20
WORDS = {"fits": "fits", "tight": "tight", "out_of_memory": "out of memory"}
SIGNS = {"fits": "✓", "tight": "!", "out_of_memory": "✗"}  # beside the colour, for those who do not see it


def mib(size: int | None) -> str:
    """`1,234.5`, in MiB; nothing for None."""
    return "" if size is None else f"{size / MIB:,.1f}"


def summary_html(report: MemoryReport) -> str:
    """The verdict, the stages, and what was alive at the peak. What was measured carries the class `measured`."""
    kinds = list(dict.fromkeys(name for stage in report.stages for name in stage.by_category))
    seconds = f"seconds ({'estimated' if report.source == 'predicted' else 'measured'})"
    head = ["stage", "allocated", "reserved", *kinds, "floor, weights streamed", seconds]
    rows = [_stage(stage, kinds, report.source == "measured") for stage in report.stages]
    total = [_cell("all"), *(_cell(mib(n), "td") for n in (report.peak_allocated, report.peak_reserved))]
    total += [_cell(mib(report.alive.by_category.get(kind, 0)), "td") for kind in kinds]
    total += [_cell(mib(report.floor.bytes if report.floor else None), "td")]
    total += [_cell(f"{report.estimate.seconds:.3f}" if report.estimate else "", "td")]
    table = _table([[_cell(name) for name in head], *rows, total])
    title = " · ".join(filter(None, (report.system, report.recipe, report.card.name)))
    return (
        f"<div><b>{SIGNS[report.verdict]} {WORDS[report.verdict]}</b> {html.escape(title)}</div>"
        f"<div>{html.escape(report.sentence)}</div>{table}"
        f"<div>MiB at each stage's own peak; {report.source}.{_notes(report.notes)}</div>"
    )


def _stage(stage: StageReport, kinds: list[str], measured: bool) -> list[str]:
    sizes = (
        stage.peak_allocated,
        stage.peak_reserved,
        *(stage.by_category.get(kind, 0) for kind in kinds),
        stage.floor,
    )
    seconds = "" if stage.seconds is None else f"{stage.seconds:.3f}"
    kind = 'td class="measured"' if measured else "td"
    return [_cell(stage.name), *(_cell(mib(n), kind) for n in sizes), _cell(seconds, kind)]


def _notes(notes: Iterable[str]) -> str:
    return "".join(f" {html.escape(note)}" for note in notes)


def _cell(text: str, tag: str = "th") -> str:
    return f"<{tag}>{html.escape(text)}</{tag.split()[0]}>"


def _table(rows: list[list[str]]) -> str:
    lines = (f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table>{''.join(lines)}</table>"
