from __future__ import annotations

import pytest

from tts_lab.nearest import did_you_mean


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("hapy", " (did you mean 'happy'?)"), ("HAPPY", " (did you mean 'happy'?)"), ("f7", " (did you mean 'F7'?)"),
        ("xyz", ""), ("", ""), (30, ""),
    ],
)  # fmt: skip
def test_the_nearest_known_word_is_guessed(word: object, guess: str) -> None:
    assert did_you_mean(word, ("happy", "sad", "F7")) == guess


def test_how_much_alike_can_be_said() -> None:
    assert did_you_mean("hpy", ["happy"], 0.9) == ""
    assert did_you_mean("anything", []) == ""
