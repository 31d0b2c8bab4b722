"""A report as tables of pandas, which is asked for only here: the core does without it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tts_lab.errors import LabError

if TYPE_CHECKING:
    from pandas import DataFrame

    from tts_lab.memory.report import MemoryReport

MIB = 2**20


class Frames:
    """Adds `to_pandas` to a report."""

    def to_pandas(self: MemoryReport, table: str = "stages") -> DataFrame:  # type: ignore[misc]
        """A table: "stages", "modules", "alive" (the largest storages at the peak) or "timeline". Sizes in MiB.

        Raises LabError for another name, or where pandas is not installed.
        """
        tables = {"stages": _stages, "modules": _modules, "alive": _alive, "timeline": _timeline}
        if table not in tables:
            raise LabError(f"A memory report has no table {table!r}; its tables are {', '.join(tables)}.")
        return _frame(tables[table](self))


def _frame(rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    try:
        from pandas import DataFrame
    except ModuleNotFoundError:
        raise LabError("Tables need pandas, which is not installed; run ./lab install notebook.") from None
    return DataFrame(list(rows))


def _stages(report: MemoryReport) -> Iterable[dict[str, Any]]:
    seconds = "seconds (estimated)" if report.source == "predicted" else "seconds (measured)"
    for stage in report.stages:
        kinds = {name: n / MIB for name, n in stage.by_category.items()}
        yield {
            "stage": stage.name, "allocated": stage.peak_allocated / MIB,
            "reserved": stage.peak_reserved / MIB, **kinds,
            "streaming floor": None if stage.floor is None else stage.floor / MIB, seconds: stage.seconds,
        }  # fmt: skip


def _modules(report: MemoryReport) -> Iterable[dict[str, Any]]:
    for each in report.holders:
        yield {
            "module": each.module, "weights": each.weights / MIB, "other": each.other / MIB,
            "while running": each.while_running / MIB,
        }  # fmt: skip


def _alive(report: MemoryReport) -> Iterable[dict[str, Any]]:
    for each in report.alive.largest:
        row = asdict(each)
        yield {
            "MiB": row.pop("block") / MIB,
            **{name: row[name] for name in ("category", "stage", "module", "operator")},
        }


def _timeline(report: MemoryReport) -> Iterable[dict[str, Any]]:
    for point in report.timeline:
        kinds = {name: n / MIB for name, n in point.by_category.items()}
        yield {"event": point.event, "stage": point.stage, "allocated": point.allocated / MIB,
               "reserved": point.reserved / MIB, **kinds}  # fmt: skip
