"""What the results of all kinds of listening tests share: a sentence, tables, notes, plain data."""

from __future__ import annotations

import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tts_lab.experiments.listening.answers import Record
from tts_lab.experiments.listening.definition import Definition
from tts_lab.experiments.listening.rows import Row, rows
from tts_lab.experiments.quality_table import Table, markdown

SIMULATED = "SIMULATED listeners: "  # before everything that no person answered


@dataclass(frozen=True, repr=False)
class Result:
    """Of a test. records: of the listeners who finished. left_out: sentences on the others."""

    test: Definition
    records: tuple[Record, ...]
    left_out: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        """Whether programs answered."""
        return self.records[0].simulated

    @property
    def listeners(self) -> tuple[str, ...]:
        return tuple(record.listener for record in self.records)

    @cached_property
    def rows(self) -> list[Row]:
        """Every judgement, labels replaced by what stood behind them (`rows`)."""
        return rows(self.records)

    @property
    def sentence(self) -> str:
        """What was found."""
        raise NotImplementedError

    def table(self) -> Table:
        """The main figures."""
        raise NotImplementedError

    def tables(self) -> tuple[Table, ...]:
        """All figures, the main ones first."""
        return (self.table(),)

    def notes(self) -> tuple[str, ...]:
        """What must be known to read the tables."""
        return self.left_out

    def frame(self) -> Any:
        """`rows` as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "kind": self.test.kind, "test": self.test.key, "simulated": self.simulated,
            "listeners": list(self.listeners), "sentence": self.sentence, "notes": list(self.notes()),
            "tables": [[dict(zip(header, row, strict=True)) for row in body] for header, body in self.tables()],
        }  # fmt: skip

    def headed(self, sentence: str) -> str:
        """A sentence or title that says so where no person listened."""
        return f"{SIMULATED if self.simulated else ''}{sentence}"

    def __repr__(self) -> str:
        return "\n\n".join([self.headed(self.sentence), *map(markdown, self.tables()), *self.notes()])

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{html.escape(self.headed(self.sentence))}</b></p>", *map(_html, self.tables())]
        return "".join([*parts, *(f"<p>{html.escape(note)}</p>" for note in self.notes())])


def shown_p(value: float) -> str:
    """A p-value for a table."""
    return f"{value:.3f}" if value >= 0.0005 else "< 0.001"


def _html(table: Table) -> str:
    header, body = table
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    lines = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in body)
    return f'<table cellpadding="4"><tr>{head}</tr>{lines}</table>'
