"""Write the measured tables into the documents that show them, between their markers.

    python benchmarks/readme.py

A test checks that the documents show what `data/measured/` holds.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from environment import ROOT
from speed import speeds
from tts_lab.experiments.quality_table import by_settings, by_voices, markdown

DOCUMENTS = (ROOT / "README.md", ROOT / "data" / "voices" / "README.md")
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
CARD_EVALUATIONS = 16


def table(name: str) -> str:
    """The Markdown table of a marker, from the measured files."""
    if name == "speed":
        return markdown(speeds(_measured("speed")["texts"]))
    settings = _measured("voice_quality")["settings"]
    if name == "voice_quality":
        return markdown(by_settings(settings))
    if name == "voices":
        return markdown(by_voices(next(s["figures"] for s in settings if s.get("evaluations") == CARD_EVALUATIONS)))
    raise SystemExit(f"No table is called {name!r}.")


def filled(document: Path) -> str:
    """The document's text with the tables of today."""
    text = document.read_text(encoding="utf-8")
    return MARKED.sub(lambda m: f"{m[1]}{table(m[2])}\n{m[3]}", text)


def _measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "data" / "measured" / f"{name}.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(filled(path), encoding="utf-8")
