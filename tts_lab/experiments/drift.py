"""Whether a voice stays the same over a long text: pace, loudness and pitch of its pieces, and clicks between them.

What is just noticeable, and so the threshold of each verdict:

- pace 5 %: Quené (2007), On the just noticeable difference for tempo in speech, J. Phonetics 35, 353-362.
- loudness 1 dB: Florentine, Buus and Mason (1987), Level discrimination as a function of level for tones, J. Acoust.
  Soc. Am. 81, 1528-1541 (about 1 dB at moderate levels, one sound right after the other; minutes apart it is more). EBU
  R 128 allows live programmes the same 1 LU.
- pitch 1 semitone: below the 1.5 to 2 semitones by which most listeners tell pitch movements in speech apart ('t Hart,
  1981, Differential sensitivity to pitch distance, particularly in speech, J. Acoust. Soc. Am. 69, 811-821).

A text has a course of its own: questions are high, short sentences slow. To take it out, a text can be spoken a second
time with its pieces in the opposite order: what belongs to a piece is in both, what belongs to the time since the
beginning changes sign.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tts_lab.audio.clicks import CLICK_DB
from tts_lab.errors import LabError
from tts_lab.experiments.pieces import LOUDNESS, PACE, PITCH, Piece, measured
from tts_lab.experiments.trends import FEWEST, Trend, paired, trend
from tts_lab.pipeline import OnWave, speak
from tts_lab.recipe import Recipe
from tts_lab.types import Chunk, Request, System, Wave

if TYPE_CHECKING:
    from pandas import DataFrame

THRESHOLDS = {PACE: (5.0, "%"), LOUDNESS: (1.0, "dB"), PITCH: (1.0, "semitones")}
HEAD = (
    "", "first to last piece (95 %)", "a minute", "last third against first (95 %)", "pieces apart", "of it by chance",
)  # fmt: skip


@dataclass(frozen=True)
class Drift:
    """A long text, measured: every piece, and what follows from them.

    voice: its name; backwards: the same pieces once more, spoken in the opposite order; empty where that was not done.
    """

    voice: str
    pieces: tuple[Piece, ...]
    backwards: tuple[Piece, ...] = ()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Drift:
        pieces, backwards = (tuple(Piece(**piece) for piece in data[key]) for key in ("pieces", "backwards"))
        return cls(data["voice"], pieces, backwards)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "voice": self.voice,
            "pieces": [piece.to_dict() for piece in self.pieces],
            "backwards": [piece.to_dict() for piece in self.backwards],
        }

    @property
    def seconds(self) -> float:
        """Length of the joined sound."""
        return self.pieces[-1].start + self.pieces[-1].seconds if self.pieces else 0.0

    @cached_property
    def trends(self) -> dict[str, Trend]:
        """Of pace, loudness and pitch. Raises LabError where there are fewer than six pieces to tell from."""
        return {name: self._trend(name) for name in THRESHOLDS}

    def levels(self, name: str) -> tuple[list[Piece], list[float]]:
        """The pieces in which it was measured, and its levels: in dB, semitones or % from their own mean."""
        found = {piece: level for piece in self.pieces if (level := piece.level(name)) is not None}
        mean = sum(found.values()) / max(len(found), 1)
        return list(found), [level - mean for level in found.values()]

    def _trend(self, name: str) -> Trend:
        kept, levels = self.levels(name)
        if len(kept) < FEWEST:
            raise LabError(
                f"Drift is told from {FEWEST} pieces or more, and {name} could be measured in {len(kept)}; "
                "give a longer text."
            )
        threshold, unit = THRESHOLDS[name]
        found = trend(name, unit, threshold, [_middle(p) for p in kept], levels, [p.spoken for p in kept])
        return paired(found, self._pairs(name)) if self.backwards else found

    def _pairs(self, name: str) -> list[tuple[float, float, float, float, float]]:
        """(middle, level) of a piece in the text's order, the same in the opposite one, and seconds of speech."""
        pairs = zip(self.pieces, reversed(self.backwards), strict=True)
        kept = [(a, b, a.level(name), b.level(name)) for a, b in pairs]
        return [
            (_middle(a), x, _middle(b), y, a.spoken) for a, b, x, y in kept if x is not None and y is not None
        ]  # fmt: skip

    @property
    def clicking(self) -> tuple[Piece, ...]:
        """The pieces that begin with a click."""
        return tuple(p for p in self.pieces if p.click is not None and p.click > CLICK_DB)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Every verdict with its figures."""
        return (*(sentence for each in self.trends.values() for sentence in each.sentences), self._joints())

    def _joints(self) -> str:
        joints = [piece.click for piece in self.pieces if piece.click is not None]
        inside = [piece.loudest_inside for piece in self.pieces if piece.loudest_inside is not None]
        worst = f"; the sharpest stands out by {max(joints):.0f} dB" if joints else ""
        speech = f", the sharpest burst of the speech itself by {max(inside):.0f} dB" if inside else ""
        return f"clicks: {len(self.clicking)} of {len(joints)} joints{worst}, a click by {CLICK_DB:.0f} dB{speech}."

    def frame(self) -> DataFrame:
        """A row a piece. Raises LabError where pandas is not installed."""
        try:
            from pandas import DataFrame
        except ModuleNotFoundError:
            raise LabError("Tables need pandas, which is not installed; run ./lab install notebook.") from None
        return DataFrame([{**p.to_dict(), "pace": p.pace, "pace_with_pauses": p.pace_with_pauses} for p in self.pieces])

    def __repr__(self) -> str:
        verdicts = ", ".join(f"{name}: {each.verdict}" for name, each in self.trends.items())
        return f"Drift({self.voice}, {len(self.pieces)} pieces, {self.seconds:.0f} s; {verdicts})"

    def _repr_html_(self) -> str:
        rows = [HEAD, *(each.row for each in self.trends.values())]
        table = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        told = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.sentences)
        return f"<table>{table}</table><ul>{told}</ul>"


def drift(
    system: System, request: Request, recipe: Recipe | None = None, backwards: bool = True,
    on_wave: OnWave | None = None,
) -> Drift:  # fmt: skip
    """Speak a text and measure it on the way; the sound is kept nowhere.

    backwards: speak it a second time in the opposite order, which takes twice as long and tells smaller drifts from the
    course of the text. on_wave: called with each piece's Wave of the first time. Raises LabError where the request
    cannot be spoken.
    """
    recipe, voices = recipe or Recipe(), []
    fade = round(recipe.crossfade_ms / 1000 * system.sample_rate)
    waves = speak(system, request, recipe, on_prompt=lambda prompt: voices.append(prompt.voice))
    pieces = tuple(measured(_told(waves, on_wave), fade))
    other = speak(_Backwards(system), request, recipe) if backwards else ()  # type: ignore[arg-type]
    return Drift(voices[0], pieces, tuple(measured(other, fade)))


class _Backwards:
    """A system that takes the pieces of a text in the opposite order; the draws stay those of the place."""

    def __init__(self, system: System) -> None:
        self._system = system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        chunks = list(self._system.split(request, recipe))
        for place, chunk in zip(chunks, reversed(chunks), strict=True):
            yield replace(chunk, index=place.index, seed=place.seed)


def _middle(piece: Piece) -> float:
    return piece.start + piece.seconds / 2


def _told(waves: Iterator[Wave], on_wave: OnWave | None) -> Iterator[Wave]:
    for wave in waves:
        if on_wave:
            on_wave(wave)
        yield wave
