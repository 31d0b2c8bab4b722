"""From a wave to a mel spectrogram, drawn with librosa: what each step keeps, what a front end decides.

Axes: s samples, f frequency bins, m mel bands, t frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tts_lab.audio.mel import MelSpec, log_mel, magnitude, mel_filters
from tts_lab.audio.pitch import HIGHEST, LOWEST, fundamental
from tts_lab.audio.resample import resample
from tts_lab.show.compare import label_seconds
from tts_lab.show.plots import BLUE, COLOURS, FLOOR_DB, INK, ORANGE, SOFT, Picture, decibels, quiet
from tts_lab.types import Speech


def from_wave_to_mel(speech: Speech, spec: MelSpec) -> Picture:
    """Waveform, spectrum over time and mel of one sound, one below the other; syllables under the last.

    Raises ValueError where the speech has another sample rate than the front end.
    """
    import librosa.display

    sound = _sound(speech, spec)
    figure = Picture(figsize=(10, 7.4), layout="constrained", facecolor="white")
    rows = figure.subplots(3, 1, sharex=True, height_ratios=(0.7, 1.3, 1.3))
    librosa.display.waveshow(sound.numpy(), sr=spec.sample_rate, ax=rows[0], color=BLUE)
    rows[0].set(ylabel="amplitude", title="the wave: air pressure", xlabel="")
    spectrum = magnitude(sound[None], spec)[0].log().numpy()
    _spec(rows[1], spectrum, spec, "linear", f"its spectrum: {len(spectrum)} frequencies in every frame")
    mel = log_mel(sound, spec)[0].numpy()
    image = _spec(rows[2], mel, spec, "mel", f"its mel spectrogram: {len(mel)} bands, as wide as the ear's")
    figure.colorbar(image, ax=rows[1:], label="level (dB)")
    label_seconds(rows[2], speech)
    return figure


def filters_figure(spec: MelSpec, every: int = 8) -> Picture:
    """The triangles of a mel front end over hertz, every eighth of them: narrow below, wide above, of equal area."""
    figure = Picture(figsize=(10, 2.4), layout="constrained", facecolor="white")
    axes, bank = figure.add_subplot(), mel_filters(spec).numpy()
    hertz = np.linspace(0, spec.sample_rate / 2, bank.shape[1])
    for band in range(0, len(bank), every):
        axes.plot(hertz, bank[band], color=(BLUE, ORANGE)[band // every % 2], linewidth=1)
    axes.set(xlabel="frequency (Hz)", yticks=[], title=f"every {every}th of {len(bank)} bands", xlim=(0, hertz[-1]))
    quiet(axes, "left")
    return figure


def front_ends_figure(speech: Speech, specs: Mapping[str, MelSpec]) -> Picture:
    """One sound through several front ends. Each has its own bands, frames and scale, which its vocoder was taught."""
    figure = Picture(figsize=(10, 2.5 * len(specs)), layout="constrained", facecolor="white")
    rows = figure.subplots(len(specs), 1, squeeze=False)[:, 0]
    for axes, (name, spec) in zip(rows, specs.items(), strict=True):
        values = log_mel(_sound(speech, spec), spec)[0].numpy()
        image = axes.imshow(values, origin="lower", aspect="auto", cmap=COLOURS, interpolation="nearest",
                            extent=(0, _seconds(values, spec), 0, len(values)))  # fmt: skip
        axes.set(title=f"{name}: {values.shape[0]} bands, {values.shape[1]} frames", ylabel="band")
        figure.colorbar(image, ax=axes, label="ln" if spec.scale == "ln" else "0 to 1")
    rows[-1].set_xlabel("seconds")
    return figure


def pitch_figure(speech: Speech, spec: MelSpec) -> Picture:
    """The fundamental frequency over the low end of the spectrum, with the syllables: where Mandarin's tones are."""
    sound = _sound(speech, spec)
    figure = Picture(figsize=(10, 3.4), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    spectrum = magnitude(sound[None], spec)[0].log().numpy()
    _spec(axes, spectrum, spec, "linear", "pitch (pYIN) over the spectrum below 500 Hz")
    f0 = fundamental(resample(sound, spec.sample_rate, 22_050))
    axes.plot(np.arange(len(f0)) * 256 / 22_050, f0, color=INK, linewidth=3)
    axes.plot(np.arange(len(f0)) * 256 / 22_050, f0, color=ORANGE, linewidth=1.6)
    axes.set_ylim(0, HIGHEST)
    axes.axhline(LOWEST, color=SOFT, linestyle=":", linewidth=1)
    label_seconds(axes, speech)
    return figure


def _seconds(values: np.ndarray, spec: MelSpec) -> float:
    return values.shape[1] * spec.hop_length / spec.sample_rate


def _sound(speech: Speech, spec: MelSpec) -> Any:
    return resample(speech.samples.detach().float().cpu(), speech.sample_rate, spec.sample_rate)


def _spec(axes: Axes, values: np.ndarray, spec: MelSpec, scale: str, title: str) -> Any:
    """A log spectrogram with librosa's axes."""
    import librosa.display

    image = librosa.display.specshow(
        decibels(values, float(values.max())), sr=spec.sample_rate, hop_length=spec.hop_length, n_fft=spec.n_fft,
        fmin=spec.fmin, fmax=spec.fmax or spec.sample_rate / 2, x_axis="time", y_axis=scale, ax=axes, cmap=COLOURS,
        vmin=FLOOR_DB, vmax=0,
    )  # fmt: skip
    axes.set(ylabel="frequency (Hz)", xlabel="", title=title)
    return image
