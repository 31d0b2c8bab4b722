"""The memory of a request against a card, as a few lines of HTML: drawn anew at every move of a lever."""

from __future__ import annotations

import html

from tts_lab.memory.report import MemoryReport
from tts_lab.memory.summary import SIGNS, WORDS, mib
from tts_lab.show.memory_figure import KIND, NAME, VERDICT

GIB = 2**30
CONTEXT = "#7f7f7f"
MOST = 1.6  # cards: what is longer is cut, and the words say how much it is


def bar_html(report: MemoryReport, about: str = "") -> str:
    """CUDA's share, what was alive at the peak by kind, what PyTorch reserved above it, and a mark where the card ends;
    below it each stage's peak. about: what was asked, after the verdict."""
    end = min(max(report.card.total_bytes, report.context + report.peak_reserved), MOST * report.card.total_bytes)
    parts = [("CUDA itself", report.context, CONTEXT)]
    parts += [(NAME[k], n, KIND[k]) for k, n in sorted(report.alive.by_category.items()) if n]
    rest = report.peak_reserved - sum(report.alive.by_category.values())
    parts += [("reserved, not in use", max(rest, 0), "#d9d9d9")]
    edge = 100 * report.card.total_bytes / end
    return (
        f'<div style="line-height:1.5"><div>{_verdict(report)} {html.escape(about)}</div>'
        f'<div role="img" aria-label="{html.escape(report.sentence)}" style="position:relative;height:24px;'
        f'max-width:900px;display:flex;overflow:hidden;border:1px solid #999;border-radius:3px">'
        f"{''.join(_part(name, size, end, colour) for name, size, colour in parts)}"
        f'<span style="position:absolute;left:calc({edge:.2f}% - 3px);top:0;bottom:0;width:3px;'
        f'background:{VERDICT["out_of_memory"]}"></span></div>'
        f'<div style="max-width:900px">{"".join(_key(*part) for part in parts if part[1])}'
        f"<span>card ends at {report.card.total_bytes / GIB:.2f} GiB</span></div>{_stages(report)}</div>"
    )


def _verdict(report: MemoryReport) -> str:
    needs = (report.context + report.peak_reserved) / GIB
    return (
        f'<b style="color:{VERDICT[report.verdict]}">{SIGNS[report.verdict]} {WORDS[report.verdict]}</b>: '
        f"{needs:.2f} of {report.card.total_bytes / GIB:.2f} GiB on {html.escape(report.card.name)} ({report.source})"
    )


def _part(name: str, size: int, end: float, colour: str) -> str:
    share = 100 * size / end
    return f'<span title="{name}: {mib(size)} MiB" style="flex:0 0 {share:.3f}%;background:{colour}"></span>'


def _key(name: str, size: int, colour: str) -> str:
    box = f'<span style="display:inline-block;width:10px;height:10px;background:{colour};border:1px solid #999"></span>'
    return f'<span style="margin-right:14px;white-space:nowrap">{box} {name} {mib(size)} MiB</span>'


def _stages(report: MemoryReport) -> str:
    highest = max((stage.peak_allocated for stage in report.stages), default=0) or 1
    rows = "".join(_stage(s.name, s.peak_allocated, 260 * s.peak_allocated / highest) for s in report.stages)
    return f'<div style="font-size:12px;margin-top:4px">peak of each stage, allocated{rows}</div>'


def _stage(name: str, size: int, width: float) -> str:
    return (
        f'<div style="display:flex;gap:8px;align-items:center"><span style="width:104px">{html.escape(name)}</span>'
        f'<span style="background:{KIND["activation"]};height:9px;width:{width:.0f}px"></span>'
        f"<span>{mib(size)} MiB</span></div>"
    )
