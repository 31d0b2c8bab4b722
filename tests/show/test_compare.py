from __future__ import annotations

import numpy as np
import pytest
import torch

from tts_lab import Recipe, say
from tts_lab.show.compare import MelComparer, difference, difference_figure


@pytest.fixture
def pair(system):
    return {name: say(system, "今天天气真好", Recipe(steps=n)) for name, n in (("two", 2), ("four", 4))}


def images(figure):
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def test_the_same_sound_has_no_difference(pair):
    same = {"a": pair["two"], "b": pair["two"]}
    assert difference(same)["mel_rms_db"] == 0
    assert difference(same)["mel_cepstral_db"] == 0
    *_, apart = images(difference_figure(same))
    assert np.abs(apart).max() == 0


def test_the_third_picture_is_the_second_less_the_first(pair):
    import dataclasses

    quieter = pair["two"].samples.clone()
    half = quieter.shape[-1] // 2
    quieter[half:] /= 10  # 20 dB, before the whole is brought to the common loudness
    changed = {"a": pair["two"], "b": dataclasses.replace(pair["two"], samples=quieter)}
    first, second, apart = images(difference_figure(changed))
    assert np.allclose(apart, second - first)
    frames = apart.shape[1]
    loud = first > -40  # what lies at the floor cannot fall
    step = apart[:, frames // 2 + 4 :][loud[:, frames // 2 + 4 :]].mean()
    step -= apart[:, : frames // 2 - 4][loud[:, : frames // 2 - 4]].mean()
    assert step == pytest.approx(-20, abs=0.5)


def test_axes_are_in_seconds_and_hertz(pair):
    figure = difference_figure(pair)
    assert figure.axes[2].get_xlabel() == "seconds"
    assert figure.axes[0].get_ylabel() == "Hz"
    assert figure.axes[0].get_xlim()[1] == pytest.approx(pair["two"].receipt.audio_seconds, abs=0.03)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()][-1] == "8,000"
    assert "".join(text.get_text() for text in figure.axes[2].texts) == "今天天气真好"


def test_different_lengths_are_said_to_be(pair, system):
    longer = {"short": pair["two"], "long": say(system, "今天天气真好啊")}
    assert "different lengths" in difference_figure(longer).axes[2].get_title(loc="left")
    assert "different" not in difference_figure(pair).axes[2].get_title(loc="left")


def test_only_two_make_a_difference(pair):
    with pytest.raises(ValueError, match="two speeches, not 1"):
        difference_figure({"a": pair["two"]})
    with pytest.raises(ValueError, match="two speeches or more"):
        MelComparer({"a": pair["two"]})


def test_the_comparer_shows_the_pair_that_is_chosen(pair, system):
    comparer = MelComparer({**pair, "high": say(system, "今天天气真好", Recipe(steps=2))})
    before = bytes(comparer.picture.value)
    comparer.second.value = "four"
    assert bytes(comparer.picture.value) != before
    assert "mel RMS" in comparer.figures.value
    comparer.second.value = "two"
    assert "differ" in comparer.figures.value
    assert comparer.picture.layout.display == "none"
    assert repr(comparer) == "MelComparer(two, four, high)"
    assert torch.equal(comparer.speeches["two"].samples, pair["two"].samples)
