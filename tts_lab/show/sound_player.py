"""The player widget: sounds side by side, one of them heard at a time, and changed without a gap at the same position.

Axes: s samples, m mel bands, t mel frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from matplotlib import colormaps
from torch import Tensor

from tts_lab.audio.mel import MelSpec, log_mel
from tts_lab.show.labels import Label, mels_to_hz_ticks
from tts_lab.show.placing import fade_samples, place
from tts_lab.show.player import Player, player
from tts_lab.show.plots import COLOURS, FLOOR_DB, decibels
from tts_lab.types import Speech, Wave

STATIC = Path(__file__).parent / "static"
BANDS = 80
HIGHEST_HZ = 8000.0  # as the mel of `mini` and of HiFi-GAN; little of speech lies above

Sound = Speech | Wave | Player


class SoundPlayer(anywidget.AnyWidget):
    """Several sounds that play in step: the same sentence, spoken under several recipes.

    sounds: label -> sound; all are brought to the loudness of every player of the lab. A label of one letter is a key
    that chooses its sound, and so is its number. blind: draw nothing that could tell one sound from another, and send
    nothing to the browser that could. keys: further keys, given to the functions of `on_key`.

    Traits: chosen (index of the sound that is heard), playing, position (seconds, where playing last began or
    stopped), heard (for each sound, whether any of it has been heard).

    Raises ValueError without sounds.
    """

    _esm = STATIC / "sound_player.js"
    _css = STATIC / "sound_player.css"

    tracks = traitlets.List(traitlets.Dict()).tag(sync=True)
    blind = traitlets.Bool(False).tag(sync=True)
    forwarded = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int(0).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    position = traitlets.Float(0.0).tag(sync=True)
    heard = traitlets.List(traitlets.Bool()).tag(sync=True)
    loads = traitlets.Int(0).tag(sync=True)  # the same sounds again are a change too: none of them is heard yet

    def __init__(self, sounds: Mapping[str, Sound], blind: bool = False, keys: Sequence[str] = ()) -> None:
        self._listeners: list[Callable[[str], None]] = []
        self.pressed_on = 0  # the sound that was heard when a further key was pressed; `chosen` may come later
        tracks = _tracks(sounds, blind)
        super().__init__(tracks=tracks, blind=blind, forwarded=list(keys), heard=[False] * len(tracks))
        self.on_msg(self._receive)

    def __repr__(self) -> str:
        return f"SoundPlayer({', '.join(track['label'] for track in self.tracks)})"

    def load(self, sounds: Mapping[str, Sound]) -> None:
        """Other sounds in place of these, from the beginning, none of them heard yet."""
        tracks = _tracks(sounds, self.blind)
        with self.hold_sync():
            self.chosen, self.position, self.playing = 0, 0.0, False
            self.heard = [False] * len(tracks)
            self.tracks = tracks
            self.loads += 1

    def play(self) -> None:
        """Begin to play. A browser may refuse until its page was clicked once."""
        self.send({"do": "play"})

    def pause(self) -> None:
        self.send({"do": "pause"})

    def seek(self, second: float) -> None:
        self.send({"do": "seek", "second": second})

    def on_key(self, act: Callable[[str], None]) -> None:
        """Call `act` with each of the further keys that is pressed while the player has the focus."""
        self._listeners.append(act)

    def _receive(self, _: Any, message: Mapping[str, Any], __: Any) -> None:
        if message.get("key") in self.forwarded:
            self.pressed_on = message.get("chosen", self.chosen)
            for act in self._listeners:
                act(message["key"])


def sound_mel(samples: Tensor, sample_rate: int, loudest: float | None = None) -> tuple[np.ndarray, MelSpec]:
    """Mel of a sound for the eye: (s,) -> (m, t) in dB below its loudest, and the front end that made it.

    loudest: of several sounds on one scale, in natural logarithms; None: this sound's own.
    A sound too short for a frame gives no frames.
    """
    spec = eye_spec(sample_rate)
    if samples.shape[-1] < spec.shortest:
        return np.zeros((BANDS, 0), dtype=np.float32), spec
    values = log_mel(samples, spec)[0].numpy()
    return decibels(values, float(values.max()) if loudest is None else loudest), spec


def eye_spec(sample_rate: int) -> MelSpec:
    """The front end of mels for the eye: frames of about 46 ms every 12 ms at any sample rate, up to 8 kHz."""
    n_fft = 1 << round(np.log2(sample_rate * 0.0464))
    top = min(HIGHEST_HZ, sample_rate / 2)
    return MelSpec(sample_rate, BANDS, n_fft, n_fft, round(sample_rate * 256 / 22_050), fmax=top)


def _tracks(sounds: Mapping[str, Sound], blind: bool) -> list[dict[str, Any]]:
    if not sounds:
        raise ValueError("no sounds to play")
    return [_track(label, sound, blind) for label, sound in sounds.items()]


def _track(label: str, sound: Sound, blind: bool) -> dict[str, Any]:
    """What the browser gets of a sound. Where it is blind: the sound and its label."""
    heard = sound if isinstance(sound, Player) else player(sound)
    whole = (heard.samples.clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
    bare = {"label": label, "pcm": whole.astype("<i2").tobytes(), "rate": heard.sample_rate}
    return bare if blind else bare | _picture(heard) | {"words": [vars(word) for word in _words(sound)]}


def _picture(heard: Player) -> dict[str, Any]:
    values, spec = sound_mel(heard.samples, heard.sample_rate)
    return {
        "peak": float(heard.samples.abs().max()) if heard.samples.numel() else 0.0,
        "mel": np.round((values / -FLOOR_DB + 1) * 255).astype(np.uint8).tobytes(),
        "bands": values.shape[0] if values.shape[1] else 0,
        "frames": values.shape[1],
        "frame_seconds": spec.hop_length / spec.sample_rate,
        "ticks": [list(tick) for tick in mels_to_hz_ticks(BANDS, spec)],
        "colours": _colours(),
    }


def _words(sound: Sound) -> list[Label]:
    """What is said and when, where that is known; the browser has a font for it."""
    if isinstance(sound, Player) or (isinstance(sound, Speech) and not sound.waves):
        return []
    waves = sound.waves if isinstance(sound, Speech) else (sound,)
    return [word for placed in place(waves, fade_samples(sound)) for word in placed.labels(chinese=True)]


def _colours() -> bytes:
    """The 256 colours of every mel of the lab, three bytes each, the quietest first."""
    return (colormaps[COLOURS](np.arange(256))[:, :3] * 255).round().astype(np.uint8).tobytes()
