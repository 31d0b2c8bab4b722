"""Emotion as arithmetic: mixing, weights, the stored rows."""

from __future__ import annotations

import pytest
import torch

from tts_lab.errors import VoiceError
from tts_lab.systems.indextts2.emotion import blend, by_weights, emotion_rows, nearest_rows, tempered

GROUPS = (3, 17, 2, 8, 4, 5, 10, 24)


def test_alpha_goes_from_the_voices_own_to_the_others() -> None:
    base, other = torch.randn(2, 5), torch.randn(2, 5)
    torch.testing.assert_close(blend(base, other, 0.0), base)
    torch.testing.assert_close(blend(base, other, 1.0), other)
    torch.testing.assert_close(blend(base, other, 0.25), 0.75 * base + 0.25 * other)


def test_weights_are_toned_down_and_capped() -> None:
    assert tempered([0.4, 0, 0, 0, 0, 0, 0, 0]) == pytest.approx([0.375, 0, 0, 0, 0, 0, 0, 0])
    assert sum(tempered([1] * 8)) == pytest.approx(0.8)
    assert tempered([1, 1, 0, 0, 0, 0, 0, 0], bias=False) == pytest.approx([0.4, 0.4, 0, 0, 0, 0, 0, 0])
    assert tempered([0] * 8) == (0,) * 8
    assert sum(tempered([1] * 8, alpha=0.5)) == pytest.approx(0.4)


@pytest.mark.parametrize("weights", [[0.1] * 7, [-0.1, *[0] * 7], [float("nan"), *[0] * 7], [float("inf"), *[0] * 7]])
def test_what_is_no_emotion_is_named(weights: list[float]) -> None:
    with pytest.raises(VoiceError, match="eight weights of 0 or more, for happy, angry"):
        tempered(weights)
    with pytest.raises(VoiceError, match="between 0 and 1"):
        tempered([0] * 8, alpha=2)


def test_in_each_group_the_most_alike_row_is_taken() -> None:
    g = torch.Generator().manual_seed(0)
    speakers, vectors = torch.randn(73, 192, generator=g), torch.randn(73, 12, generator=g)
    chosen = [2, 9, 21, 25, 30, 34, 44, 72]
    style = torch.nn.functional.normalize(speakers[chosen], dim=-1).sum(0, keepdim=True)
    assert nearest_rows(style, speakers, GROUPS).tolist() == chosen
    assert nearest_rows(100 * style.half(), speakers.half(), GROUPS).tolist() == chosen
    assert torch.equal(emotion_rows(style, speakers, vectors, GROUPS), vectors[chosen])


def test_what_the_weights_leave_is_the_voices_own() -> None:
    base, rows = torch.randn(1, 12), torch.randn(8, 12)
    torch.testing.assert_close(by_weights(base, rows, [0] * 8), base)
    torch.testing.assert_close(by_weights(base, rows, [0, 1, 0, 0, 0, 0, 0, 0])[0], rows[1])
    weights = [0.1, 0.2, 0, 0, 0.05, 0, 0, 0.3]
    expected = (torch.tensor(weights)[:, None] * rows).sum(0, keepdim=True) + (1 - sum(weights)) * base
    torch.testing.assert_close(by_weights(base, rows, weights), expected)


def test_nothing_of_it_asks_for_values() -> None:
    with torch.device("meta"):
        rows = emotion_rows(torch.empty(1, 192), torch.empty(73, 192), torch.empty(73, 12), GROUPS)
        assert by_weights(torch.empty(1, 12), rows, tempered([0.1] * 8)).shape == (1, 12)
