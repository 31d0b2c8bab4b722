"""The film of a solver: the mel after every step, on its way from noise to speech.

Axes: m mel bands, t mel frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tts_lab.errors import LabError
from tts_lab.nn.watching import Seen, watched
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.types import NEPER, Request, Speech, System

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, np.dtype[np.float32]]
QUIET_DB = 70.0  # below the loudest: what is quieter is not seen, and its noise would drown every figure


@dataclass(frozen=True)
class Frame:
    """After one step. t: where on the way, 0 noise, 1 speech; evaluations: of the model so far. state, heading: (m, t)
    in dB below the finished mel's loudest: what the solver holds, and the mel it would reach if it went straight on."""

    step: int
    t: float
    evaluations: int
    state: Array
    heading: Array


@dataclass(frozen=True)
class Film:
    """Every step of the first piece of a speech. mel: (m, t) the finished one, in dB below its loudest."""

    speech: Speech
    frames: tuple[Frame, ...]
    mel: Array

    def __repr__(self) -> str:
        return f"Film({len(self.frames)} steps, {self.frames[-1].evaluations} evaluations)"

    @property
    def changes(self) -> tuple[float, ...]:
        """How far each step has moved the mel that the solver heads for: root mean square over all bins, in dB.

        One for each step after the first.
        """
        return tuple(rms(b.heading - a.heading) for a, b in zip(self.frames, self.frames[1:], strict=False))

    @property
    def left(self) -> tuple[float, ...]:
        """How far the mel that the solver heads for is from the finished one, after each step: RMS in dB."""
        return tuple(rms(frame.heading - self.mel) for frame in self.frames)

    def table(self) -> pd.DataFrame:
        """A row for each step, as a pandas frame."""
        import pandas as pd

        return pd.DataFrame({
            "step": [f.step for f in self.frames], "t": [round(f.t, 3) for f in self.frames],
            "evaluations": [f.evaluations for f in self.frames], "change_db": [np.nan, *np.round(self.changes, 2)],
            "left_db": np.round(self.left, 2),
        }).set_index("step")  # fmt: skip


def film(system: System, request: Request | str, recipe: Recipe | None = None) -> Film:
    """Speak, and keep the mel after every step of the first piece.

    Raises LabError where the system has no solver, and what `say` raises.
    """
    recipe, pieces = recipe or Recipe(), list[list[Seen]]()

    def keep(seen: Seen) -> None:
        if seen.index == 0:
            pieces.append([])
        if len(pieces) == 1:
            pieces[0].append(seen)

    with watched(keep):
        speech = say(system, request, recipe)
    if not pieces:
        raise LabError(f"{system.name} has no solver, so there is nothing to film; choose mini or indextts2.")
    return _developed(speech, pieces[0])


def _developed(speech: Speech, seen: list[Seen]) -> Film:
    final = speech.waves[0].mel.values[0].float().cpu().numpy()
    loudest, length = float(final.max()), final.shape[1]

    def decibels(mel: Any) -> Array:
        shown: Array = np.clip((mel[0, :, :length].numpy() - loudest) * NEPER, -QUIET_DB, 0)
        return shown

    frames = tuple(
        Frame(s.index + 1, s.t, speech.recipe.replace(steps=s.index + 1).evaluations_per_chunk, decibels(s.state),
              decibels(s.heading))
        for s in seen
    )  # fmt: skip
    return Film(speech, frames, np.clip((final - loudest) * NEPER, -QUIET_DB, 0))


def rms(difference: Array) -> float:
    """Root mean square of all bins."""
    return float(np.sqrt(np.square(difference, dtype=np.float64).mean()))
