"""`tts-lab vram`: what a request needs of a card, for people, for programs, and as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tts_lab.commands.moving import moved
from tts_lab.errors import LabError
from tts_lab.experiments.vram import traced
from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.cards import Card, cards, find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.summary import SIGNS, WORDS, mib
from tts_lab.recipe import Recipe

if TYPE_CHECKING:
    from rich.table import Table

COLOUR = {"fits": "green", "tight": "yellow", "out_of_memory": "red"}
SHORT = {"weight": "weights", "activation": "activ.", "cache": "cache", "workspace": "worksp."}
ALIVE = 6  # storages of the peak that a terminal shows


@dataclass(frozen=True)
class Question:
    """What is asked. system: a name, or the file of an event log. levers: `lever=value`. cards: names, or `all`."""

    system: str
    cards: tuple[str, ...]
    recipe: str = "default"
    levers: tuple[str, ...] = ()
    seconds: float = 30.0
    reference_seconds: float = 15.0
    alloc_conf: str = ""


@dataclass(frozen=True)
class Files:
    """What to write beside the answer. None: nothing."""

    page: Path | None = None
    figure: Path | None = None
    snapshot: Path | None = None
    log: Path | None = None

    @property
    def any_of_one_card(self) -> bool:
        return any((self.page, self.figure, self.snapshot, self.log))


def run(question: Question, files: Files, as_json: bool) -> None:
    """Answer on stdout and write the files. Raises LabError where something asked for cannot be."""
    chosen = _cards(question.cards)
    if len(chosen) > 1 and files.any_of_one_card:
        raise LabError("Files are written for one card only; give a single --card with --html, --figure and the like.")
    settings, recipe = Settings.parse(question.alloc_conf), moved(Recipe.find(question.recipe), question.levers)
    logs = {card.key: _log(question, card, recipe) for card in chosen}
    reports = [MemoryReport.of(logs[card.key], card, settings) for card in chosen]
    written = _write(files, reports[0], logs[chosen[0].key], settings)
    if as_json:
        print("\n".join(report.to_json() for report in reports))
    else:
        _show(reports, written)


def _cards(names: tuple[str, ...]) -> list[Card]:
    if "all" in names:
        return list(cards().values())
    return list({card.key: card for card in map(find_card, names)}.values())


def _log(question: Question, card: Card, recipe: Recipe) -> EventLog:
    if question.system.endswith(".npz"):
        return EventLog.load(question.system)
    return traced(question.system, card, recipe, question.seconds, question.reference_seconds)


def _write(files: Files, report: MemoryReport, log: EventLog, settings: Settings) -> list[Path]:
    """Files that were asked for. What draws is imported only here."""
    written = []
    if files.page:
        from tts_lab.show.memory_page import write_page

        written.append(write_page(report, files.page))
    if files.figure:
        from tts_lab.show.memory_figure import memory_figure
        from tts_lab.show.plots import save

        save(memory_figure(report), files.figure)
        written.append(files.figure)
    if files.snapshot:
        from tts_lab.memory.snapshot import write_snapshot

        written.append(write_snapshot(log, report.card, files.snapshot, settings))
    if files.log:
        written.append(log.save(files.log))
    return written


def _show(reports: list[MemoryReport], written: list[Path]) -> None:
    from rich.console import Console

    console = Console()
    if len(reports) > 1:
        console.print(_many(reports))
    else:
        report = reports[0]
        colour = COLOUR[report.verdict]
        console.print(f"{SIGNS[report.verdict]} {report.sentence}", style=colour, markup=False, highlight=False)
        console.print(_one(report))
        console.print(_alive(report))
        for line in beside(report):
            console.print(line, markup=False, highlight=False)
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        console.print(f"note: {note}", markup=False, highlight=False)
    if written:
        console.print(f"Wrote {', '.join(map(str, written))}.", markup=False, highlight=False)


def beside(report: MemoryReport) -> list[str]:
    """A sentence where copies beside the computing make a difference of a hundredth."""
    alone, both = report.estimate.seconds if report.estimate else 0.0, report.overlapped
    if both is None or both > 0.99 * alone:
        return []
    return [f"{both:.1f} s with copies beside the computing, {alone:.1f} s one after the other (both estimated)."]


def _table(title: str, *columns: str, words: int = 1) -> Table:
    """A plain table that fits 80 columns; all but the first `words` columns are numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0 if words == 1 else (0, 1)
    )
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < words else "right", no_wrap=i < words)
    return table


def _one(report: MemoryReport) -> Table:
    title = f"MiB at each stage's peak: {report.system}, {report.recipe}, on {report.card.name} (seconds: estimated)"
    kinds = list(dict.fromkeys(kind for stage in report.stages for kind in stage.by_category))
    heads = (SHORT[kind] for kind in kinds)
    table = _table(title, "stage", "alloc.", "reserv.", *heads, "floor", "seconds")
    for stage in report.stages:
        parts = (mib(stage.by_category.get(kind, 0)) for kind in kinds)
        sizes = (mib(stage.peak_allocated), mib(stage.peak_reserved), *parts, mib(stage.floor))
        table.add_row(stage.name, *sizes, f"{stage.seconds or 0:.3f}")
    parts = (mib(report.alive.by_category.get(kind, 0)) for kind in kinds)
    floor = mib(report.floor.bytes if report.floor else None)
    seconds = f"{report.estimate.seconds:.3f}" if report.estimate else ""
    table.add_section()
    table.add_row("all", mib(report.peak_allocated), mib(report.peak_reserved), *parts, floor, seconds)
    return table


def _alive(report: MemoryReport) -> Table:
    table = _table("Largest at the peak", "MiB", "what", "module", "operator", words=4)
    for each in report.alive.largest[:ALIVE]:
        operator = each.operator.removeprefix("aten.").removesuffix(".default") or "there before"
        table.add_row(mib(each.block), SHORT[each.category], each.module or "–", operator)
    return table


def _many(reports: list[MemoryReport]) -> Table:
    from rich.text import Text

    title = f"GiB: {reports[0].system}, {reports[0].recipe} (predicted; seconds: estimated)"
    table = _table(title, "card", "verdict", "allocated", "reserved", "CUDA", "left", "seconds", words=2)
    for report in reports:
        verdict = Text(f"{SIGNS[report.verdict]} {WORDS[report.verdict]}", style=COLOUR[report.verdict])
        sizes = (report.peak_allocated, report.peak_reserved, report.context, report.margin)
        seconds = f"{report.estimate.seconds:.2f}" if report.estimate else ""
        table.add_row(report.card.key, verdict, *(f"{size / 2**30:.2f}" for size in sizes), seconds)
    return table
