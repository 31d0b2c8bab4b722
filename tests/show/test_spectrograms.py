from __future__ import annotations

import numpy as np
import pytest
import torch

from tts_lab import Recipe, say
from tts_lab.audio.mel import MEL_16K_SAMBERT, MEL_22K, MEL_22K_FULL, log_mel
from tts_lab.show.spectrograms import filters_figure, from_wave_to_mel, front_ends_figure, pitch_figure


@pytest.fixture
def speech(system):
    return say(system, "今天天气", Recipe(steps=2))


def test_three_views_of_one_sound(speech):
    figure = from_wave_to_mel(speech, MEL_22K)
    wave, spectrum, mel = figure.axes[:3]
    assert "513 frequencies" in spectrum.get_title()
    assert "80 bands" in mel.get_title()
    assert "".join(text.get_text() for text in mel.texts) == "今天天气"
    values = mel.collections[0].get_array().reshape(80, -1)
    wanted = log_mel(speech.samples, MEL_22K)[0].numpy()
    assert np.allclose(values.max(1).argmax(), wanted.max(1).argmax())
    assert wave.get_xlim()[1] >= speech.receipt.audio_seconds - 0.01


def test_mel_and_hertz_agree():
    """A tone stands at its frequency in both pictures."""
    import dataclasses

    from fake_system import ToneSystem

    spoken = say(ToneSystem(), "今", Recipe(steps=2))
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(22_050) / 22_050)
    figure = from_wave_to_mel(dataclasses.replace(spoken, samples=tone), MEL_22K)
    for axes in figure.axes[1:3]:
        mesh = axes.collections[0]
        rows = mesh.get_array().reshape(mesh.get_coordinates().shape[0] - 1, -1).mean(1)
        assert mesh.get_coordinates()[rows.argmax(), 0, 1] == pytest.approx(1000, rel=0.06)


def test_filters_and_front_ends(speech):
    assert len(filters_figure(MEL_22K, every=8).axes[0].lines) == 10
    specs = {"a": MEL_22K, "b": MEL_22K_FULL, "c": MEL_16K_SAMBERT}
    titles = [axes.get_title() for axes in front_ends_figure(speech, specs).axes if axes.get_title()]
    assert [title[0] for title in titles] == ["a", "b", "c"]


def test_pitch_is_drawn_where_it_is(speech):
    import dataclasses

    tone = 0.5 * torch.sin(2 * torch.pi * 200 * torch.arange(22_050) / 22_050)
    line = pitch_figure(dataclasses.replace(speech, samples=tone), MEL_22K).axes[0].lines[0]
    assert np.nanmedian(line.get_ydata()) == pytest.approx(200, rel=0.01)
