"""Figures: waveform and mel spectrogram with the syllables below, and where the seconds of a receipt went.

Axes: m mel bands, t mel frames, s samples.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tts_lab.audio.join import concatenate, crossfade
from tts_lab.audio.mel import MEL_22K, MelSpec
from tts_lab.errors import OutputError
from tts_lab.receipt import Receipt
from tts_lab.show.labels import Label, mels_to_hz_ticks
from tts_lab.show.placing import Placed, fade_samples, pieces, place
from tts_lab.types import NEPER, Mel, Speech, Wave

PICTURES = (".png", ".svg", ".pdf")
FLOOR_DB = -70.0
COLOURS = "BuPu"  # of every mel: light to dark, told apart by the colour-blind and in grey
MOST_LABELS = 48  # more do not fit under a figure of this width
INK, SOFT = "#222222", "#8a8a8a"
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#BBBBBB"  # Okabe and Ito, 2008
COLOUR = {"speaker": PINK, "semantic": ORANGE, "acoustic": BLUE, "vocoder": GREEN}
CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "PingFang SC", "Hiragino Sans GB",
    "Microsoft YaHei", "SimHei", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Arial Unicode MS",
)  # fmt: skip


BUNDLED_FONT = Path(__file__).parent / "static" / "DroidSansFallback-GB2312.ttf"


class Picture(Figure):
    """A figure that shows itself in a notebook without pyplot, so that nothing is left open."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def mel_figure(
    speech: Speech | Wave | Sequence[Wave], spec: MelSpec = MEL_22K, crossfade_ms: float | None = None
) -> Picture:
    """Waveform above, mel spectrogram below, on one time axis, with the syllables that the durations stand for.

    speech: a finished Speech, one Wave, or several in order. spec: the front end of the mel, which gives the hertz of
    its bands. crossfade_ms: overlap of the pieces; a Speech knows its own.
    """
    waves, fade = pieces(speech), fade_samples(speech, crossfade_ms)
    figure = Picture(figsize=(10, 4.6), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 2.6), width_ratios=(60, 1))
    upper = figure.add_subplot(grid[0, 0])
    lower = figure.add_subplot(grid[1, 0], sharex=upper)
    _draw_wave(upper, waves, fade)
    image = _draw_mel(lower, placed := place(waves, fade), spec)
    figure.colorbar(image, cax=figure.add_subplot(grid[1, 1]), label=level_label(waves[0].mel))
    _draw_labels(lower, placed)
    return figure


def receipt_figure(receipt: Receipt) -> Picture:
    """One bar: the seconds of each stage, against the length of the sound."""
    figure = Picture(figsize=(10, 2.1), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    rest = max(receipt.wall_seconds - sum(receipt.stages.values()), 0.0)
    left = 0.0
    for name, seconds in {**receipt.stages, "text and joining": rest}.items():
        axes.barh(0, seconds, left=left, color=COLOUR.get(name, GREY), label=f"{name} {seconds:.2f} s", height=0.7)
        left += seconds
    axes.axvline(receipt.audio_seconds, color=INK, linestyle="--", linewidth=1.2, label="length of the sound")
    axes.set(yticks=[], xlabel="seconds of work", ylim=(-0.5, 0.5))
    axes.set_xlim(0, 1.05 * max(left, receipt.audio_seconds))
    quiet(axes, "left")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9)
    return figure


