"""Pitch over time, of the same text said in several ways."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np

from tts_lab.audio.mel import MEL_22K
from tts_lab.audio.pitch import HIGHEST_LIVELY, fundamental
from tts_lab.audio.resample import resample
from tts_lab.show.plots import BLUE, GREEN, INK, ORANGE, PINK, SOFT, Picture, quiet
from tts_lab.types import Speech

COLOURS = (INK, ORANGE, BLUE, PINK, GREEN, SOFT)
LINE_HEIGHT = 1.15  # inches


def pitch_figure(spoken: Mapping[str, Speech]) -> Picture:
    """A row for each way: its pitch by pYIN in semitones from the first one's median, the first one's in grey.

    spoken: title -> speech. Raises ValueError where there is none, or the first has no voice in it.
    """
    if not spoken:
        raise ValueError("no speech to draw the pitch of")
    tracks = {title: _pitch(speech) for title, speech in spoken.items()}
    first = next(iter(tracks.values()))
    if np.isnan(first).all():
        raise ValueError("the first sound has no voice to compare with")
    median = np.nanmedian(first)
    figure = Picture(figsize=(9, 0.7 + LINE_HEIGHT * len(tracks)), layout="constrained", facecolor="white")
    rows = figure.subplots(len(tracks), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (title, track), colour in zip(rows, tracks.items(), cycle(COLOURS)):
        if track is not first:
            axes.plot(_seconds(first), first - median, color="#cccccc", linewidth=1.2)
        axes.plot(_seconds(track), track - median, color=colour, linewidth=1.8)
        axes.axhline(0, color="#dddddd", linewidth=0.8, zorder=0)
        axes.set_ylabel(title, rotation=0, ha="right", va="center")
        quiet(axes)
    rows[-1].set_xlabel("time (s)")
    figure.supylabel("pitch, semitones from the median of the first", fontsize=9)
    return figure


def _pitch(speech: Speech) -> np.ndarray:
    """(t,) semitones above 1 Hz, NaN where there is no voice."""
    sound = resample(speech.samples, speech.sample_rate, MEL_22K.sample_rate)
    found: np.ndarray = 12 * np.log2(fundamental(sound, HIGHEST_LIVELY))
    return found


def _seconds(track: np.ndarray) -> np.ndarray:
    return np.arange(len(track)) * MEL_22K.hop_length / MEL_22K.sample_rate
