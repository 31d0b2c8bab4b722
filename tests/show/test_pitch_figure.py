"""Pitch over time as it is drawn."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tts_lab.show.pitch_figure import pitch_figure

RATE = 22_050


def hum(hertz, seconds=0.6):
    t = torch.arange(round(seconds * RATE)) / RATE
    sound = sum(torch.sin(2 * torch.pi * hertz * k * t) / k for k in range(1, 12))
    return SimpleNamespace(samples=0.1 * sound, sample_rate=RATE)


def test_a_higher_voice_lies_above_the_first_by_its_semitones():
    figure = pitch_figure({"low": hum(150), "high": hum(150 * 2 ** (4 / 12))})
    assert [axes.get_ylabel() for axes in figure.axes] == ["low", "high"]
    shown = figure.axes[1].lines
    assert np.nanmedian(shown[0].get_ydata()) == pytest.approx(0, abs=0.1)  # the first again
    assert np.nanmedian(shown[1].get_ydata()) == pytest.approx(4, abs=0.2)


def test_nothing_and_silence_are_refused():
    with pytest.raises(ValueError, match="no speech"):
        pitch_figure({})
    with pytest.raises(ValueError, match="no voice"):
        pitch_figure({"silence": SimpleNamespace(samples=torch.zeros(RATE), sample_rate=RATE)})
