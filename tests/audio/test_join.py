"""Joining: exact lengths, no dip or bump in power, and a bounded amount in memory."""

from __future__ import annotations

import pytest
import torch

from tts_lab.audio.join import concatenate, crossfade, joined_length


def noise(size: int, seed: int) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fade", [0, 1, 10, 1000])
@pytest.mark.parametrize(
    "lengths", [[100], [100, 100], [100, 7, 100], [1, 1, 1], [0, 50, 0, 30], [2000, 3001, 1999], [5, 4000, 3]]
)
def test_exact_length(lengths: list[int], fade: int) -> None:
    joined = concatenate(crossfade([noise(size, i) for i, size in enumerate(lengths)], fade))
    assert joined.shape == (joined_length(lengths, fade),)


def test_known_length() -> None:
    assert joined_length([100, 100, 100], 10) == 280
    assert joined_length([100, 6, 100], 10) == 200  # a short piece gives at most half of itself to each side
    assert joined_length([], 10) == 0


def test_untouched_outside_the_fade() -> None:
    left, right = noise(100, 1), noise(80, 2)
    joined = concatenate(crossfade([left, right], 10))
    assert torch.equal(joined[:90], left[:90])
    assert torch.equal(joined[100:], right[10:])


def test_without_a_fade_it_is_concatenation() -> None:
    pieces = [noise(50, 1), noise(20, 2), noise(30, 3)]
    assert torch.equal(concatenate(crossfade(pieces, 0)), torch.cat(pieces))


def test_power_stays_level() -> None:
    """Mean power over many joints of unit noise is 1 everywhere; a linear fade would give 0.5 in its middle."""
    power = torch.zeros(300)
    for trial in range(400):
        power += concatenate(crossfade([noise(200, 2 * trial), noise(200, 2 * trial + 1)], 100)).square()
    middle = power[130:170].mean() / 400
    assert middle.item() == pytest.approx(1.0, abs=0.05)


def test_gains_are_mirror_images() -> None:
    out = concatenate(crossfade([torch.ones(100), torch.zeros(100)], 50))[50:100]
    into = concatenate(crossfade([torch.zeros(100), torch.ones(100)], 50))[50:100]
    torch.testing.assert_close(out, into.flip(0))
    torch.testing.assert_close(out.square() + into.square(), torch.ones(50))


def test_streams_one_piece_ahead() -> None:
    taken = []

    def pieces():
        for index in range(5):
            taken.append(index)
            yield noise(1000, index)

    stream = crossfade(pieces(), 100)
    first = next(stream)
    assert taken == [0]
    assert first.shape == (900,)
    assert sum(piece.shape[0] for piece in stream) + 900 == joined_length([1000] * 5, 100)


def test_held_tail_does_not_keep_its_piece() -> None:
    seen = list(crossfade([noise(10_000, 1)], 10))
    assert seen[-1].shape == (10,)
    assert seen[-1].untyped_storage().nbytes() == 40


def test_nothing_in_nothing_out() -> None:
    assert list(crossfade([], 10)) == []
    assert concatenate([]).shape == (0,)


def test_negative_fade_is_refused() -> None:
    with pytest.raises(ValueError, match="fade must be 0"):
        list(crossfade([noise(10, 1)], -1))
