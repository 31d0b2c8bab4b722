"""`tts-lab claims`: the article's statements, tested, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tts_lab.experiments.claims import DOES_NOT, HOLDS, ONLY_IF, Verdict, claims

SIGNS = {HOLDS: "✓", ONLY_IF: "◐", DOES_NOT: "✗"}
COLOUR = {HOLDS: "green", ONLY_IF: "yellow", DOES_NOT: "red"}


def run(only: Sequence[str], as_json: bool) -> None:
    """Test and print. Raises LabError for an id that there is not."""
    found = claims(only)
    if as_json:
        print(json.dumps([verdict.to_dict() for verdict in found], ensure_ascii=False))
    else:
        _show(found)


def _show(found: Sequence[Verdict]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title="What the article says, and what the lab finds", title_justify="left", box=SIMPLE_HEAD,
                  pad_edge=False)  # fmt: skip
    for head, right in (("claim", False), ("article", True), ("ours", True), ("verdict and reason", False)):
        table.add_column(head, justify="right" if right else "left", overflow="fold")
    for each in found:
        sign = f"{SIGNS[each.kind]} {each.verdict}"
        table.add_row(each.claim.id, each.claim.article, str(each.ours), sign, style=COLOUR[each.kind])
        table.add_row("", "", "", each.reason)
    console = Console()
    console.print(table)
    counts = ", ".join(f"{sum(v.kind == kind for v in found)} {kind}" for kind in SIGNS)
    console.print(
        f"{len(found)} claims: {counts}. Sizes are exact, in GiB; times are estimates for the article's card."
    )
