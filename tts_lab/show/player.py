"""Listening: a player for one sound, and several side by side at the same loudness."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tts_lab.audio import loudness
from tts_lab.types import Speech, Wave

LOUDNESS_LUFS = -23.0  # of every player: what is louder is taken for better


@dataclass(frozen=True, repr=False)
class Player:
    """A sound that a notebook can play. samples: (s,) float32, already at the loudness of all players."""

    samples: Tensor
    sample_rate: int
    title: str = ""

    @property
    def seconds(self) -> float:
        return self.samples.shape[-1] / self.sample_rate

    def __repr__(self) -> str:
        return f"Player({self.title + ', ' if self.title else ''}{self.seconds:.2f} s, {self.sample_rate} Hz)"

    def flac(self) -> bytes:
        """The sound as a FLAC file: lossless, half the size of WAV, played by every current browser."""
        import soundfile

        buffer = io.BytesIO()
        clipped = self.samples.clamp(-1, 1).numpy()
        soundfile.write(buffer, clipped, self.sample_rate, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        title = f"<div>{html.escape(self.title)}</div>" if self.title else ""
        sound = base64.b64encode(self.flac()).decode("ascii")
        return f'{title}<audio controls preload="auto" src="data:audio/flac;base64,{sound}"></audio>'


def player(sound: Speech | Wave, title: str = "") -> Player:
    """A player for a sound, its loudness matched to that of every other player."""
    samples = sound.samples[0] if isinstance(sound, Wave) else sound.samples
    matched = loudness.match(samples.detach().float().cpu(), sound.sample_rate, LOUDNESS_LUFS)
    return Player(matched, sound.sample_rate, title)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Several speeches in a table, each with its player, its evaluations and its cost."""

    speeches: Mapping[str, Speech]

    def __repr__(self) -> str:
        width = max(len(title) for title in self.speeches)
        return "\n".join(
            f"{title:<{width}}  {s.receipt.voice}, {s.receipt.evaluations} evaluations, {s.receipt.audio_seconds:.2f} s"
            for title, s in self.speeches.items()
        )

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("", "voice", "evaluations", "real-time factor", "listen"))
        rows = "".join(self._row(title, speech) for title, speech in self.speeches.items())
        return f"<table><tr>{head}</tr>{rows}</table>"

    def _row(self, title: str, speech: Speech) -> str:
        receipt = speech.receipt
        return (
            f"<tr><th>{html.escape(title)}</th><td>{html.escape(receipt.voice)}</td><td>{receipt.evaluations}</td>"
            f'<td class="measured">{receipt.real_time_factor:.3f}</td><td>{player(speech)._repr_html_()}</td></tr>'
        )


def side_by_side(speeches: Mapping[str, Speech]) -> Comparison:
    """A table of speeches by title, for the ear and the eye."""
    if not speeches:
        raise ValueError("no speeches to compare")
    return Comparison(dict(speeches))
