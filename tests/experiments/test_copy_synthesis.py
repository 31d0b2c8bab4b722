from __future__ import annotations

import dataclasses

import pytest
import torch

from tts_lab import Recipe, load_system, say
from tts_lab.audio.mel import MEL_16K_SAMBERT, MEL_22K, MEL_22K_FULL, log_mel
from tts_lab.errors import LabError
from tts_lab.experiments.copy_synthesis import copy_synthesis
from tts_lab.experiments.distances import distance, features


@pytest.fixture(scope="module")
def mini():
    return load_system("mini", "cpu")


@pytest.fixture(scope="module")
def speech(mini):
    return say(mini, "你好。", Recipe(steps=2))


def apart(wave, speech):
    return distance(features(wave.samples[0], wave.sample_rate), features(speech.samples, speech.sample_rate))


def test_a_copy_has_the_mel_of_its_original(mini, speech):
    copy = copy_synthesis(mini, speech)
    found, wanted = (log_mel(s, MEL_22K) for s in (copy.samples, speech.samples[None]))
    loud = wanted > wanted.max() - 4
    assert float((found - wanted)[loud].abs().mean()) < 0.3
    assert apart(copy, speech).mel_cepstral < 2


def test_a_wrong_front_end_is_farther_away(mini, speech):
    own = apart(copy_synthesis(mini, speech), speech).mel_cepstral
    assert apart(copy_synthesis(mini, speech, MEL_22K_FULL), speech).mel_cepstral > 2 * own
    assert apart(copy_synthesis(mini, speech, shift=2.3), speech).mel_cepstral > 2 * own


def test_a_copy_can_be_copied(mini, speech):
    again = copy_synthesis(mini, copy_synthesis(mini, speech))
    assert again.samples.shape == copy_synthesis(mini, speech).samples.shape
    assert torch.isfinite(again.samples).all()


def test_other_frames_are_refused(mini, speech):
    for spec in (MEL_16K_SAMBERT, dataclasses.replace(MEL_22K, n_mels=100)):
        with pytest.raises(LabError, match="takes 80 bands"):
            copy_synthesis(mini, speech, spec)