def check_picture(path: str | Path) -> None:
    """Raise the OutputError that `save` would raise, before the work is done."""
    path = Path(path)
    if path.suffix.lower() not in PICTURES:
        raise OutputError(f"{path} does not end in {', '.join(PICTURES)}; name the picture with one of these.")
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it, such as {path / 'mel.png'}.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"There is no folder {path.parent}; make it first, or write somewhere else.")
    part = _part(path)
    try:
        part.touch()
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
    part.unlink()


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; the file appears when it is complete. Raises OutputError where it cannot be written."""
    path = Path(path)
    check_picture(path)
    part = _part(path)
    try:
        figure.savefig(part, format=path.suffix[1:].lower(), dpi=150)
        os.replace(part, path)
    except OSError as error:
        raise OutputError(f"{path} could not be written ({error.strerror}); check the space on that disk.") from error
    finally:
        with suppress(OSError):
            part.unlink()


def chinese_font() -> str | None:
    """Name of an installed font with Chinese characters; where there is none, the one that comes with the lab.

    That one has the 7,445 characters of GB 2312. None where it cannot be read.
    """
    installed = {font.name for font in font_manager.fontManager.ttflist}
    found = next((name for name in CHINESE_FONTS if name in installed), None)
    return found or _bundled_font()


@cache
def _bundled_font() -> str | None:
    try:
        font_manager.fontManager.addfont(BUNDLED_FONT)
        return font_manager.FontProperties(fname=BUNDLED_FONT).get_name()
    except (OSError, RuntimeError):
        return None


def decibels(values: np.ndarray, loudest: float, unit: float = NEPER) -> np.ndarray:
    """Log-mel (m, t) -> dB below `loudest`, not lower than `FLOOR_DB`. unit: dB of one unit of either."""
    return np.maximum((values - loudest) * unit, FLOOR_DB)


def level_label(mel: Mel) -> str:
    """What the colours of a mel stand for."""
    return "level (the model's own scale)" if mel.decibels is None else "level (dB)"


def _draw_wave(axes: Axes, waves: Sequence[Wave], fade: int) -> None:
    samples = concatenate(crossfade((wave.samples[0].float().cpu() for wave in waves), fade)).numpy()
    seconds = np.arange(samples.size) / waves[0].sample_rate
    step = max(1, samples.size // 4000)  # lows and highs of short stretches: drawing every sample hides the same
    usable = samples[: samples.size // step * step].reshape(-1, step)
    axes.fill_between(seconds[: usable.size : step], usable.min(1), usable.max(1), color=BLUE, linewidth=0.4)
    limit = max(1.05 * float(np.abs(samples).max()), 1e-3)
    axes.set(ylabel="amplitude", ylim=(-limit, limit), xlim=(0, samples.size / waves[0].sample_rate))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.tick_params(labelbottom=False, bottom=False)
    quiet(axes, "bottom")


def _draw_mel(axes: Axes, placed: list[Placed], spec: MelSpec) -> Any:
    loudest = max(float(p.wave.mel.values.max()) for p in placed)
    quietest = min(float(p.wave.mel.values.min()) for p in placed)
    unit = placed[0].wave.mel.decibels
    low, high = (quietest, loudest) if unit is None else (FLOOR_DB, 0.0)
    for p in placed:
        values = p.wave.mel.values[0].float().cpu().numpy()
        end = p.start + values.shape[1] * p.wave.mel.hop_length / p.wave.mel.sample_rate
        image = axes.imshow(
            values if unit is None else decibels(values, loudest, unit),
            origin="lower",
            aspect="auto",
            cmap=COLOURS,
            vmin=low,
            vmax=max(high, low + 1e-6),
            interpolation="nearest",
            extent=(p.start, end, 0, values.shape[0]),
        )
    ticks = mels_to_hz_ticks(values.shape[0], spec)
    axes.set_yticks([band for band, _ in ticks], [f"{hertz:,}" for _, hertz in ticks])
    axes.set(ylabel="frequency (Hz, mel scale)", ylim=(0, values.shape[0]))
    axes.set_xlim(0, placed[-1].start + placed[-1].wave.seconds)
    quiet(axes)
    return image


def _draw_labels(axes: Axes, placed: list[Placed]) -> None:
    font = chinese_font()
    found = [label for p in placed for label in p.labels(chinese=font is not None)]
    axes.set_xlabel("seconds")
    if not found or len(found) > MOST_LABELS:
        return
    axes.xaxis.set_ticks_position("bottom")
    axes.tick_params(axis="x", pad=16)  # room for the syllables between the picture and the seconds
    for label in found:
        draw_label(axes, label, font)


def draw_label(axes: Axes, label: Label, font: str | None) -> None:
    blended = axes.get_xaxis_transform()  # x in seconds, y as a share of the axes
    family = [font, "DejaVu Sans"] if font else ["DejaVu Sans"]
    axes.text(
        (label.start + label.end) / 2,
        -0.02,
        label.text,
        transform=blended,
        ha="center",
        va="top",
        family=family,
        fontsize=10 if font else 8,
        color=INK,
    )
    for edge in (label.start, label.end):
        axes.plot([edge] * 2, [0, -0.03], transform=blended, color=SOFT, linewidth=0.8, clip_on=False)


def quiet(axes: Axes, *also: str) -> None:
    """Take away the frame of a figure above and to the right, and on the sides that are named."""
    axes.spines[["top", "right", *also]].set_visible(False)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
