"""Where the pieces of a speech lie in the joined sound. Axes: s samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tts_lab.audio.join import overlap
from tts_lab.show.labels import Label, labels
from tts_lab.types import Speech, Wave


@dataclass(frozen=True)
class Placed:
    """A wave and the second at which it begins in the joined sound."""

    wave: Wave
    start: float

    def labels(self, chinese: bool = False) -> list[Label]:
        """What is said in it, with the times of the joined sound."""
        found = labels(self.wave.mel, chinese)
        return [replace(label, start=self.start + label.start, end=self.start + label.end) for label in found]


def place(waves: Sequence[Wave], fade: int) -> list[Placed]:
    """Waves in order, their beginnings where cross-fades of `fade` samples put them."""
    placed, start = [], 0
    for index, wave in enumerate(waves):
        if index:
            start -= overlap(fade, waves[index - 1].samples.shape[-1], wave.samples.shape[-1])
        placed.append(Placed(wave, start / wave.sample_rate))
        start += wave.samples.shape[-1]
    return placed


def pieces(sound: Speech | Wave | Sequence[Wave]) -> tuple[Wave, ...]:
    """The waves of a speech, or those given. Raises ValueError where none were kept."""
    waves = sound.waves if isinstance(sound, Speech) else (sound,) if isinstance(sound, Wave) else tuple(sound)
    if not waves:
        raise ValueError("no waves to draw: a speech that was streamed into a file keeps none")
    return waves


def fade_samples(sound: Speech | Wave | Sequence[Wave], crossfade_ms: float | None = None) -> int:
    """Samples that neighbouring pieces share; a Speech knows its own."""
    if crossfade_ms is None:
        crossfade_ms = sound.recipe.crossfade_ms if isinstance(sound, Speech) else 0.0
    return round(crossfade_ms / 1000 * pieces(sound)[0].sample_rate)
