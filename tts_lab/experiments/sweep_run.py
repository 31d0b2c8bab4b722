"""One pass over the cells of a grid that are not finished: who is asked for what, and what is written down.

A cell waits for its reference, the sound of the same text, voice and seed that it is compared with. References are
kept on the disk, so that each is spoken once for all recipes and for all runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zipfile import BadZipFile

from tts_lab.errors import LabError
from tts_lab.experiments import speaker_similarity
from tts_lab.experiments.distances import Features
from tts_lab.experiments.sweep_cell import Cell, Job, Outcome
from tts_lab.experiments.sweep_file import Lines, ResultsFile
from tts_lab.experiments.sweep_grid import Grid
from tts_lab.experiments.sweep_progress import Progress
from tts_lab.experiments.sweep_results import lines_by_key, strangers
from tts_lab.experiments.sweep_workers import Workers
from tts_lab.systems import SYSTEMS

Tell = Callable[[str], None]
JUDGED = "mos"  # the column that tells that judges have heard a cell


@dataclass(frozen=True)
class Wishes:
    """What is wanted beside the usual columns. threads: for each worker; None: whatever it has."""

    judges: bool = False
    sound: bool = False
    retry_failed: bool = False
    threads: int | None = None


class Run:
    """One pass. lines: what the file holds. todo: the cells that are left, in the order of the grid."""

    def __init__(self, grid: Grid, file: ResultsFile, lines: Lines, wishes: Wishes, tell: Tell) -> None:
        self.grid, self.file, self.wishes, self.tell = grid, file, wishes, tell
        found = lines_by_key(lines, grid.reference)
        self.todo = [cell for cell in grid.cells if not self._is_done(found.get(cell.key))]
        self._waiting: dict[str, list[Cell]] = {}  # by the key of their reference
        for sentence in (*grid.left_out, *strangers(lines, grid, file.path), self._plan(len(found))):
            tell(sentence)

    def through(self, team: Workers, progress: bool | None) -> None:
        """Do all that is left. Raises LabError where nothing can be spoken at all."""
        pending = self._hand_out(team)
        with Progress(len(self.grid.cells), len(self.todo), self.tell, progress) as bar:
            while pending:
                job, outcome = team.next()
                pending -= 1
                if outcome.fatal:
                    raise LabError(outcome.fatal)
                if job.is_reference:
                    pending += self._release(job, outcome, team)
                else:
                    self._record(job, outcome)
                    bar.advance()

    def _plan(self, known: int) -> str:
        total, left = len(self.grid.cells), len(self.todo)
        if not left:
            return f"All {total} cells are done."
        return f"{total} cells: {total - left} are done, {left} are left." if known else f"{total} cells."

    def _is_done(self, line: Mapping[str, Any] | None) -> bool:
        """Finished, with all that is asked for now."""
        if line is None:
            return False
        if line["status"] == "failed":
            return not self.wishes.retry_failed
        lacks_sound = self.wishes.sound and not (self.file.folder / str(line.get("sound"))).is_file()
        lacks_judges = self.wishes.judges and JUDGED not in line
        lacks_memory = self.grid.card not in (None, line.get("card"))
        lacks_reference = self.wishes.retry_failed and "no_reference" in line
        return not (lacks_sound or lacks_judges or lacks_memory or lacks_reference)

    def _hand_out(self, team: Workers) -> int:
        """Submit what can begin: missing references, and cells that have theirs. Returns how many jobs that is."""
        ready: list[Job] = []
        for cell in self.todo:
            wanted = self._reference_of(cell)
            found = self._stored(wanted)
            if found is None:
                self._waiting.setdefault(wanted.key, []).append(cell)
            else:
                ready.append(self._job(cell, found))
        first = [self._job(self._reference_of(cells[0]), is_reference=True) for cells in self._waiting.values()]
        for job in (*first, *ready):
            team.submit(job)
        return len(first) + len(ready)

    def _release(self, job: Job, outcome: Outcome, team: Workers) -> int:
        """Keep a reference and submit the cells that waited for it. Without one they have no distances."""
        if outcome.features is not None:
            if outcome.sound is not None:
                self.file.keep(f"references/{job.cell.key}.wav", outcome.sound)
            self.file.keep(f"references/{job.cell.key}.npz", outcome.features.to_bytes())
        cells = self._waiting.pop(job.cell.key)
        for cell in cells:
            team.submit(dataclasses.replace(self._job(cell, outcome.features), no_reference=outcome.failed))
        return len(cells)

    def _record(self, job: Job, outcome: Outcome) -> None:
        """A line for the cell. Its sound is written first: a line never names a file that is not there."""
        line: dict[str, Any] = {"key": job.cell.key, "status": "failed" if outcome.failed else "done"}
        line |= {"cell": job.cell.to_dict(), **outcome.figures}
        if outcome.failed:
            line["error"] = outcome.failed
        elif job.no_reference:
            line["no_reference"] = job.no_reference
        else:
            line["reference"] = self._reference_of(job.cell).key
        if outcome.sound is not None:
            line["sound"] = f"sound/{job.cell.key}.wav"
            self.file.keep(line["sound"], outcome.sound)
        self.file.append(line, outcome.environment)

    def _reference_of(self, cell: Cell) -> Cell:
        """The cell whose sound this one is compared with."""
        return cell.replace(recipe=self.grid.reference)

    def _stored(self, reference: Cell) -> Features | None:
        """What is on the disk; None where it is missing, damaged, or lacks what is asked for."""
        path = self.file.folder / "references" / f"{reference.key}.npz"
        try:
            found = Features.from_bytes(path.read_bytes())
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None
        lacks_sound = self.wishes.sound and not path.with_suffix(".wav").is_file()
        lacks_speaker = self.wishes.judges and found.speaker is None and speaker_similarity.is_here()
        return None if lacks_sound or lacks_speaker else found

    def _job(self, cell: Cell, reference: Features | None = None, is_reference: bool = False) -> Job:
        return Job(
            cell, SYSTEMS[cell.system], self.grid.weights, is_reference, reference, self.wishes.judges,
            self.wishes.sound, self.grid.card, self.wishes.threads,
        )  # fmt: skip
