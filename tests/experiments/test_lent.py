from __future__ import annotations

import pytest
import torch

from tts_lab import Recipe, load_system, say
from tts_lab.errors import LabError
from tts_lab.experiments.lent import as_on_a_card

TEXT = "你好。"


@pytest.fixture(scope="module")
def mini():
    return load_system("mini", "cpu")


def test_in_fp32_it_is_the_same_sound(mini):
    assert torch.equal(say(as_on_a_card(mini), TEXT, Recipe(steps=1)).samples, say(mini, TEXT, Recipe(steps=1)).samples)


def test_eight_bits_are_in_force_and_the_given_system_stays_as_it_is(mini):
    plain, recipe = say(mini, TEXT, Recipe(steps=1)), Recipe(steps=1, quantisation="int8")
    rounded = say(as_on_a_card(mini), TEXT, recipe)
    assert rounded.samples.shape == plain.samples.shape
    assert not torch.equal(rounded.samples, plain.samples)
    assert torch.equal(say(mini, TEXT, recipe).samples, plain.samples)  # on the CPU path it changes nothing


def test_a_system_that_lends_nothing_says_so(system):
    with pytest.raises(LabError, match="fake does not lend"):
        as_on_a_card(system)
