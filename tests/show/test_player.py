from __future__ import annotations

import base64
import io
import re

import pytest
import soundfile
import torch

from tts_lab.audio import loudness
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.show.player import LOUDNESS_LUFS, player, side_by_side


@pytest.fixture
def speech(system):
    return say(system, "今天天气真好", Recipe(steps=2))


def decoded(page):
    sound = re.search(r'src="data:audio/flac;base64,([^"]+)"', page).group(1)
    return soundfile.read(io.BytesIO(base64.b64decode(sound)), dtype="float32")


def test_player_holds_the_sound_at_the_common_loudness(speech):
    samples, rate = decoded(player(speech)._repr_html_())
    assert rate == 22_050
    assert samples.shape == tuple(speech.samples.shape)
    assert loudness.measure(torch.from_numpy(samples), rate) == pytest.approx(LOUDNESS_LUFS, abs=0.1)


def test_a_wave_plays_like_its_speech(speech):
    assert torch.equal(player(speech.waves[0]).samples, player(speech).samples)


def test_repr_and_title(speech):
    assert repr(player(speech, "<i>")) == "Player(<i>, 0.84 s, 22050 Hz)"
    assert "&lt;i&gt;" in player(speech, "<i>")._repr_html_()
    assert repr(player(speech)) == "Player(0.84 s, 22050 Hz)"


def test_side_by_side(speech):
    table = side_by_side({"two": speech, "again": speech})
    assert repr(table).splitlines()[0] == "two    low, 2 evaluations, 0.84 s"
    page = table._repr_html_()
    assert page.count("<audio") == 2
    assert page.count('class="measured"') == 2
    with pytest.raises(ValueError, match="no speeches"):
        side_by_side({})
