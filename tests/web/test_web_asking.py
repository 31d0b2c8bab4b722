"""What a visitor asks for, and what is refused before any work."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tts_lab.errors import AudioError, LabError, RecipeError, TextError
from tts_lab.web.asking import Asked, levers
from tts_lab.web.limits import Limits


def sound(path, seconds, rate=8000):
    soundfile.write(path, 0.1 * np.sin(np.arange(int(seconds * rate)) / 5), rate)
    return path


def test_request_and_recipe():
    asked = Asked(
        "你好", "mini", "", "", recipe="fastest", levers=levers(steps="3", solver="", guidance=None), seed=5.0
    )
    request = asked.request()
    assert (request.voice, request.emotion, request.seed) == (None, None, 5)
    assert isinstance(request.seed, int)
    assert (asked.chosen().steps, asked.chosen().guidance) == (3, 0)


def test_a_plan_takes_no_levers():
    assert Asked("你好", recipe="fit").chosen() is None
    with pytest.raises(RecipeError, match="leave steps as the recipe says"):
        Asked("你好", recipe="fit", levers=levers(steps=2)).chosen()


def test_only_the_levers_of_the_page():
    with pytest.raises(LabError, match="no lever 'tile'"):
        levers(tile=4)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (Asked(""), "no text to speak"),
        (Asked(" \n"), "no text to speak"),
        (Asked("好" * 11), "has 11 characters and this page takes 10"),
        (Asked("好", card="rtx9"), "There is no card 'rtx9'"),
        (Asked("好", levers={"steps": 0}), "steps must be"),
        (Asked("好", levers={"steps": 1.5}), "steps must be"),
        (Asked("好", levers={"steps": "many"}), "steps must be a number, but is 'many'"),
        (Asked("好", levers={"guidance": "nan"}), "guidance must be"),
        (Asked("好", levers={"precision": "fp8"}), "precision must be"),
    ],
)
def test_refused(asked, sentence):
    with pytest.raises(LabError, match=sentence):
        asked.check(Limits(characters=10))


def test_a_text_of_the_most_characters_is_taken():
    assert Limits(characters=10).check_text("好" * 10)
    with pytest.raises(TextError):
        Limits(characters=10).check_text("好" * 11)


def test_clips(tmp_path):
    limits = Limits(upload_mb=0.05, clip_seconds=2)
    assert limits.check_clip(None) is None
    assert limits.check_clip(sound(tmp_path / "good.wav", 1.5)) == tmp_path / "good.wav"
    with pytest.raises(AudioError, match=r"^long\.flac is 3 s long and this page takes 2 s"):
        limits.check_clip(sound(tmp_path / "long.flac", 3))
    with pytest.raises(AudioError, match=r"^large\.wav has 0\.1 MB and this page takes 0\.05"):
        limits.check_clip(sound(tmp_path / "large.wav", 4))
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"^text\.wav is not sound"):  # the server's folder is nobody's business
        limits.check_clip(tmp_path / "text.wav")


@pytest.mark.parametrize("name", ["characters", "upload_mb", "clip_seconds", "waiting"])
def test_limits_are_above_nothing(name):
    with pytest.raises(LabError, match=f"{name} must be above 0"):
        Limits(**{name: 0})
