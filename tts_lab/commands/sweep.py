"""`tts-lab sweep`: a grid of recipes, texts and voices, spoken and measured, for people and for programs."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tts_lab.errors import LabError
from tts_lab.experiments.sweep import Sweep
from tts_lab.experiments.sweep_results import Results

TITLE = "RTF: seconds of work per second of speech. MCD, F0, voicing: against the reference."
ENDING = ".jsonl"
SENTENCES = 5  # on failures that a terminal shows


@dataclass(frozen=True)
class Question:
    """What is asked, as the command line gives it. out: None names it after the grid."""

    grid: Path
    out: Path | None = None
    workers: int = 1
    threads: int | None = None
    scheduler: str | None = None
    judges: bool = False
    keep_sound: bool = False
    retry_failed: bool = False

    @property
    def results(self) -> Path:
        return self.out or Path(self.grid.with_suffix(ENDING).name)

    def again(self) -> str:
        """The command that goes on where this one was stopped."""
        words = ["tts-lab", "sweep", str(self.grid)]
        for name in ("out", "workers", "threads", "scheduler", "judges", "keep_sound"):
            value = getattr(self, name)
            if value != getattr(Question(self.grid), name):
                words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return shlex.join(words)


def run(question: Question, as_json: bool) -> None:
    """Run what is left of the sweep and answer on stdout. Raises LabError for bad input."""
    if question.results.suffix != ENDING:
        raise LabError(f"Results are lines of JSON, but {question.results} does not end in {ENDING}; rename it.")
    if question.threads is not None and question.threads < 1:
        raise LabError(f"--threads must be at least 1, but is {question.threads}.")
    sweep = Sweep(question.grid, question.results, judges=question.judges, keep_sound=question.keep_sound)
    results = _through(sweep, question)
    if as_json:
        print("\n".join(json.dumps(row, ensure_ascii=False) for row in results))
    else:
        _show(results, sweep)


def _through(sweep: Sweep, question: Question) -> Results:
    try:
        return sweep.run(
            question.workers, scheduler=question.scheduler, threads=question.threads,
            retry_failed=question.retry_failed, tell=_tell,
        )  # fmt: skip
    except (KeyboardInterrupt, SystemExit):
        results = sweep.results()
        _tell(
            f"{len(results)} of {len(sweep.cells)} cells are finished and kept in {sweep.file.path}; "
            f"go on with: {question.again()}"
        )
        raise


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _show(results: Results, sweep: Sweep) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    header, rows = results.summary()
    table = Table(title=TITLE, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for i, name in enumerate(header):
        table.add_column(name, justify="right" if i else "left", overflow="fold", min_width=min(len(name), 8))
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    console.print(table)
    for sentence in (*_failures(results), f"Every cell is in {sweep.file.path}, a line of JSON each."):
        console.print(sentence, markup=False, highlight=False)


def _failures(results: Results) -> list[str]:
    """What went wrong, each sentence once, the most frequent first."""
    if not results.failed:
        return []
    counts = Counter(row["error"] for row in results.failed).most_common()
    lines = [f"{len(results.failed)} cells failed (--retry-failed tries them again):"]
    lines += [f"  {count} x {sentence}" for sentence, count in counts[:SENTENCES]]
    return [*lines, f"  and {len(counts) - SENTENCES} other reasons"] if len(counts) > SENTENCES else lines
