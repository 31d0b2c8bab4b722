"""What a sweep found: rows in the order of the grid, whatever order they were finished in; tables and pandas."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, overload

from tts_lab.errors import LabError
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.experiments.sweep_cell import Cell
from tts_lab.experiments.sweep_file import Lines
from tts_lab.experiments.sweep_grid import Grid
from tts_lab.recipe import Recipe

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
TIMED = ("wall_seconds", "real_time_factor", "peak_process_bytes")  # and every `..._seconds` of a stage
ENVIRONMENT = ("torch", "cpu", "threads", "tts_lab")  # of which a row shows these
MOST_LEVERS = 4  # that a recipe is called by
# column of the summary -> (column of a row, how to sum up, how to show)
SUMMARY = {
    "evals": ("evaluations_per_chunk", max, "{:.0f}"),
    "RTF": ("real_time_factor", median, "{:.2f}"),
    "MiB": ("peak_process_mib", max, "{:.0f}"),
    "GPU MiB": ("predicted_mib", max, "{:.0f}"),
    "MCD dB": ("mel_cepstral_distance", fmean, "{:.2f}"),
    "F0 cents": ("f0_error_cents", fmean, "{:.0f}"),
    "voicing": ("voicing_error", fmean, "{:.1%}"),
    "speaker": ("speaker_similarity", fmean, "{:.3f}"),
    "MOS": ("mos", fmean, "{:.2f}"),
    "pinyin": ("toneless_error", fmean, "{:.1%}"),
}


@dataclass(frozen=True)
class Results(Sequence[Row]):
    """Rows of finished and failed cells. missing: cells of the grid without a row. moved: levers that differ."""

    rows: tuple[Row, ...]
    missing: int
    moved: tuple[str, ...]

    @classmethod
    def of(cls, grid: Grid, lines: Lines) -> Results:
        """The rows of a file that belong to a grid."""
        found = lines_by_key(lines, grid.reference)
        moved = grid.moved()
        rows = [
            flat(cell, found[cell.key], lines.environments.get(found[cell.key].get("environment", ""), {}), moved)
            for cell in grid.cells
            if cell.key in found
        ]
        return cls(tuple(rows), len(grid.cells) - len(rows), moved)

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows of cells that could not be spoken; `error` says why."""
        return tuple(row for row in self.rows if row["status"] == "failed")

    def what(self) -> list[Row]:
        """The rows without what depends on the speed of the machine and on its name: equal for equal sweeps."""
        return [{name: value for name, value in row.items() if not _is_timed(name)} for row in self.rows]

    def frame(self) -> pd.DataFrame:
        """A pandas DataFrame, a row for each cell. Raises LabError where pandas is not installed."""
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise LabError(
                "A data frame needs pandas, which is not installed; install it with `./lab install notebook`, or read "
                "the rows themselves: they are dictionaries."
            ) from None
        return pd.DataFrame(list(self.rows))

    def summary(self) -> Table:
        """A row for each recipe, over its texts, voices and seeds; columns without a figure are left out.

        evals: model evaluations a chunk. RTF: median real-time factor. MiB: highest peak of the process. GPU MiB:
        highest predicted reserved memory. Others are means; MCD, F0, voicing and speaker are against the reference.
        """
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row["recipe"], []).append(row)
        figures = {name: [_figure(rows, *how) for rows in groups.values()] for name, how in SUMMARY.items()}
        kept = {name: cells for name, cells in figures.items() if any(cells)}
        counts = [_count(rows) for rows in groups.values()]
        rows = [tuple(cells) for cells in zip(groups, counts, *kept.values(), strict=True)]
        return ("recipe", "cells", *kept), rows

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return markdown(self.summary()) if self.rows else f"No results yet; {self.missing} cells are to be run."

    def _repr_html_(self) -> str:
        header, rows = self.summary()
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join(f"<tr>{''.join(_cell(*pair) for pair in zip(header, row, strict=True))}</tr>" for row in rows)
        return f"<table><tr>{head}</tr>{body}</table>"


