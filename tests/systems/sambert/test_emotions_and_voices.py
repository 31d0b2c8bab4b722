"""Behaviour: names of emotions, voices and speakers; mixtures; a wrong name suggests the nearest."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts_lab.errors import VoiceError
from tts_lab.systems.sambert.voices import (
    EMOTIONS,
    IN_CHINESE,
    VOICES,
    EmotionMix,
    emotion_row,
    emotion_symbol,
    find_emotion,
    find_speaker,
    find_voice,
    read_mix,
)


def test_emotions_are_named_by_row() -> None:
    assert len(EMOTIONS) == 33
    assert EMOTIONS[:8] == ("none", "neutral", "angry", "disgust", "fear", "happy", "sad", "surprise")
    assert EMOTIONS[23:25] == ("dominance", "placeholder_24")
    assert EMOTIONS[32] == "placeholder_32"
    assert [emotion_row(name) for name in EMOTIONS] == list(range(33))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("happy", "happy"), ("Happy ", "happy"), ("emotion_happy", "happy"), ("高兴", "happy"), ("none", "none"),
        ("placeholder_24", "placeholder_24"), ("emotion_placeholder1", "placeholder_24"),
        ("placeholder9", "placeholder_32"),
    ],
)  # fmt: skip
def test_finding_an_emotion(name: str, found: str) -> None:
    assert find_emotion(name) == found


def test_symbols_of_emotions() -> None:
    assert emotion_symbol("placeholder_24") == "emotion_placeholder1"
    assert emotion_symbol("sad") == "emotion_sad"
    assert {find_emotion(name) for name in IN_CHINESE} <= set(EMOTIONS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hapy", "No emotion is called 'hapy' .did you mean 'happy'.*they are none, neutral"),
        ("angery", "did you mean 'angry'"),
        ("placeholder_23", "did you mean 'placeholder_"),
        ("emotion_", "No emotion"), ("", "No emotion"), ("_", "No emotion"), ("~", "No emotion"),
        ("placeholder10", "No emotion"),
    ],
)  # fmt: skip
def test_an_unknown_emotion_suggests_the_nearest(name: str, message: str) -> None:
    with pytest.raises(VoiceError, match=message):
        find_emotion(name)


def test_an_emotion_that_is_no_name() -> None:
    with pytest.raises(VoiceError, match="by its name, not 5"):
        find_emotion(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("知北", "zhibei"), ("知贝", "zhibei"), ("zhibei", "zhibei"), ("ZhiBei_emo", "zhibei"), ("知雁", "zhiyan"),
        ("知燕", "zhiyan"), ("zhiyan", "zhiyan"), ("知甜", "zhitian"), ("知哲", "zhizhe"),
        ("damo/speech_sambert-hifigan_tts_zhizhe_emo_zh-cn_16k", "zhizhe"),
    ],
)  # fmt: skip
def test_finding_a_voice(name: str, found: str) -> None:
    assert find_voice(name).name == found


def test_names_of_voices_are_of_one_voice_each() -> None:
    names = [alias for voice in VOICES for alias in (voice.name, *voice.aliases)]
    assert len(names) == len(set(names)) == 4 * 4 + 2


def test_unknown_voices_and_speakers_suggest_the_nearest() -> None:
    with pytest.raises(
        VoiceError, match=r"'zhibie' \(did you mean 'zhibei'\?\); the released ones are zhibei \(知贝\)"
    ):
        find_voice("zhibie")
    with pytest.raises(VoiceError, match=r"'知被' .did you mean '知"):
        find_voice("知被")
    with pytest.raises(VoiceError, match=r"'F75' \(did you mean 'F74?'\?\); they are F7, F74"):
        find_speaker("F75")
    with pytest.raises(VoiceError, match=r"No speaker is called 'M7' \(did you mean 'F7'\?\); they are F7\."):
        find_speaker("M7", ("F7",))


def test_speakers_are_found_in_any_case() -> None:
    assert (find_speaker("f7"), find_speaker("XiaoYu"), find_speaker("FRXL")) == ("F7", "xiaoyu", "FRXL")


@pytest.mark.parametrize(
    ("text", "weights", "shown"),
    [
        ("happy", {5: 1}, "happy"),
        ("高兴", {5: 1}, "happy"),
        ("happy+sad", {5: 0.5, 6: 0.5}, "50% happy + 50% sad"),
        ("30% happy + 70% neutral", {1: 0.7, 5: 0.3}, "70% neutral + 30% happy"),
        ("30% happy", {1: 0.7, 5: 0.3}, "70% neutral + 30% happy"),
        ("25%happy+angry", {2: 0.75, 5: 0.25}, "75% angry + 25% happy"),
        ("happy + 100% sad", {6: 1}, "sad"),
        ("happy + happy", {5: 1}, "happy"),
        ("0% happy", {1: 1}, "neutral"),
    ],
)
def test_reading_a_mixture(text: str, weights: dict[int, float], shown: str) -> None:
    mix = read_mix(text)
    assert mix.weights == pytest.approx(weights)
    assert str(mix) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("happy+sad+fear", "is no mixture"), ("", "No emotion"), ("+", "No emotion"), ("hapy + sad", "'happy'"),
        ("60% happy + 60% sad", "sum to 120%"), ("120% happy", "out of range"), ("happy * 2", "No emotion"),
        ("120% happy + sad", "out of range"),
    ],
)  # fmt: skip
def test_a_wrong_mixture(text: str, message: str) -> None:
    with pytest.raises(VoiceError, match=message):
        read_mix(text)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf"), "half", True, None])
def test_a_share_out_of_range(share: object) -> None:
    with pytest.raises(VoiceError, match="a number from 0 to 1"):
        EmotionMix("happy", "sad", share)  # type: ignore[arg-type]


@given(st.sampled_from(EMOTIONS), st.sampled_from(EMOTIONS), st.floats(0, 1))
def test_weights_sum_to_one(first: str, second: str, share: float) -> None:
    mix = EmotionMix(first, second, share)
    assert sum(mix.weights.values()) == pytest.approx(1)
    assert all(weight > 0 for weight in mix.weights.values())


def test_a_mixture_is_data() -> None:
    assert EmotionMix() == EmotionMix("neutral")
    assert EmotionMix("高兴", "Sad", 1).first == "happy"
    with pytest.raises(dataclasses.FrozenInstanceError):
        EmotionMix().share = 1  # type: ignore[misc]
