"""Write the measured tables into the documents that show them, between their markers.

    python benchmarks/readme.py

A test checks that the documents show what `data/measured/` holds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import claims
import emotions
import fits
import levers
import long_text
import memory_speed
import notebook_times
import reference_clips
import steps_quality
import validate_memory
import workbench
from environment import ROOT, no_options
from quality_book import by_guidance
from speed import speeds
from tts_lab.experiments.quality_table import (
    by_settings,
    by_voices,
    by_ways,
    markdown,
    only_steps,
    vocoder_of,
)

DOCUMENTS = tuple(ROOT / name for name in ("README.md", "data/voices/README.md", "docs/memory.md", "docs/levers.md"))
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
CARD_EVALUATIONS = 16


def table(name: str) -> str:
    """The Markdown table of a marker, from the measured files."""
    if name == "speed":
        return markdown(speeds(_measured("speed")["texts"]))
    if name == "memory_speed":
        return markdown(memory_speed.speeds(_measured("memory_speed")))
    if name == "replay_curve":
        return markdown(memory_speed.curve(_measured("memory_speed")["curve"]))
    if name == "fits":
        return markdown(fits.table(_measured("fits")))
    if name == "levers":
        return markdown(levers.table(_measured("levers")))
    if name == "claims":
        return markdown(claims.table(_measured("claims")))
    if name == "steps_quality":
        return markdown(steps_quality.table(_measured("steps_quality")))
    if name == "emotions":
        return markdown(emotions.table(_measured("emotions")))
    if name == "notebooks":
        return markdown(notebook_times.table(_measured("notebooks")))
    if name == "workbench":
        return markdown(workbench.table(_measured("workbench")))
    if name == "reference_clips":
        return markdown(reference_clips.table(_measured("reference_clips")))
    if name == "reference_voices":
        found = reference_clips.similarities(_measured("reference_clips"))
        return markdown(found) if found[1] else "Not measured yet."
    if name == "memory_validated":
        return _validated()
    if name == "long_text":
        return markdown(long_text.table(_measured("long_text")))
    if name == "long_text_memory":
        return markdown(long_text.memory_table(_measured("long_text")))
    settings = _measured("quality-mini")["settings"]
    if name == "quality_ways":
        return markdown(by_ways(settings))
    if name == "guidance":
        return markdown(by_guidance(settings))
    if name == "voice_quality":
        small = [s for s in settings if vocoder_of(s.get("recipe") or s) == "small"]
        ways = [*only_steps(settings), *only_steps(settings, guidance=1.0), *only_steps(settings, precision="bf16")]
        unlike = {s["name"]: s for s in (*ways, *small)}  # a single evaluation has no guidance, and is of both kinds
        return markdown(by_settings(list(unlike.values())))
    settings = only_steps(settings)
    if name == "voices":
        return markdown(by_voices(next(s["figures"] for s in settings if s.get("evaluations") == CARD_EVALUATIONS)))
    raise SystemExit(f"No table is called {name!r}.")


def _validated() -> str:
    """Predicted against measured, for each card that has been measured."""
    found = [
        json.loads(p.read_text(encoding="utf-8")) for p in sorted((ROOT / "data" / "measured").glob("memory-*.json"))
    ]
    if not found:
        return "Not measured yet: no card has been at hand."
    return "\n\n".join(f"{one['name']}:\n\n{markdown(validate_memory.table(one['cells']))}" for one in found)


def filled(document: Path) -> str:
    """The document's text with the tables of today."""
    text = document.read_text(encoding="utf-8")
    return MARKED.sub(lambda m: f"{m[1]}{table(m[2])}\n{m[3]}", text)


def _measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "data" / "measured" / f"{name}.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    no_options(__doc__)
    for path in DOCUMENTS:
        path.write_text(filled(path), encoding="utf-8")
