"""A memory report as one self-contained HTML page: no network, no libraries, whole without scripts, light and dark."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tts_lab.errors import OutputError
from tts_lab.memory.allocator_state import format_size
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.summary import SIGNS, WORDS, mib
from tts_lab.show.memory_figure import KIND, NAME
from tts_lab.whole import whole

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 1000, 300, 84, 26, 18
CATEGORY = {kind: f"c-{kind}" for kind in KIND}


def memory_page(report: MemoryReport) -> str:
    """The page's text."""
    title = " · ".join(filter(None, (report.system, report.recipe, report.card.name)))
    parts = [
        _banner(report, title), _figures(report), _timeline(report), _stages(report), _alive(report), _modules(report),
        _time(report), _method(report),
    ]  # fmt: skip
    style, script, body = _style(), _static("memory_page.js"), "".join(filter(None, parts))
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}: {WORDS[report.verdict]}</title><style>{style}</style>"
        f"<main>{body}</main><script>{script}</script></html>\n"
    )


def write_page(report: MemoryReport, path: str | Path) -> Path:
    """Write the page; the file appears when it is complete. Raises OutputError where it cannot be written."""
    path = Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise OutputError(f"{path} does not end in .html; name the page with it.")
    with whole(path, "page") as part:
        part.write_text(memory_page(report), encoding="utf-8")
    return path


def _banner(report: MemoryReport, title: str) -> str:
    return (
        f'<header class="{report.verdict}"><h1>{SIGNS[report.verdict]} {WORDS[report.verdict].capitalize()}</h1>'
        f"<p><b>{html.escape(title)}</b></p><p>{html.escape(report.sentence)}</p></header>"
    )


def _figures(report: MemoryReport) -> str:
    about = report.about
    pairs = [
        ("allocated at the peak", format_size(report.peak_allocated)),
        ("reserved at the peak", format_size(report.peak_reserved)),
        ("CUDA itself", format_size(report.context)),
        ("left" if report.margin >= 0 else "missing", format_size(abs(report.margin))),
        ("not modelled, at most", format_size(report.band)),
        ("fragmentation", f"{report.fragmentation:.1%}"),
    ]
    if report.floor:
        pairs.append(("floor, weights streamed", format_size(report.floor.bytes)))
    if report.estimate:
        pairs.append(("time, estimated", f"{report.estimate.seconds:.2f} s"))
    if "speech_seconds" in about:
        pairs.append(("speech", f"{about['speech_seconds']:g} s"))
    cells = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in pairs)
    return f"<dl>{cells}</dl>"


def _timeline(report: MemoryReport) -> str:
    if not report.timeline:
        return ""
    limit = report.card.total_bytes - report.context
    top = 1.08 * max(report.peak_reserved, limit if limit < 2.5 * report.peak_reserved else 0)
    legend = "".join(f'<span class="{CATEGORY[kind]}">{NAME[kind]}</span>' for kind in _kinds(report))
    points = [[p.event, p.stage, p.allocated, p.reserved, dict(p.by_category)] for p in report.timeline]
    data = json.dumps({"points": points, "left": LEFT, "width": WIDTH}).replace("</", "<\\/")
    return (
        "<section><h2>Over the run</h2><p>What was allocated, in the order of allocations (not in time: a loop whose "
        f"passes are alike is drawn once). Above it, what PyTorch had reserved.</p><p class=legend>{legend}</p>"
        f'<svg id="run" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="allocated memory over the run">'
        f"{_areas(report, top)}{_axes(report, top, limit)}</svg><p id=at>&nbsp;</p>"
        f'<script type="application/json" id="data">{data}</script></section>'
    )


def _areas(report: MemoryReport, top: float) -> str:
    """A polygon for each category, stacked, and the line of what was reserved."""
    x = _scale(report)
    below = [0] * len(report.timeline)
    shapes = []
    for kind in _kinds(report):
        above = [b + p.by_category.get(kind, 0) for b, p in zip(below, report.timeline, strict=True)]
        edge = [f"{x(p.event)},{_y(n, top)}" for p, n in zip(report.timeline, above, strict=True)]
        base = [f"{x(p.event)},{_y(n, top)}" for p, n in zip(report.timeline, below, strict=True)]
        shapes.append(f'<polygon class="{CATEGORY[kind]}" points="{" ".join(edge + base[::-1])}"/>')
        below = above
    line = " ".join(f"{x(p.event)},{_y(p.reserved, top)}" for p in report.timeline)
    return "".join(shapes) + f'<polyline class="reserved" points="{line}"/>'


