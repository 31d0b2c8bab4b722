"""How long a run would take on a card that is not there: an estimate by the roofline model, never a measurement.

Williams, Waterman, Patterson: Roofline, Communications of the ACM 52(4), 2009. A kernel is bound by the card's rate or
by its memory's bandwidth, whichever takes longer; a small one by the time that PyTorch needs to launch it. Copies
between computer and card are bound by PCI Express.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tts_lab.memory.cards import Card
from tts_lab.memory.events import Work
from tts_lab.memory.work import MATRIX, TO_CARD, TO_HOST

# What a run reaches of the rates in a data sheet, and what a launch costs: assumed, not yet measured on a card.
ATTAINED = {"compute": 0.6, "memory": 0.8, "transfer": 0.8}
LAUNCH_SECONDS = 6e-6  # of one operator from Python, eager mode
FORMATS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8", "float64": "fp64"}
_MATRIX = re.compile(MATRIX)


@dataclass(frozen=True)
class Estimate:
    """Seconds. floor: at the full rates of the data sheet and with launches for nothing; no run can be faster.

    bound_by: seconds of the kernels that each limit decides: compute, memory, launch, transfer. launches: their number.
    """

    seconds: float
    floor: float
    launches: int
    bound_by: Mapping[str, float] = field(default_factory=dict)


def estimate(work: Iterable[Work], card: Card) -> Estimate:
    """The time that the kernels in `work` take on `card`, one after the other."""
    seconds, floor, launches = 0.0, 0.0, 0.0
    bound_by: dict[str, float] = {}
    for each in work:
        limit, taken = launch(each, card)
        bound_by[limit] = bound_by.get(limit, 0.0) + each.count * taken
        seconds += each.count * taken
        floor += each.count * max(_seconds(each, card).values())
        launches += each.count
    return Estimate(seconds, floor, round(launches), dict(sorted(bound_by.items(), key=lambda item: -item[1])))


def launch(work: Work, card: Card) -> tuple[str, float]:
    """What decides how long one launch takes (compute, memory, launch, transfer), and the seconds."""
    parts = _seconds(work, card)
    limits = {name: part / ATTAINED[name] for name, part in parts.items()} | {"launch": LAUNCH_SECONDS}
    limit = max(limits, key=lambda name: limits[name])
    return limit, limits[limit]


def estimate_stages(work: Iterable[Work], card: Card) -> dict[str, Estimate]:
    """`estimate` for each stage, in the order in which they come."""
    stages: dict[str, list[Work]] = {}
    for each in work:
        stages.setdefault(each.stage, []).append(each)
    return {name: estimate(mine, card) for name, mine in stages.items()}


def _seconds(work: Work, card: Card) -> dict[str, float]:
    """What each part of the card would take for one launch at its full rate."""
    if work.operator in (TO_CARD, TO_HOST):
        return {"transfer": work.bytes / card.pcie_bandwidth}
    return {"compute": work.flops / _rate(work, card), "memory": work.bytes / card.memory_bandwidth}


def _rate(work: Work, card: Card) -> float:
    """Only matrix products reach the tensor cores; of fp32, by PyTorch's default, convolutions (tf32), not products."""
    if not _MATRIX.search(work.operator):
        return card.rate("fp32")
    number_format = FORMATS.get(work.dtype, "fp32")
    if number_format == "fp32" and "convolution" in work.operator:
        number_format = "tf32"
    return card.rate(number_format)