def flat(cell: Cell, line: Mapping[str, Any], environment: Mapping[str, Any], moved: Iterable[str]) -> Row:
    """A line of the file as a row: one value a column, the cell's own first."""
    row: Row = {"recipe": label(cell.recipe, moved), **{lever: getattr(cell.recipe, lever) for lever in moved}}
    row |= {"text": cell.text, "voice": line.get("voice") or cell.voice, "seed": cell.seed, "status": line["status"]}
    row |= {"system": cell.system, "device": cell.device}
    row["evaluations_per_chunk"] = cell.recipe.evaluations_per_chunk
    for name, value in line.items():
        if name == "stages":
            row |= {f"{stage}_seconds": seconds for stage, seconds in value.items()}
        elif name not in ("kind", "cell", "status", "voice", "environment", "recipe_name"):
            row[name] = value
    return row | {name: environment[name] for name in ENVIRONMENT if name in environment}


def label(recipe: Recipe, moved: Iterable[str]) -> str:
    """A recipe by the few levers that differ within the grid; where they are many, by its name."""
    levers = list(moved)
    if not 1 <= len(levers) <= MOST_LEVERS:
        return recipe.name
    return ", ".join(f"{lever} {getattr(recipe, lever)}" for lever in levers)


def lines_by_key(lines: Lines, reference: Recipe) -> dict[str, Mapping[str, Any]]:
    """Lines by the key of their cell; of two for the same cell, the later one.

    The key is that of the cell's data as they are read today, so that a lever which a line does not know yet has its
    default. Lines whose cell cannot be read, or was compared with another reference, are not among them.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for line in lines.cells:
        cell = _read(line)
        if cell is not None and _is_compared_with(reference, line, cell):
            found[cell.key] = line
    return found


def _is_compared_with(reference: Recipe, line: Mapping[str, Any], cell: Cell) -> bool:
    return line.get("reference") in (None, cell.replace(recipe=reference).key)


def strangers(lines: Lines, grid: Grid, path: Path) -> Iterator[str]:
    """Sentences on lines of a file that do not belong to a grid. They stay where they are."""
    if lines.torn:
        yield f"The last line of {path} was cut off when a sweep was killed; its cell is run again."
    if lines.unreadable:
        places = ", ".join(map(str, lines.unreadable[:5]))
        yield f"{path} holds {len(lines.unreadable)} lines that are no results (such as {places}); they are left alone."
    ours, weights = {cell.key for cell in grid.cells}, {cell.weights for cell in grid.cells}
    read = [(line, _read(line)) for line in lines.cells]
    foreign = [cell for _, cell in read if cell is None or cell.key not in ours]
    other = {cell.key for line, cell in read if cell and not _is_compared_with(grid.reference, line, cell)}
    if other & ours:
        yield f"{path} compares {len(other & ours)} of these cells with another reference; they are run again."
    old = sum(cell is not None and cell.weights not in weights for cell in foreign)
    if old:
        yield f"{path} also holds {old} results of other weights; they are kept and not shown."
    if len(foreign) > old:
        yield f"{path} also holds {len(foreign) - old} results of another grid; they are kept and not shown."


def _read(line: Mapping[str, Any]) -> Cell | None:
    try:
        return Cell.from_dict(line["cell"])
    except (LabError, TypeError, KeyError, AttributeError):
        return None


def _is_timed(name: str) -> bool:
    return name in TIMED or name in ENVIRONMENT or (name.endswith("_seconds") and name != "audio_seconds")


def _figure(rows: Sequence[Row], name: str, sum_up: Any, shown: str) -> str:
    values = [value for row in rows if row["status"] == "done" and (value := _value(row, name)) is not None]
    return shown.format(sum_up(values)) if values else ""


def _value(row: Row, name: str) -> Any:
    mebibytes = {"peak_process_mib": "peak_process_bytes", "predicted_mib": "predicted_reserved_bytes"}
    if name in mebibytes:
        value = row.get(mebibytes[name])
        return None if value is None else value / 2**20
    return row.get(name)


def _count(rows: Sequence[Row]) -> str:
    failed = sum(row["status"] == "failed" for row in rows)
    return f"{len(rows)} ({failed} failed)" if failed else str(len(rows))


def _cell(column: str, text: str) -> str:
    """What depends on the machine's speed carries a class, by which a comparison of notebooks leaves it out."""
    measured = ' class="measured"' if column in ("RTF", "MiB") else ""
    return f"<td{measured}>{html.escape(text)}</td>"