def _axes(report: MemoryReport, top: float, limit: int) -> str:
    x, marks = _scale(report), []
    for i in range(5):
        y = _y(top * i / 4, top)
        marks.append(f'<text x="{LEFT - 6}" y="{y + 4}" class="tick">{format_size(int(top * i / 4))}</text>')
        marks.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}" class="grid"/>')
    if limit <= top:
        y = _y(limit, top)
        marks.append(f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y}" y2="{y}" class="limit"/>')
        marks.append(f'<text x="{LEFT + 170}" y="{y - 5}" class="limit">what the card has for PyTorch</text>')
    before, room = "", -1e9
    for point in report.timeline:
        if point.stage != before and point.stage and x(point.event) - room > 70:
            room = x(point.event)
            marks.append(f'<text x="{room + 3}" y="{HEIGHT - 8}" class="stage">{html.escape(point.stage)}</text>')
            marks.append(f'<line x1="{room}" x2="{room}" y1="{TOP}" y2="{HEIGHT - 4}" class="stage"/>')
        before = point.stage
    return "".join(marks)


def _stages(report: MemoryReport) -> str:
    kinds = _kinds(report)
    most = max((stage.peak_allocated for stage in report.stages), default=1) or 1
    measured = "estimated" if report.source == "predicted" else "measured"
    head = ["stage", "allocated", "reserved", *(NAME[k] for k in kinds), "floor, streamed", f"seconds, {measured}", ""]
    rows = []
    for stage in report.stages:
        seconds = "" if stage.seconds is None else f"{stage.seconds:.3f}"
        numbers = [mib(stage.peak_allocated), mib(stage.peak_reserved)]
        numbers += [mib(stage.by_category.get(kind, 0)) for kind in kinds] + [mib(stage.floor), seconds]
        rows.append([stage.name, *numbers, _bar(stage.by_category, most)])
    return _section("By stage", "MiB at each stage's own peak, with what was held before it.", head, rows)


def _alive(report: MemoryReport) -> str:
    head = ["MiB", "what", "stage", "module", "operator"]
    rows = [
        [mib(each.block), NAME.get(each.category, each.category), *(part or "–" for part in (each.stage, each.module)),
         each.operator or "there before"]
        for each in report.alive.largest
    ]  # fmt: skip
    return _section("Alive at the peak", "The largest storages at the moment of the peak.", head, rows) if rows else ""


def _modules(report: MemoryReport) -> str:
    head = ["module", "weights", "other", "alive while it ran"]
    rows = [[h.module, mib(h.weights), mib(h.other), mib(h.while_running)] for h in report.holders[:30]]
    return _section("By module", "MiB: the most that each module held at one time.", head, rows) if rows else ""


def _time(report: MemoryReport) -> str:
    if not report.estimate:
        return ""
    found = report.estimate
    rows = [[name, f"{seconds:.3f}"] for name, seconds in found.bound_by.items()]
    text = (
        f"An estimate, not a measurement: {found.seconds:.2f} s for {found.launches:,} launches, by the roofline model "
        f"with the attained shares that the lab assumes. No run can be faster than {found.floor:.2f} s."
    )
    return _section("Time", text, ["bound by", "seconds"], rows)


def _method(report: MemoryReport) -> str:
    lines = [f"{k}: {v}" for k, v in report.about.items() if not isinstance(v, dict | list)]
    lines += [f"not modelled: {name}, up to {format_size(size)}" for name, size in report.unmodelled.items()]
    lines += [f"{report.card.name}, {k}: {v}" for k, v in report.card.sources.items()]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in (*report.notes, *lines))
    return f"<details><summary>How this was found</summary><ul>{notes}</ul></details>"


def _section(title: str, text: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<section><h2>{title}</h2><p>{html.escape(text)}</p><table><tr>{top}</tr>{body}</table></section>"


def _cell(text: str) -> str:
    if text.startswith("<i "):  # a bar, made here
        return f"<td class=bars>{text}</td>"
    number = text.replace(",", "").replace(".", "", 1).isdigit()
    return f"<td{' class=n' if number else ''}>{html.escape(text)}</td>"


def _bar(kinds: Mapping[str, int], most: int) -> str:
    parts = ((CATEGORY[kind], 100 * kinds[kind] / most) for kind in KIND if kinds.get(kind))
    return "".join(f'<i class="{name}" style="width:{share:.2f}%"></i>' for name, share in parts)


def _kinds(report: MemoryReport) -> list[str]:
    return [kind for kind in KIND if any(kind in stage.by_category for stage in report.stages)]


def _scale(report: MemoryReport) -> Any:
    last = max(report.timeline[-1].event, 1)
    return lambda event: round(LEFT + (WIDTH - LEFT) * event / last, 1)


def _y(size: float, top: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * size / top, 1)


def _static(name: str) -> str:
    return (files("tts_lab.show") / "static" / name).read_text(encoding="utf-8")


def _style() -> str:
    colours = (f".{name} {{ fill: {KIND[kind]}; background: {KIND[kind]}; }}" for kind, name in CATEGORY.items())
    return "\n".join((_static("memory_page.css"), *colours))
