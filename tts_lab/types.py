"""What flows along the spine: Request -> Prompt -> Semantic -> Mel -> Wave -> Speech.

Axes: b batch, m mel bands, t mel frames, n text units (phones), s samples, d width of the style vector.
Every stage's result keeps a reference to what it was made from, so that a picture or a report can walk back
from the sound to the text.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from tts_lab.receipt import Receipt
    from tts_lab.recipe import Recipe


@dataclass(frozen=True)
class Request:
    """What the user wants said.

    text: any Chinese text, of any length.
    voice: name of a stored voice; None means the system's default. Ignored where `reference` is given.
    reference: audio file whose voice is to be imitated.
    emotion: name of an emotion the system knows; None means neutral, or that of the reference clip.
    emotion_reference: audio file whose emotion is to be imitated. emotion_weights: of the system's emotions, in its
    order. emotion_text: a text whose emotion is to be taken. At most one of these four says the emotion.
    emotion_strength: how much of it, 0 to 1.
    seed: of every random draw; one seed gives one result on every device.
    speed: speaking rate relative to the voice's own, 0.5 to 2.
    """

    text: str
    voice: str | None = None
    reference: Path | None = None
    emotion: str | None = None
    seed: int = 0
    speed: float = 1.0
    emotion_reference: Path | None = None
    emotion_weights: tuple[float, ...] | None = None
    emotion_text: str | None = None
    emotion_strength: float = 1.0


@dataclass(frozen=True)
class Chunk:
    """A piece of the text that is spoken in one go, with the seed of its draws.

    units: its text units, where the system has cut it by these. pause: seconds of silence after it, where the system
    leaves them between sentences.
    """

    text: str
    index: int
    seed: int
    speed: float = 1.0
    units: tuple[str, ...] = ()
    pause: float = 0.0


@dataclass(frozen=True)
class Prompt:
    """The voice to speak with. style: (b, d) float32. `extra` holds what only one system needs."""

    voice: str
    style: Tensor
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Semantic:
    """What is to be said and how, in the system's own codes; `frames` is the number of mel frames t it stands for.

    units: names of the n text units; durations: mel frames of each (sum = frames); codes: name -> tensor (b, n, ...);
    unknown: characters of the text that have no reading and were left out; syllables: pinyin of each, where the system
    says how it read the text.
    """

    chunk: Chunk
    units: tuple[str, ...]
    durations: tuple[int, ...]
    frames: int
    codes: Mapping[str, Tensor] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    syllables: tuple[str, ...] = ()


NEPER = 20 / math.log(10)  # dB of one unit of a natural logarithm


@dataclass(frozen=True)
class Mel:
    """Log-mel spectrogram. values: (b, m, t). evaluations: model calls it took.

    decibels: what one unit of `values` stands for; by default they are natural logarithms. None: the model's own
    scale, whose bands were levelled one by one when it was taught, so that no decibels can be told. `extra` holds what
    only one system needs.
    """

    values: Tensor
    sample_rate: int
    hop_length: int
    evaluations: int
    semantic: Semantic
    decibels: float | None = NEPER
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wave:
    """Sound. samples: (b, s) float32 in [-1, 1]."""

    samples: Tensor
    sample_rate: int
    mel: Mel

    @property
    def seconds(self) -> float:
        return self.samples.shape[-1] / self.sample_rate


@dataclass(frozen=True)
class Speech:
    """A finished request: the joined sound, the pieces it was made of, and what it cost.

    samples: (s,) float32; waves: one per chunk (empty when streamed to a file without keeping).
    """

    request: Request
    recipe: Recipe
    samples: Tensor
    sample_rate: int
    waves: tuple[Wave, ...]
    receipt: Receipt


class System(Protocol):
    """A complete speech synthesiser: the four stages and the splitting of text. All run without autograd."""

    name: str
    sample_rate: int

    @property
    def voices(self) -> tuple[str, ...]: ...

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the emotions that a request may ask for."""
        ...

    def about_voices(self) -> Mapping[str, str]:
        """Name -> an honest label of each stored voice, the default first."""
        ...

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]: ...

    def speaker(self, request: Request, recipe: Recipe) -> Prompt: ...

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic: ...

    def acoustic(self, tokens: Semantic, prompt: Prompt, recipe: Recipe) -> Mel: ...

    def vocoder(self, mel: Mel, recipe: Recipe) -> Wave: ...
