"""A sweep: every cell of a grid spoken and measured, once, whatever happens in between.

    results = Sweep({"texts": ["你好，世界。"], "levers": {"steps": [1, 2, 4, 8]}}).run()
    results.frame()

Finished cells are lines of a file (`sweep_file`); a sweep that was stopped, or killed, goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError
from tts_lab.experiments.machine import cores
from tts_lab.experiments.sweep_cell import Cell
from tts_lab.experiments.sweep_file import ResultsFile
from tts_lab.experiments.sweep_grid import Grid
from tts_lab.experiments.sweep_results import Results
from tts_lab.experiments.sweep_run import Run, Tell, Wishes
from tts_lab.experiments.sweep_workers import Here, Processes, Workers

OUT = Path("sweep.jsonl")


@dataclass
class Sweep:
    """Every cell of a grid.

    grid: a Grid, its plain data (see `sweep_grid.KEYS`), or a YAML file. out: file of results, one JSON line a cell.
    judges: also the columns of the extra `judges`. keep_sound: also a WAV file for each cell and each reference.
    Raises LabError where the grid cannot be, or the judges are asked for and not installed.
    """

    grid: Grid | Mapping[str, Any] | str | Path
    out: str | Path = OUT
    judges: bool = False
    keep_sound: bool = False
    file: ResultsFile = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.grid, str | Path):
            self.grid = Grid.load(self.grid)
        elif not isinstance(self.grid, Grid):
            self.grid = Grid.of(self.grid)
        if self.judges:
            from tts_lab.experiments.judges import require

            require()
        self.file = ResultsFile(self.out)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """In the order of the grid."""
        assert isinstance(self.grid, Grid)
        return self.grid.cells

    def results(self) -> Results:
        """What the file holds of this grid, in the order of the grid; nothing is run."""
        return Results.of(self.grid, self.file.read())  # type: ignore[arg-type]

    def run(
        self, workers: int = 1, *, scheduler: str | None = None, threads: int | None = None,
        retry_failed: bool = False, tell: Tell | None = None, progress: bool | None = None,
    ) -> Results:  # fmt: skip
        """Speak and measure every cell that is not in the file yet. Returns the results of all.

        workers: processes on this machine; 1 is this one. scheduler: address of a Dask scheduler whose workers do the
        work instead. threads: of the CPU for each; None divides what there is. retry_failed: try those again that
        failed before. tell: takes sentences about how it goes; None prints them. progress: a bar on stderr; None: where
        a person is watching. A cell that fails is recorded with its sentence, and the others go on.
        Raises LabError where the sweep cannot begin, or where another one is writing into the file.
        """
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise LabError(f"workers must be a whole number of at least 1, but is {workers!r}.")
        wishes = Wishes(self.judges, self.keep_sound, retry_failed, threads or _share(workers, scheduler))
        with self.file.writing() as lines:
            run = Run(self.grid, self.file, lines, wishes, tell or print)  # type: ignore[arg-type]
            if run.todo:
                with _hired(workers, scheduler) as team:
                    run.through(team, progress)
        return self.results()


@contextmanager
def _hired(workers: int, scheduler: str | None) -> Iterator[Workers]:
    team: Workers
    if scheduler is not None:
        from tts_lab.experiments.sweep_cluster import Cluster

        team = Cluster(scheduler)
    else:
        team = Processes(workers) if workers > 1 else Here()
    try:
        yield team
    finally:
        team.close()


def _share(workers: int, scheduler: str | None) -> int | None:
    """Threads for each process of this machine; None leaves it to this process, or to the cluster's workers."""
    return None if scheduler is not None or workers == 1 else max(1, cores() // workers)
