"""Every statement of the article, tested: the table of the README.

    python benchmarks/claims.py

Writes `data/measured/claims.json`. Bytes in it depend on no machine, so a test makes some of them again and compares;
times are estimates for the article's card; quality and real-time factors come from the other files of `data/measured`.
"""

from __future__ import annotations

from typing import Any

from environment import ROOT, command, no_options, write_json
from tts_lab.experiments.claims import claims
from tts_lab.experiments.quality_table import Table, markdown

RESULT = ROOT / "data" / "measured" / "claims.json"
ROWS = ("bottleneck-diffusion", "bottleneck-vocoder", "steps-100-memory", "steps-30-memory", "trick-steps-memory",
        "trick-steps-time", "trick-checkpointing-memory", "trick-checkpointing-time", "trick-fp16-memory",
        "trick-chunking", "trick-offload", "row-original-memory", "row-30-steps-memory", "row-fp16-memory",
        "row-checkpointing-memory", "row-offload-memory", "recommended")  # fmt: skip


def main() -> None:
    result = {"command": command(), "claims": [verdict.to_dict() for verdict in claims()]}
    print(markdown(table(result)))
    write_json(RESULT, result)


def table(result: dict[str, Any]) -> Table:
    """The claims of most interest, in the article's order."""
    found = {claim["id"]: claim for claim in result["claims"]}
    head = ("the article", "its figure", "ours", "verdict")
    return head, [(row["says"], row["article"]["text"], ours(row), row["verdict"]) for row in map(found.get, ROWS)]


def ours(row: dict[str, Any]) -> str:
    """Our figure as the command line shows it."""
    from tts_lab.experiments.claims import Figure

    main = row["measured"][row["main"]]
    return str(Figure(main["value"], main["unit"]))


if __name__ == "__main__":
    no_options(__doc__)
    main()
