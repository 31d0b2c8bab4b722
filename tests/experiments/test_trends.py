"""Trends: a drift that was put in comes out, with the interval it should have, and what is none is called none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tts_lab.experiments.trends import DRIFTS, NONE, UNSETTLED, Estimate, line, paired, trend

SECONDS = np.arange(1.5, 180, 3)  # 60 pieces of 3 s
EQUAL = np.ones(len(SECONDS))


def moving(a_minute: float, noise: float, seed: int = 0):
    off = np.random.default_rng(seed).standard_normal(len(SECONDS)) * noise
    return trend("loudness", "dB", 1.0, SECONDS, -23 + a_minute * SECONDS / 60 + off, EQUAL)


@given(st.floats(-3, 3))
def test_an_exact_line_comes_out(a_minute: float) -> None:
    found = moving(a_minute, 0)
    assert found.per_minute.value == pytest.approx(a_minute, abs=1e-9)
    assert found.change.value == pytest.approx(a_minute * 177 / 60, abs=1e-9)
    assert found.thirds.value == pytest.approx(a_minute * 2, abs=1e-9)  # thirds of 20 pieces, 40 apart
    assert found.spread == pytest.approx(0, abs=1e-9)


def test_slope_and_interval_are_those_of_an_ordinary_regression() -> None:
    y = np.random.default_rng(3).standard_normal(len(SECONDS))
    slope, level, spread = line(SECONDS, y, EQUAL)
    known = stats.linregress(SECONDS, y)
    half = stats.t.ppf(0.975, len(y) - 2) * known.stderr
    assert (slope.value, slope.low, slope.high) == pytest.approx((known.slope, known.slope - half, known.slope + half))
    assert level == pytest.approx(known.intercept)
    assert spread == pytest.approx(np.sqrt(((y - known.intercept - known.slope * SECONDS) ** 2).sum() / (len(y) - 2)))


def test_of_two_groups_it_is_the_difference_of_weighted_means() -> None:
    slope, _, _ = line(np.array([0, 0, 1, 1.0]), np.array([1, 3, 10, 20.0]), np.array([3, 1, 1, 1.0]))
    assert slope.value == pytest.approx(15 - 1.5)


def test_a_piece_of_no_weight_says_nothing() -> None:
    x, y, weights = np.arange(8.0), np.arange(8.0), np.ones(8)
    y[3], weights[3] = 100, 1e-12
    assert line(x, y, weights)[0].value == pytest.approx(1, abs=1e-6)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    hits = [moving(0.4, 1.0, seed).per_minute for seed in range(300)]
    assert 0.91 < np.mean([each.low < 0.4 < each.high for each in hits]) < 0.985


@pytest.mark.parametrize(
    ("a_minute", "noise", "verdict"),
    [(0.05, 0.3, NONE), (1.0, 0.3, DRIFTS), (-1.0, 0.3, DRIFTS), (0.1, 6.0, UNSETTLED)],
)
def test_verdicts(a_minute: float, noise: float, verdict: str) -> None:
    found = moving(a_minute, noise)
    assert found.verdict == verdict
    assert verdict in found.sentences[0]
    assert verdict in found.row[1]


def test_what_is_not_known_is_not_called_none() -> None:
    """An interval that reaches the threshold settles nothing, however small its middle."""
    assert Estimate(0.0, -0.9, 0.9).verdict(1.0) == NONE
    assert Estimate(0.0, -1.1, 1.1).verdict(1.0) == UNSETTLED
    assert Estimate(1.5, 0.9, 2.1).verdict(1.0) == UNSETTLED
    assert Estimate(1.5, 1.1, 1.9).verdict(1.0) == DRIFTS


def test_the_course_of_the_text_is_told_from_a_drift() -> None:
    """A text whose later pieces are louder by nature, spoken by a voice that grows quieter."""
    draw = np.random.default_rng(5)
    text = draw.standard_normal(len(SECONDS)) * 2 + SECONDS / 60 * 2
    chance = [draw.standard_normal(len(SECONDS)) * 0.2 for _ in range(2)]
    first = text - 0.5 * SECONDS / 60 + chance[0]
    other_at = SECONDS[::-1]
    other = text - 0.5 * other_at / 60 + chance[1]
    alone = trend("loudness", "dB", 1.0, SECONDS, first, EQUAL)
    found = paired(alone, [*zip(SECONDS, first, other_at, other, EQUAL, strict=True)])
    assert alone.per_minute.low > 0
    assert found.per_minute.low < -0.5 < found.per_minute.high < 0
    assert found.change.value == pytest.approx(-0.5 * 177 / 60, abs=0.2)
    assert found.thirds.value == pytest.approx(-1.0, abs=0.2)
    assert found.chance == pytest.approx(0.2, rel=0.25)
    assert found.spread == alone.spread > 1
    assert found.change.high - found.change.low < (alone.change.high - alone.change.low) / 3


def test_five_pieces_are_too_few() -> None:
    with pytest.raises(ValueError, match="6 pieces or more, not 5"):
        trend("pace", "%", 5.0, range(5), range(5), [1] * 5)
