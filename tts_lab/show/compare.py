"""Two renderings of one text: their mels, the difference between them, and both to hear.

Axes: m mel bands, t mel frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes

from tts_lab.audio.mel import MelSpec, log_mel
from tts_lab.audio.resample import resample
from tts_lab.experiments.distances import Distance, distance, features
from tts_lab.show.labels import mels_to_hz_ticks
from tts_lab.show.placing import fade_samples, pieces, place
from tts_lab.show.player import player
from tts_lab.show.plots import COLOURS, FLOOR_DB, MOST_LABELS, Picture, chinese_font, draw_label
from tts_lab.show.sound_player import SoundPlayer, eye_spec, sound_mel
from tts_lab.types import Speech

RANGE_DB = 20.0  # of the difference's colours: more is drawn as this
DIFFERENCE = "PuOr"  # two hues that every kind of colour-blindness tells apart, white between


def difference_figure(speeches: Mapping[str, Speech]) -> Picture:
    """Mels of two sounds at equal loudness, and the second less the first, in dB; below them the syllables.

    speeches: two of them, by title. Where the sounds differ in length, the difference is of what both have, from the
    beginning on: the title says so. Raises ValueError for another number of speeches.
    """
    (first, a), (second, b) = _two(speeches)
    mels, spec, second_of = _mels(a, b)
    figure = Picture(figsize=(10, 7), layout="constrained", facecolor="white")
    rows = figure.subplots(3, 1, sharex=True)
    for axes, values, title in zip(rows, mels, (first, second), strict=False):
        image = _draw(axes, values, spec, title, COLOURS, FLOOR_DB, 0)
    figure.colorbar(image, ax=rows[:2], label="level (dB)", aspect=30)
    length = min(values.shape[1] for values in mels)
    apart = mels[1][:, :length] - mels[0][:, :length]
    image = _draw(rows[2], apart, spec, _title(first, second, mels), DIFFERENCE, -RANGE_DB, RANGE_DB)
    figure.colorbar(image, ax=rows[2], label="difference (dB)", aspect=15, extend="both")
    _label(rows[2], a)
    rows[0].set_xlim(0, max(values.shape[1] for values in mels) * second_of)
    return figure


def difference(speeches: Mapping[str, Speech]) -> dict[str, Any]:
    """How far the second of two speeches is from the first: RMS of the mels' difference (dB), mel-cepstral distance
    (dB), error of the fundamental frequency (cents), lengths (s). See `experiments.distances`."""
    (_, a), (_, b) = _two(speeches)
    mels, _, _ = _mels(a, b)
    length = min(values.shape[1] for values in mels)
    found: Distance = distance(features(b.samples, b.sample_rate), features(a.samples, a.sample_rate))
    return {
        "mel_rms_db": float(np.sqrt(((mels[1][:, :length] - mels[0][:, :length]) ** 2).mean())),
        "mel_cepstral_db": found.mel_cepstral, "f0_cents": found.f0_cents,
        "seconds": (a.receipt.audio_seconds, b.receipt.audio_seconds), "alignment": found.alignment,
    }  # fmt: skip


class MelComparer(widgets.VBox):
    """Choose two of several renderings: their mels, the difference, its figures, and a player of all.

    speeches: two or more, by title. Raises ValueError for fewer.
    """

    def __init__(self, speeches: Mapping[str, Speech]) -> None:
        if len(speeches) < 2:
            raise ValueError("two speeches or more are needed for a comparison")
        self.speeches = dict(speeches)
        titles = list(speeches)
        self.first = widgets.Dropdown(options=titles, value=titles[0], description="from")
        self.second = widgets.Dropdown(options=titles, value=titles[-1], description="to")
        self.figures = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="100%"))
        self.sound = SoundPlayer(speeches)
        self._drawn: dict[tuple[str, str], tuple[str, bytes]] = {}
        for box in (self.first, self.second):
            box.observe(self._show, "value")
        super().__init__([self.sound, widgets.HBox([self.first, self.second, self.figures]), self.picture])
        self._show()

    def __repr__(self) -> str:
        return f"MelComparer({', '.join(self.speeches)})"

    def _show(self, _: object = None) -> None:
        pair = self.first.value, self.second.value
        alike = pair[0] == pair[1]
        self.picture.layout.display = "none" if alike else "block"
        if alike:
            self.figures.value = "Choose two that differ."
            return
        if pair not in self._drawn:
            chosen = {title: self.speeches[title] for title in pair}
            self._drawn[pair] = _in_words(difference(chosen)), difference_figure(chosen)._repr_png_()
        self.figures.value, self.picture.value = self._drawn[pair]


def _in_words(found: Mapping[str, Any]) -> str:
    cepstral, pitch = found["mel_cepstral_db"], found["f0_cents"]
    told = [f"mel RMS {found['mel_rms_db']:.2f} dB"]
    told += [f"mel-cepstral distance {cepstral:.2f} dB"] if cepstral is not None else []
    told += [f"pitch {pitch:.0f} cents"] if pitch is not None else []
    return ", ".join(told)


def _two(speeches: Mapping[str, Speech]) -> tuple[tuple[str, Speech], tuple[str, Speech]]:
    if len(speeches) != 2:
        raise ValueError(f"a difference is of two speeches, not {len(speeches)}")
    first, second = speeches.items()
    return first, second


def _mels(a: Speech, b: Speech) -> tuple[tuple[np.ndarray, np.ndarray], MelSpec, float]:
    """Both mels (m, t) in dB below the louder's loudest, at equal loudness and one sample rate; seconds of a frame."""
    rate = min(a.sample_rate, b.sample_rate)
    sounds, spec = [resample(player(s).samples, s.sample_rate, rate) for s in (a, b)], eye_spec(rate)
    loudest = max(float(log_mel(sound, spec).max()) for sound in sounds)
    one, other = (sound_mel(sound, rate, loudest)[0] for sound in sounds)
    return (one, other), spec, spec.hop_length / rate


def _draw(axes: Axes, values: np.ndarray, spec: MelSpec, title: str, colours: str, low: float, high: float) -> Any:
    seconds = values.shape[1] * spec.hop_length / spec.sample_rate
    image = axes.imshow(values, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high,
                        interpolation="nearest", extent=(0, seconds, 0, values.shape[0]))  # fmt: skip
    ticks = mels_to_hz_ticks(values.shape[0], spec)
    axes.set_yticks([band for band, _ in ticks], [f"{hertz:,}" for _, hertz in ticks], fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_ylabel("Hz")
    return image


def _title(first: str, second: str, mels: tuple[np.ndarray, np.ndarray]) -> str:
    lengths = {values.shape[1] for values in mels}
    cut = "" if len(lengths) == 1 else "; of different lengths, compared from the beginning, not aligned"
    return f"{second} less {first}{cut}"


def _label(axes: Axes, speech: Speech) -> None:
    """The syllables of a speech below the axes, with its seconds."""
    axes.set_xlabel("seconds")
    waves = pieces(speech) if speech.waves else ()
    font = chinese_font()
    found = [w for p in place(waves, fade_samples(speech)) for w in p.labels(font is not None)] if waves else []
    if found and len(found) <= MOST_LABELS:
        axes.tick_params(axis="x", pad=16)
        for word in found:
            draw_label(axes, word, font)
