"""A receipt: what one run cost, and the environment it ran in."""

from __future__ import annotations

import html
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tts_lab.recipe import Recipe

if TYPE_CHECKING:
    from rich.table import Table

Row = tuple[str, str]


@dataclass(frozen=True)
class Spoken:
    """Pieces `first` to `last`, counted from 1, and the recipe that spoke them."""

    first: int
    last: int
    recipe: Recipe


@dataclass(frozen=True)
class Receipt:
    """What one run cost.

    audio_seconds: length of the sound. wall_seconds: from the request to the last sample; loading the system is not
    part of it. evaluations: calls of the acoustic model, all chunks together. stages: seconds by stage.
    peak_process_bytes: most memory that the whole process has held so far, libraries included.
    notes: levers of the recipe that changed nothing here. unknown: characters of the text that were not spoken.
    spoken: which recipe spoke which pieces, where a card's memory made the run step down. clip: how a reference clip
    was understood, where a system tells; empty without one.

    Its repr leaves out all that is measured, so that it can be compared; `table()` and `to_dict()` have everything.
    """

    system: str
    voice: str
    recipe: Recipe
    seed: int
    chunks: int
    audio_seconds: float
    wall_seconds: float
    evaluations: int
    peak_process_bytes: int
    stages: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    spoken: tuple[Spoken, ...] = ()
    clip: Mapping[str, Any] = field(default_factory=dict)

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of sound; below 1 is faster than listening."""
        return self.wall_seconds / self.audio_seconds if self.audio_seconds else math.inf

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data that JSON can hold."""
        return {
            "system": self.system,
            "voice": self.voice,
            "recipe": self.recipe.to_dict(),
            "recipe_name": self.recipe.name,
            "seed": self.seed,
            "chunks": self.chunks,
            "audio_seconds": round(self.audio_seconds, 6),
            "wall_seconds": round(self.wall_seconds, 6),
            "real_time_factor": round(self.real_time_factor, 6) if self.audio_seconds else None,
            "evaluations": self.evaluations,
            "peak_process_bytes": self.peak_process_bytes,
            "stages": {name: round(seconds, 6) for name, seconds in self.stages.items()},
            "notes": list(self.notes),
            "unknown": list(self.unknown),
            "spoken": [
                {"first": part.first, "last": part.last, "recipe": part.recipe.to_dict()} for part in self.spoken
            ],
            "clip": dict(self.clip) or None,
            "environment": dict(self.environment),
        }

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def what(self) -> What:
        """What was made, without what it cost: the same on every run of the same request."""
        return What(tuple(self._what()))

    def table(self) -> Table:
        """A table for people, for rich's `print`."""
        from rich.table import Table
        from rich.text import Text

        table = Table(title="Receipt", title_justify="left", show_header=False)
        for label, value in (*self._what(), *self._measured()):
            table.add_row(Text(label, style="bold"), Text(value))
        return table

    def _what(self) -> list[Row]:
        rows = [
            ("system", self.system),
            ("voice", self.voice),
            ("recipe", self.recipe.name),
            ("seed", str(self.seed)),
            ("sound", f"{self.audio_seconds:.2f} s" + (f" in {self.chunks} pieces" if self.chunks > 1 else "")),
            ("evaluations", str(self.evaluations)),
        ]
        if any(part.recipe != self.recipe for part in self.spoken):
            rows += [(f"pieces {part.first} to {part.last}", part.recipe.name) for part in self.spoken]
        if self.unknown:
            rows.append(("not spoken", " ".join(self.unknown)))
        return rows + [("note", note) for note in self.notes]

    def _measured(self) -> list[Row]:
        rest = self.wall_seconds - sum(self.stages.values())
        rows = [(name, f"{seconds:.3f} s") for name, seconds in self.stages.items()]
        if self.stages:
            rows.append(("text and joining", f"{max(rest, 0.0):.3f} s"))
        rows += [
            ("all of it", f"{self.wall_seconds:.3f} s"),
            ("real-time factor", f"{self.real_time_factor:.3f}"),
            ("peak process memory", f"{self.peak_process_bytes / 2**20:,.0f} MiB"),
        ]
        where = ", ".join(f"{key} {value}" for key, value in self.environment.items())
        return [*rows, ("measured on", where)] if where else rows

    def __repr__(self) -> str:
        return repr(self.what())

    def _repr_html_(self) -> str:
        return _html(self._what(), self._measured())


@dataclass(frozen=True, repr=False)
class What:
    """The part of a receipt that does not depend on the machine's speed, shown as a table."""

    rows: tuple[Row, ...]

    def __repr__(self) -> str:
        width = max(len(label) for label, _ in self.rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in self.rows)

    def _repr_html_(self) -> str:
        return _html(self.rows, ())


def environment(device: str = "cpu") -> dict[str, Any]:
    """Where a measurement was made: versions, platform, device and number of CPU threads."""
    import torch

    from tts_lab import __version__

    is_cuda = str(device).startswith("cuda") and torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "device": f"{device} ({torch.cuda.get_device_name(device)})" if is_cuda else str(device),
        "threads": torch.get_num_threads(),
        "tts_lab": __version__,
    }


def _html(made: tuple[Row, ...] | list[Row], measured: tuple[Row, ...] | list[Row]) -> str:
    """Measured cells carry a class of their own, by which a comparison of notebooks leaves them out."""
    cells = [f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in made]
    cells += [f'<tr><th>{html.escape(k)}</th><td class="measured">{html.escape(v)}</td></tr>' for k, v in measured]
    return f"<table>{''.join(cells)}</table>"
