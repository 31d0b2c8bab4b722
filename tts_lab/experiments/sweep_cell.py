"""A cell of a sweep, one thing to speak; what is asked of whoever speaks it; and what comes back. All plain data.

Cells travel to other processes and machines, so nothing here holds a system or a tensor.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_lab.recipe import Recipe
from tts_lab.types import Request

if TYPE_CHECKING:
    from tts_lab.experiments.distances import Features


@dataclass(frozen=True)
class Cell:
    """One thing to speak, as data that decides the sound.

    weights: hash of the files they lie in. voice: a stored voice, a sound file to imitate, or None for the system's
    default. clip: hash of that sound file.
    """

    system: str
    weights: str
    device: str
    recipe: Recipe
    text: str
    voice: str | None = None
    seed: int = 0
    clip: str = ""

    @cached_property
    def key(self) -> str:
        """A name of twenty letters and digits that only equal cells share, in every process and version of Python."""
        text = json.dumps(self.to_dict(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:20]

    def request(self) -> Request:
        """What the pipeline is asked for."""
        if self.clip and self.voice is not None:
            return Request(self.text, reference=Path(self.voice), seed=self.seed)
        return Request(self.text, voice=self.voice, seed=self.seed)

    def replace(self, recipe: Recipe) -> Cell:
        """The same words by the same voice, in another way."""
        return dataclasses.replace(self, recipe=recipe)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads. A clip is known by what it holds, not by where it lies."""
        voice = Path(self.voice).name if self.clip and self.voice else self.voice
        found = {name: getattr(self, name) for name in ("system", "weights", "device", "text", "seed", "clip")}
        return {**found, "voice": voice, "recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cell:
        """Raises LabError, TypeError or KeyError for what is not a cell. A lever that it lacks has its default."""
        return cls(**{**data, "recipe": Recipe.from_dict(data["recipe"])})


@dataclass(frozen=True)
class Job:
    """A cell and what is wanted of it.

    module: where the system's package is. weights: folder of its weights. is_reference: others are compared with its
    sound. reference: what to compare with; None: nothing,
    for the reason in no_reference. threads: of the CPU; None: as many as there are. card: where
    the memory is predicted.
    """

    cell: Cell
    module: str
    weights: str | None = None
    is_reference: bool = False
    reference: Features | None = None
    judges: bool = False
    sound: bool = False
    card: str | None = None
    threads: int | None = None
    no_reference: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    figures: columns of the results, where it was spoken. failed: the sentence that says why it was not. fatal: why no
    other cell can be spoken either. features: of a reference. sound: a WAV file, where it was asked for.
    """

    figures: Mapping[str, Any] = field(default_factory=dict)
    failed: str = ""
    fatal: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    features: Features | None = None
    sound: bytes | None = None
