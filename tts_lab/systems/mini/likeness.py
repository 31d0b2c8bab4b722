"""What mini makes of a reference clip: one of its voices, a blend of them, or a plain word that it knows no such voice.

Axes: v voices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

KNOWN, NEAR, UNLIKE = "known", "near", "unlike any"
CALIBRATED_SECONDS = 3.0  # the limits are those of clips of this length
BLEND_SCALE = 8.0  # of cosines, before they become shares: a voice that is 0.1 farther gets less than half
SHOWN = 0.005  # a smaller share of a blend is not named


@dataclass(frozen=True)
class Likeness:
    """How near a clip is to each known voice.

    voices: names; distances: cosine distance (0 to 2) from each. known: up to this distance the clip counts as the
    nearest voice; unlike: beyond this one as no voice of mini, nor a poor recording of one. seconds: of the clip.
    """

    voices: tuple[str, ...]
    distances: tuple[float, ...]
    known: float
    unlike: float
    seconds: float

    @property
    def nearest(self) -> str:
        return self.voices[self.distances.index(self.distance)]

    @property
    def distance(self) -> float:
        """From the nearest voice."""
        return min(self.distances)

    @property
    def verdict(self) -> str:
        if self.distance <= self.known:
            return KNOWN
        return NEAR if self.distance <= self.unlike else UNLIKE

    def weights(self) -> Tensor:
        """Shares of the voices (v,), which sum to 1: the nearest alone if it is known, else more for the nearer."""
        if self.verdict == KNOWN:
            return torch.tensor([float(name == self.nearest) for name in self.voices])
        return (-BLEND_SCALE * torch.tensor(self.distances)).softmax(0)

    def speaks(self) -> str:
        """Name of the voice that will be heard."""
        if self.verdict == KNOWN:
            return self.nearest
        parts = sorted(zip(self.weights().tolist(), self.voices, strict=True), reverse=True)
        return "blend of " + " + ".join(f"{share:.0%} {name}" for share, name in parts if share >= SHOWN)

    def notes(self) -> tuple[str, ...]:
        """Sentences for the receipt."""
        return (self._sentence(), *self._short())

    def _sentence(self) -> str:
        limit = f"clips of known voices stay below {self.known:.2f}"
        if self.verdict == KNOWN:
            return f"The clip is {self.nearest} (distance {self.distance:.2f}; {limit}): speaking as --voice does."
        if self.verdict == NEAR:
            return (
                f"The clip is near {self.nearest}, but not surely that voice (distance {self.distance:.2f}; {limit}): "
                f"speaking with a {self.speaks()}."
            )
        return (
            f"The clip is unlike every voice of mini (distance {self.distance:.2f}; {limit}): speaking with a "
            f"{self.speaks()}; mini cannot copy a new voice."
        )

    def _short(self) -> tuple[str, ...]:
        if self.seconds >= CALIBRATED_SECONDS:
            return ()
        return (
            f"The clip is {self.seconds:.1f} s long: below {CALIBRATED_SECONDS:g} s a known voice is often taken for "
            "another, because its distance grows.",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a receipt's JSON."""
        return {
            "verdict": self.verdict, "nearest": self.nearest, "distance": round(self.distance, 4),
            "known_below": round(self.known, 4), "unlike_above": round(self.unlike, 4),
            "seconds": round(self.seconds, 3),
            "distances": {name: round(d, 4) for name, d in zip(self.voices, self.distances, strict=True)},
            "shares": {name: round(w, 4) for name, w in zip(self.voices, self.weights().tolist(), strict=True)},
        }  # fmt: skip
