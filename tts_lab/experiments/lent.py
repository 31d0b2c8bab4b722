"""Half precision and eight-bit weights heard on a CPU: a system whose stages are lent as a card lends them.

On its CPU path a system computes in fp32, or in bf16 where the processor has units for it, whatever else the recipe
says: other formats are slower there. To hear what one does to the sound, the copies that a card would get are made here
and really computed with.
"""

from __future__ import annotations

import copy
from typing import TypeVar

from tts_lab.errors import LabError
from tts_lab.levers.residency import Residency
from tts_lab.types import System

S = TypeVar("S", bound=System)


def as_on_a_card(system: S) -> S:
    """The same system, with precision, quantisation and offload in force on the CPU too; slower, and as it would sound
    on a card up to the order of its sums. The given one stays as it is. Raises LabError where it lends nothing."""
    if not isinstance(getattr(system, "home", None), Residency):
        raise LabError(f"{system.name} does not lend its stages, so no number format can be tried on it.")
    lent = copy.copy(system)
    lent.home = Residency(system.home.device, lends=True)  # type: ignore[attr-defined]
    return lent
