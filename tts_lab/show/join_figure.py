"""How two pieces of speech are joined, as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from tts_lab.audio.join import concatenate, crossfade
from tts_lab.audio.joints import Joint, gains, joints
from tts_lab.show.plots import BLUE, GREEN, ORANGE, Picture, quiet
from tts_lab.types import Speech

SHADE = "#E4E4E4"


def speech_joints(speech: Speech) -> tuple[Joint, ...]:
    """Where the pieces of a speech meet."""
    return joints([wave.samples[0] for wave in speech.waves], _fade(speech), speech.sample_rate)


def join_figure(speech: Speech, number: int = 0, around: float = 0.015) -> Picture:
    """Above: the two pieces where they lie in the joined sound. Below: the moment at which they meet, with the gains
    of both, and what comes of it.

    number: of the joint; around: seconds that are drawn below on either side of the overlap. Raises ValueError where
    there is no such joint.
    """
    found = speech_joints(speech)
    if not 0 <= number < len(found):
        raise ValueError(f"there are {len(found)} joints, counted from 0: none is number {number}")
    joint = found[number]
    figure = Picture(figsize=(10, 4.6), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 1.1))
    _draw_whole(figure.add_subplot(grid[0, :]), speech, number, joint)
    _draw_apart(figure.add_subplot(grid[1, 0]), speech, number, joint, around)
    _draw_joined(figure.add_subplot(grid[1, 1]), speech, joint, around)
    return figure


def _draw_whole(axes: Axes, speech: Speech, number: int, joint: Joint) -> None:
    left, right = _pieces(speech, number)
    rate = speech.sample_rate
    before = joint.start + joint.overlap - len(left) / rate
    axes.plot(before + np.arange(len(left)) / rate, left, color=BLUE, linewidth=0.6, label="the piece before")
    axes.plot(joint.start + np.arange(len(right)) / rate, right, color=ORANGE, linewidth=0.6, label="the piece after")
    axes.axvspan(joint.start, joint.start + joint.overlap, color=SHADE, zorder=0)
    axes.set(xlabel="seconds", ylabel="amplitude")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=9)
    quiet(axes)


def _draw_apart(axes: Axes, speech: Speech, number: int, joint: Joint, around: float) -> None:
    left, right = _pieces(speech, number)
    rate = speech.sample_rate
    shared, beside = round(joint.overlap * rate), round(around * rate)
    left, right = left[-shared - beside :], right[: shared + beside]
    axes.plot(1000 * (np.arange(len(left)) - len(left) + shared) / rate, left, color=BLUE, linewidth=0.9)
    axes.plot(1000 * np.arange(len(right)) / rate, right, color=ORANGE, linewidth=0.9)
    limit = _window(axes, "apart; dashed: gains from 0 to 1", np.concatenate([left, right]), joint, around)
    at = 1000 * (np.arange(shared) + 0.5) / rate
    for gain, colour in zip(gains(shared), (BLUE, ORANGE), strict=True):
        axes.plot(at, limit * gain.numpy(), color=colour, linestyle="--", linewidth=1.3)


def _draw_joined(axes: Axes, speech: Speech, joint: Joint, around: float) -> None:
    rate = speech.sample_rate
    whole = concatenate(crossfade((wave.samples[0] for wave in speech.waves), _fade(speech))).numpy()
    first = max(0, round((joint.start - around) * rate))
    near = whole[first : round((joint.start + joint.overlap + around) * rate)]
    axes.plot(1000 * ((first + np.arange(len(near))) / rate - joint.start), near, color=GREEN, linewidth=0.9)
    _window(axes, "joined", near, joint, around)


def _window(axes: Axes, title: str, near: NDArray[np.float32], joint: Joint, around: float) -> float:
    limit = max(1.15 * float(np.abs(near).max()), 1e-5)
    axes.axvspan(0, 1000 * joint.overlap, color=SHADE, zorder=0)
    axes.set_title(title, loc="left", fontsize=9.5)
    axes.set_xlim(-1000 * around, 1000 * (around + joint.overlap))
    axes.set_ylim(-limit, limit)
    axes.set_xlabel("milliseconds from the beginning of the overlap")
    quiet(axes)
    return limit / 1.15


def _pieces(speech: Speech, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return speech.waves[number].samples[0].numpy(), speech.waves[number + 1].samples[0].numpy()


def _fade(speech: Speech) -> int:
    return round(speech.recipe.crossfade_ms / 1000 * speech.sample_rate)
