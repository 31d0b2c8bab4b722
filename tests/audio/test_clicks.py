"""Clicks: what is planted is found, and what a voice does is not taken for one."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tts_lab.audio.clicks import CLICK_DB, at_joint, at_joints, contrast, elsewhere
from tts_lab.audio.join import concatenate, crossfade

RATE = 22_050
FADE = round(0.02 * RATE)
PLACES = st.integers(3 * FADE, RATE // 2 - 3 * FADE)
HERTZ = st.floats(80, 300)


def vowel(hertz: float, samples: int = RATE // 2, level: float = 0.1) -> Tensor:
    """Harmonics up to 4 kHz that fall by 12 dB an octave, their phases those of a chirp, and a little breath."""
    t = torch.arange(samples, dtype=torch.float64) / RATE
    harmonics = range(1, int(4000 / hertz) + 1)
    tones = sum(torch.sin(2 * math.pi * k * hertz * t + k * k) / k**2 for k in harmonics)
    breath = torch.randn(samples, generator=torch.Generator().manual_seed(int(hertz))) * 0.003
    return (level * (tones + breath)).float()


def at(sound: Tensor, place: int) -> float:
    return contrast(sound, RATE, place - 22, 44)


@settings(max_examples=25)
@given(HERTZ, PLACES)
def test_a_voice_does_not_click(hertz: float, place: int) -> None:
    assert at(vowel(hertz), place) < CLICK_DB - 3


@settings(max_examples=25)
@given(HERTZ, PLACES, st.sampled_from([-0.05, 0.05, 0.2]))
def test_a_spike_of_one_sample_does(hertz: float, place: int, height: float) -> None:
    sound = vowel(hertz)
    sound[place] += height
    assert at(sound, place) > CLICK_DB


@settings(max_examples=25)
@given(HERTZ, PLACES)
def test_a_jump_of_half_a_period_does(hertz: float, place: int) -> None:
    sound = vowel(hertz)
    size = round(RATE / hertz / 2)
    steps = [float((sound[i + size] - sound[i]).abs()) for i in range(place, place + 2 * size)]
    cut = place + max(range(len(steps)), key=steps.__getitem__)  # a jump between two alike samples is none
    assert at(torch.cat([sound[:cut], sound[cut + size :]]), cut) > CLICK_DB


@settings(max_examples=25)
@given(HERTZ, st.floats(0.01, 0.3))
def test_a_cut_from_sound_to_silence_does_whatever_the_level(hertz: float, level: float) -> None:
    sound = vowel(hertz, level=level)
    peak = int(sound[5000:6000].abs().argmax()) + 5000
    sound[peak + 1 :] = 0
    assert at(sound, peak) > CLICK_DB


@settings(max_examples=25)
@given(HERTZ, HERTZ, st.floats(0.02, 0.3))
def test_a_crossfade_takes_the_click_out_of_a_joint(one: float, other: float, level: float) -> None:
    left, right = vowel(one), vowel(other, level=level)
    left = left[: int(left[9000:9300].argmax()) + 9001]  # ends on a peak
    right = right[int(right[1000:1300].argmin()) + 1000 :]  # begins in a valley
    assert at_joint(left, right, 0, RATE) > CLICK_DB
    assert at_joint(left, right, FADE, RATE) < CLICK_DB


def test_a_spike_that_cannot_be_heard_is_none() -> None:
    sound = torch.zeros(RATE)
    sound[RATE // 2] = 5e-5  # -86 dBFS
    assert at(sound, RATE // 2) == 0


def test_loud_noise_hides_a_spike_that_quiet_noise_does_not() -> None:
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(1))
    noise[RATE // 2] = 0
    found = []
    for level in (0.2, 0.001):
        sound = noise * level
        sound[RATE // 2] += 0.1
        found.append(at(sound, RATE // 2))
    assert found[0] < CLICK_DB < found[1]


def test_the_same_at_another_gain() -> None:
    sound = vowel(150)
    sound[5000] += 0.05
    assert at(2 * sound, 5000) == pytest.approx(at(sound, 5000), abs=0.1)


def test_too_little_sound_to_compare_with() -> None:
    assert contrast(torch.ones(50), RATE, 10, 5) == -math.inf
    assert contrast(vowel(150, 1000), RATE, 0, 1000) == -math.inf


def test_the_place_is_that_of_the_joined_sound() -> None:
    """A spike in the middle of the overlap is at its joint, and one beside it is not."""
    left, right = vowel(120), vowel(140)
    clean = at_joint(left, right, FADE, RATE)
    for offset, found in ((FADE // 2, True), (3 * FADE, False)):
        spiked = right.clone()
        spiked[offset] += 0.3
        assert (at_joint(left, spiked, FADE, RATE) > CLICK_DB) == found
        whole = concatenate(crossfade([left, spiked], FADE))
        assert (contrast(whole, RATE, len(left) - FADE, FADE) > CLICK_DB) == found
    assert clean < CLICK_DB


@pytest.mark.parametrize("fade", [0, FADE, 4 * FADE])
def test_joints_of_a_stream_are_those_of_its_pieces(fade: int) -> None:
    pieces = [vowel(100), torch.zeros(0), vowel(110, 700), vowel(120)]
    assert len([*at_joints(iter(pieces), fade, RATE)]) == 2
    assert [*at_joints(pieces[:2], fade, RATE)] == []


def test_a_stream_is_not_kept() -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = 0

    def pieces() -> Iterator[Tensor]:
        for number in range(8):
            piece = vowel(100 + number, 4000)
            alive.add(piece)
            yield piece
            del piece

    for _ in at_joints(pieces(), FADE, RATE):
        most = max(most, len(alive))
    assert most <= 3  # the one before, this one, and the generator's own


def test_elsewhere_looks_at_all_of_a_piece() -> None:
    sound = vowel(130)
    assert max(elsewhere(sound, FADE, RATE)) < CLICK_DB
    sound[RATE // 4] += 0.3
    found = [*elsewhere(sound, FADE, RATE, every=0.02)]
    assert sum(x > CLICK_DB for x in found) in (1, 2)
    assert [*elsewhere(sound[:100], FADE, RATE)] == []
