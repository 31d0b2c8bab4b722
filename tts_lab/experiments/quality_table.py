"""Tables of a voice's quality, as Markdown that reads well in a terminal too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tts_lab.recipe import Recipe

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]  # header, rows
Figures = Mapping[str, Any]  # what `quality.summary` returns

JUDGED = ("toneless-pinyin error (95 %)", "CER", "DistillMOS (lowest)")
FURTHER = ("pinyin error with tones", "tones by pitch", "MCD (dB)", "F0 (cents)", "F0 correlation")
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


def by_ways(entries: Sequence[Mapping[str, Any]]) -> Table:
    """One row a setting with all that was measured of it: how it is solved, number format, judges, the teacher."""
    header = ("what speaks", "solver", "schedule", "guidance", "format", *JUDGED, *FURTHER)
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        figures = entry["figures"]["all"]
        way = _way(entry["recipe"]) if "recipe" in entry else ("", "", "", "")
        rows.append((entry["name"].split(",")[0] + _by(entry), *way, *_judged(figures), *_further(figures)))
    return header, rows


def _by(entry: Mapping[str, Any]) -> str:
    """Which vocoder spoke, where it was not the usual one."""
    other = vocoder_of(entry.get("recipe") or entry)
    return "" if other == Recipe().vocoder else f", {other} vocoder"


def vocoder_of(recipe: Mapping[str, Any]) -> str:
    """Recipes of old had no such lever."""
    return str(recipe.get("vocoder", Recipe().vocoder))


def _way(recipe: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Solver, schedule (which a single step has none of), strength of guidance and number format."""
    schedule = recipe["schedule"] if recipe["steps"] > 1 else ""
    return recipe["solver"], schedule, f"{recipe['guidance']:g}", number_format(recipe)


def number_format(recipe: Mapping[str, Any]) -> str:
    """The format of a recipe's weights: that of its quantisation, where it has one."""
    quantisation = recipe.get("quantisation", "none")  # recipes of old had no such lever
    return recipe["precision"] if quantisation == "none" else quantisation


def only_steps(entries: Sequence[Mapping[str, Any]], **levers: Any) -> list[Mapping[str, Any]]:
    """Those that differ from the lab's default, or from it with other levers, in the number of evaluations alone; and
    the teacher's where no lever is another. A single step belongs to every schedule."""
    base = Recipe(**levers)
    others = base == Recipe()
    return [e for e in entries if (_is_plain(e, base) if "recipe" in e else others and "vocoder" not in e)]


def _is_plain(entry: Mapping[str, Any], base: Recipe) -> bool:
    recipe = entry["recipe"]
    same = recipe["solver"] == base.solver and (recipe["steps"] == 1 or recipe["schedule"] == base.schedule)
    same = same and number_format(recipe) == base.precision and vocoder_of(recipe) == base.vocoder
    return same and entry["guidance"] in ((base.guidance,) if entry["evaluations"] > 1 else (0.0, base.guidance))


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


def _further(figures: Figures) -> tuple[str, ...]:
    """Empty where it was not measured."""
    forms = {"tone_error": "{:.1%}", "mel_cepstral_db": "{:.2f}", "f0_cents": "{:.0f}", "f0_correlation": "{:.2f}"}
    return f"{figures['toned']:.1%}", *(form.format(figures[n]) if n in figures else "" for n, form in forms.items())


def _cost(figures: Figures) -> tuple[str, str]:
    """A cost that was not measured stays empty: nothing is not zero."""
    names = ("real_time_factor", "vocoder_real_time_factor")
    return tuple(f"{figures[name]:.2f}" if name in figures else "" for name in names)  # type: ignore[return-value]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
    return f"| {' | '.join(padded)} |"
