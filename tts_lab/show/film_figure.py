"""The film of a solver as a strip of pictures and a curve, and as something to scrub through.

Axes: m mel bands, t mel frames.
"""

from __future__ import annotations

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tts_lab.audio.mel import MEL_22K, MelSpec
from tts_lab.experiments.film import Array, Film
from tts_lab.show.labels import mels_to_hz_ticks
from tts_lab.show.plots import BLUE, COLOURS, FLOOR_DB, INK, ORANGE, Picture, quiet
from tts_lab.show.sound_player import SoundPlayer

MOST = 6  # pictures of a strip: more are too small to read
HEADING, STATE = "where it heads", "what it holds"


def film_figure(film: Film, spec: MelSpec = MEL_22K) -> Picture:
    """A strip of steps, at most `MOST`: above, what the solver holds; below, the mel it would reach if it went straight
    on. Under it, how far that mel moved with each step, and how far it was from the finished one.

    spec: the front end of the mel, which gives the hertz of its bands.
    """
    shown = _chosen(len(film.frames))
    figure = Picture(figsize=(11, 6.6), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(3, len(shown), height_ratios=(1, 1, 1.15))
    for column, index in enumerate(shown):
        frame = film.frames[index]
        upper, lower = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
        _draw(upper, film, frame.state, spec, column == 0)
        image = _draw(lower, film, frame.heading, spec, column == 0)
        upper.set_title(f"step {frame.step}, t = {frame.t:.2f}", fontsize=9)
        lower.set_xlabel("s", fontsize=8)
        upper.tick_params(labelbottom=False)
    figure.axes[0].set_ylabel(f"{STATE}\nHz", fontsize=9)
    figure.axes[1].set_ylabel(f"{HEADING}\nHz", fontsize=9)
    figure.colorbar(image, ax=figure.axes, label="level (dB)", shrink=0.5, anchor=(0, 1))
    _draw_curve(figure.add_subplot(grid[2, :]), film)
    return figure


def frame_figure(film: Film, index: int, spec: MelSpec = MEL_22K) -> Picture:
    """One step at full width, with its place on the curve."""
    frame = film.frames[index]
    figure = Picture(figsize=(10, 4.8), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.5, 1))
    for column, (values, name) in enumerate(((frame.state, STATE), (frame.heading, HEADING))):
        axes = figure.add_subplot(grid[0, column])
        image = _draw(axes, film, values, spec, column == 0)
        axes.set(title=f"{name} after step {frame.step}, t = {frame.t:.2f}", xlabel="seconds")
    figure.axes[0].set_ylabel("frequency (Hz, mel scale)")
    figure.colorbar(image, ax=figure.axes, label="level (dB)")
    curve = figure.add_subplot(grid[1, :])
    _draw_curve(curve, film)
    curve.axvline(frame.evaluations, color=INK, linewidth=1)
    return figure


class FilmPlayer(widgets.VBox):
    """A film to scrub through with a slider or to let run, and the finished sound below it."""

    def __init__(self, film: Film, spec: MelSpec = MEL_22K) -> None:
        self.film, self.spec = film, spec
        self._drawn: dict[int, bytes] = {}
        last = len(film.frames) - 1
        self.run = widgets.Play(value=last, min=0, max=last, interval=500, description="run")
        self.step = widgets.IntSlider(last, 0, last, description="step", readout_format="d", layout={"width": "60%"})
        widgets.jslink((self.run, "value"), (self.step, "value"))
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="100%"))
        self.step.observe(self._show, "value")
        self.sound = SoundPlayer({f"after step {last + 1}": film.speech})
        super().__init__([widgets.HBox([self.run, self.step]), self.picture, self.sound])
        self.add_class("tts-lab-film")
        self._show()

    def __repr__(self) -> str:
        return f"FilmPlayer({len(self.film.frames)} steps)"

    def _show(self, _: object = None) -> None:
        index = self.step.value
        if index not in self._drawn:
            self._drawn[index] = frame_figure(self.film, index, self.spec)._repr_png_()
        self.picture.value = self._drawn[index]


def _chosen(steps: int) -> list[int]:
    """Steps to show: all where they fit, else the first, the last and some between."""
    return sorted({round(i) for i in np.linspace(0, steps - 1, min(steps, MOST))})


def _draw(axes: Axes, film: Film, values: Array, spec: MelSpec, ticks: bool) -> object:
    mel = film.speech.waves[0].mel
    seconds = values.shape[1] * mel.hop_length / mel.sample_rate
    image = axes.imshow(values, origin="lower", aspect="auto", cmap=COLOURS, vmin=FLOOR_DB, vmax=0,
                        interpolation="nearest", extent=(0, seconds, 0, values.shape[0]))  # fmt: skip
    marks = mels_to_hz_ticks(values.shape[0], spec) if ticks else []
    axes.set_yticks([band for band, hertz in marks if hertz != 250], [f"{h:,}" for _, h in marks if h != 250])
    axes.tick_params(labelsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    return image


def _draw_curve(axes: Axes, film: Film) -> None:
    at = [frame.evaluations for frame in film.frames]
    axes.plot(at, film.left, marker="o", color=BLUE, label="distance of that mel from the finished one")
    axes.plot(at[1:], film.changes, marker="s", color=ORANGE, linestyle="--", label="change by this step")
    axes.set(xlabel="evaluations of the model", ylabel="RMS over all bins (dB)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    quiet(axes)
