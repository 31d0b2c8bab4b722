from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from tts_lab.audio import loudness
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.show import sound_player
from tts_lab.show.labels import slaney_mel
from tts_lab.show.player import LOUDNESS_LUFS, Player
from tts_lab.show.plots import FLOOR_DB
from tts_lab.show.sound_player import STATIC, SoundPlayer, sound_mel

TEXT = "今天天气真好，我们一起去公园吧！"


@pytest.fixture
def speech(system):
    return say(system, TEXT, Recipe(steps=2))


def tone(hertz, seconds=1.0, rate=22_050):
    return torch.sin(2 * torch.pi * hertz * torch.arange(int(seconds * rate)) / rate)


def decoded(track):
    return torch.from_numpy(np.frombuffer(track["pcm"], "<i2") / np.float32(32767))


def test_a_track_is_the_sound_at_the_common_loudness(speech):
    (track,) = SoundPlayer({"A": speech}).tracks
    samples = decoded(track)
    assert samples.shape == speech.samples.shape
    assert track["rate"] == speech.sample_rate
    assert loudness.measure(samples, track["rate"]) == pytest.approx(LOUDNESS_LUFS, abs=0.1)


def test_what_is_said_stands_where_it_is_said(speech):
    (track,) = SoundPlayer({"A": speech}).tracks
    words = track["words"]
    assert "".join(word["text"] for word in words) == "今天天气真好我们一起去公园吧"
    assert all(a["end"] <= b["start"] + 1e-9 for a, b in zip(words, words[1:], strict=False))
    assert words[-1]["end"] <= speech.samples.shape[-1] / speech.sample_rate


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
def test_a_tone_is_bright_at_its_frequency_at_any_sample_rate(rate):
    values, spec = sound_mel(tone(1000, rate=rate), rate)
    band = int(values.mean(1).argmax())
    low, high = slaney_mel(spec.fmin), slaney_mel(spec.fmax)
    assert band == pytest.approx(80 * (slaney_mel(1000) - low) / (high - low), abs=1)
    assert spec.hop_length / spec.sample_rate == pytest.approx(256 / 22_050, rel=0.01)


def test_the_picture_goes_from_the_floor_to_the_loudest():
    quiet_then_loud = torch.cat([torch.zeros(22_050), tone(440)])
    (track,) = SoundPlayer({"A": Player(quiet_then_loud, 22_050)}).tracks
    picture = np.frombuffer(track["mel"], np.uint8).reshape(track["bands"], track["frames"])
    assert picture[:, :40].max() == 0
    assert picture.max() == 255
    values, _ = sound_mel(quiet_then_loud, 22_050)
    assert np.allclose(picture / 255 * -FLOOR_DB + FLOOR_DB, values, atol=-FLOOR_DB / 255)


def test_a_click_of_a_few_samples_has_no_picture_and_still_plays():
    (track,) = SoundPlayer({"A": Player(torch.ones(100) / 2, 22_050)}).tracks
    assert (track["bands"], track["frames"]) == (0, 0)
    assert len(track["pcm"]) == 200


def test_blind_sends_nothing_but_the_sound_and_its_label(speech):
    player = SoundPlayer({"A": speech, "X": speech}, blind=True)
    assert [set(track) for track in player.tracks] == [{"label", "pcm", "rate"}] * 2
    assert repr(player) == "SoundPlayer(A, X)"


def test_other_sounds_begin_anew(speech):
    player = SoundPlayer({"A": speech, "B": speech}, blind=True)
    player.heard, player.chosen = [True, True], 1
    player.load({"A": speech, "B": speech, "X": speech})
    assert (player.heard, player.chosen, player.position) == ([False] * 3, 0, 0.0)
    assert [set(track) for track in player.tracks] == [{"label", "pcm", "rate"}] * 3


def test_keys_that_were_asked_for_are_passed_on(speech):
    player, pressed = SoundPlayer({"A": speech}, keys=("y",)), []
    player.on_key(pressed.append)
    for message in ({"key": "y"}, {"key": "n"}, {}):
        player._handle_custom_msg(message, [])
    assert pressed == ["y"]


def test_no_sounds_are_refused():
    with pytest.raises(ValueError, match="no sounds"):
        SoundPlayer({})


def test_the_widget_needs_no_other_host():
    """One bundled file of each kind: it works without internet."""
    for name in ("sound_player.js", "sound_player.css"):
        page = (STATIC / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|\bimport\b|url\(", page), name


def test_colours_are_those_of_every_mel():
    from matplotlib import colormaps

    table = np.frombuffer(sound_player._colours(), np.uint8).reshape(256, 3)
    assert table[0].tolist() == [round(255 * c) for c in colormaps["BuPu"](0)[:3]]
    lightness = table @ np.array([0.2126, 0.7152, 0.0722])
    assert lightness[0] - lightness[-1] > 150  # told apart without colour
