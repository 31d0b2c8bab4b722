"""Write the measured tables into README.md, between their markers.

    python benchmarks/readme.py

A test checks that the README shows what `data/measured/` holds.
"""

from __future__ import annotations

import json
import re
from typing import Any

from environment import ROOT
from speed import speeds
from tts_lab.experiments.quality_table import by_settings, markdown

README = ROOT / "README.md"


def tables() -> dict[str, str]:
    """Marker -> Markdown table, from the measured files."""
    return {
        "voice_quality": markdown(by_settings(_measured("voice_quality")["settings"])),
        "speed": markdown(speeds(_measured("speed")["texts"])),
    }


def filled(text: str) -> str:
    """The README's text with the tables of today."""
    for name, table in tables().items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(lambda m, table=table: f"{m[1]}{table}\n{m[2]}", text)
        if count != 1:
            raise SystemExit(f"README.md needs the marker '<!-- table: {name} -->' once, found {count}.")
    return text


def _measured(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "data" / "measured" / f"{name}.json").read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
