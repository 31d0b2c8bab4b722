"""The picture of a joint, as a reader sees it."""

from __future__ import annotations

import numpy as np
import pytest

from fake_system import ToneSystem
from tts_lab.audio.join import concatenate, crossfade
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.show.join_figure import join_figure, speech_joints
from tts_lab.types import Request, Speech


@pytest.fixture(scope="module")
def speech() -> Speech:
    return say(ToneSystem(), Request("一二三四五六七八九十。一二三四五六七八九十。"), Recipe(max_chars=10))


def test_both_pieces_and_what_comes_of_them(speech: Speech) -> None:
    (joint, *_) = speech_joints(speech)
    whole, apart, joined = join_figure(speech).axes
    left, right = whole.lines
    assert left.get_xdata()[0] == pytest.approx(0, abs=1 / speech.sample_rate)
    assert left.get_xdata()[-1] == pytest.approx(joint.start + joint.overlap, abs=2 / speech.sample_rate)
    assert right.get_xdata()[0] == pytest.approx(joint.start)
    assert len(apart.lines) == 4  # two pieces, two gains
    expected = concatenate(crossfade((w.samples[0] for w in speech.waves), round(0.02 * speech.sample_rate))).numpy()
    x, y = joined.lines[0].get_data()
    at = np.round((np.asarray(x) / 1000 + joint.start) * speech.sample_rate).astype(int)
    assert np.array_equal(expected[at], y)


def test_there_is_no_other_joint(speech: Speech) -> None:
    with pytest.raises(ValueError, match="none is number 9"):
        join_figure(speech, 9)
