"""Tables of a voice's quality, as Markdown that reads well in a terminal too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # header, rows
Figures = Mapping[str, Any]  # what `quality.summary` returns

JUDGED = ("toneless-pinyin error (95 %)", "CER", "DistillMOS (lowest)")
COST = ("real-time factor", "vocoder alone")


def by_settings(entries: Sequence[Mapping[str, Any]]) -> Table:
    """One row a setting: `name`, `guidance` (None where it has no meaning) and `figures` with those of `all` voices."""
    header = ("what speaks", "guidance", *JUDGED, *COST)
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        figures = entry["figures"]["all"]
        guidance = entry.get("guidance")
        rows.append((entry["name"], "" if guidance is None else f"{guidance:g}", *_judged(figures), *_cost(figures)))
    return header, rows


def by_voices(figures: Mapping[str, Figures]) -> Table:
    """One row a voice, `all` among them, with the tone-bearing error as well."""
    header = ("voice", "sentences", "syllables", *JUDGED, "pinyin error with tones")
    rows: list[tuple[str, ...]] = [
        (voice, str(f["sentences"]), str(f["syllables"]), *_judged(f), f"{f['toned']:.1%}")
        for voice, f in figures.items()
    ]
    return header, rows


def markdown(table: Table) -> str:
    """A Markdown table with columns of even width; all but the first are flush right."""
    header, rows = table
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    rule = [("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(widths)]
    return "\n".join(_line(cells, widths) for cells in (header, tuple(rule), *rows))


def _judged(figures: Figures) -> tuple[str, str, str]:
    low, high = figures["toneless_interval"]
    return (
        f"{figures['toneless']:.1%} ({100 * low:.1f}–{100 * high:.1f})",
        f"{figures['characters']:.1%}",
        f"{figures['mos']:.2f} ({figures['mos_lowest']:.2f})",
    )


def _cost(figures: Figures) -> tuple[str, str]:
    """A cost that was not measured stays empty: nothing is not zero."""
    names = ("real_time_factor", "vocoder_real_time_factor")
    return tuple(f"{figures[name]:.2f}" if name in figures else "" for name in names)  # type: ignore[return-value]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
    return f"| {' | '.join(padded)} |"
