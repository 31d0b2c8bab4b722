"""Where pieces meet: positions and steps against the joined sound itself."""

from __future__ import annotations

import pytest
import torch

from tts_lab.audio.join import concatenate, crossfade, joined_length
from tts_lab.audio.joints import gains, joints

RATE = 1000


def test_positions_are_those_of_the_joined_sound() -> None:
    pieces = [torch.full((n,), float(i + 1)) for i, n in enumerate((50, 7, 0, 60))]
    found = joints(pieces, 20, RATE)
    whole = concatenate(crossfade(pieces, 20))
    assert len(found) == 2
    assert [joint.overlap for joint in found] == [3 / RATE, 3 / RATE]  # half of the short piece
    assert joined_length(map(len, pieces), 20) == len(whole) == round(found[1].start * RATE) + 60
    for i, joint in enumerate(found):
        start, shared = round(joint.start * RATE), round(joint.overlap * RATE)
        assert float(whole[start - 1]) == pytest.approx([1, 2][i])
        assert float(whole[start + shared]) == pytest.approx([2, 4][i])


def test_a_fade_takes_the_step_out_of_a_cut() -> None:
    """A sine that goes on in the next piece with another phase."""
    t = torch.arange(400) / RATE
    left, right = torch.sin(2 * torch.pi * 5 * t), torch.cos(2 * torch.pi * 5 * t)
    (cut,), (faded,) = joints([left, right], 0, RATE), joints([left, right], 100, RATE)
    assert cut.step_cut == cut.step_faded == pytest.approx(float((right[0] - left[-1]).abs()))
    assert faded.step_cut == cut.step_cut > 0.9
    assert faded.step_faded < 0.1 * faded.step_cut
    assert 0.5 < faded.level < 1.2


def test_gains_keep_the_power() -> None:
    out, into = gains(64)
    assert torch.allclose(out.square() + into.square(), torch.ones(64), atol=1e-6)
    assert torch.allclose(out, into.flip(0), atol=1e-6)
    assert bool((out.diff() < 0).all())


def test_one_piece_has_no_joint() -> None:
    assert joints([torch.ones(5), torch.ones(0)], 3, RATE) == ()
