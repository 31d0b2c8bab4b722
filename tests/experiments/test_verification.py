"""Thresholds of speaker verification, by hand and against a reference."""

import numpy as np
import pytest

from tts_lab.errors import LabError
from tts_lab.experiments.verification import equal_error, false_acceptance, false_rejection, quantile_above

KNOWN, OTHERS = [0.1, 0.2, 0.3, 0.6], [0.4, 0.5, 0.7, 0.8]


def test_rates_count_what_lies_beyond_and_what_lies_within() -> None:
    assert false_rejection(KNOWN, 0.3) == 0.25
    assert false_acceptance(OTHERS, 0.5) == 0.5
    assert (false_rejection(KNOWN, 0.6), false_acceptance(OTHERS, 0.39)) == (0, 0)


def test_equal_error_of_overlapping_distances() -> None:
    threshold, error = equal_error(KNOWN, OTHERS)
    assert (threshold, error) == (pytest.approx(0.45), 0.25)


def test_separate_distances_have_no_error_and_a_threshold_half_way() -> None:
    assert equal_error([0.1, 0.2], [0.6, 0.9]) == (pytest.approx(0.4), 0)


def test_voices_that_cannot_be_told_apart_err_half_the_time() -> None:
    assert equal_error([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4])[1] == pytest.approx(0.5)


def test_equal_error_of_normal_distances_is_that_of_theory() -> None:
    """Two normal distributions two standard deviations apart cross at one: the error is the tail beyond, 15.9 %."""
    draw = np.random.default_rng(0)
    threshold, error = equal_error(draw.normal(0, 1, 4000).tolist(), draw.normal(2, 1, 4000).tolist())
    assert (threshold, error) == (pytest.approx(1, abs=0.06), pytest.approx(0.1587, abs=0.012))


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.5, 2), (0.51, 3), (0.75, 3), (0.99, 4), (1.0, 4)])
def test_the_quantile_is_one_of_the_distances_and_covers_the_share(share: float, expected: int) -> None:
    found = quantile_above([4, 2, 1, 3], share)
    assert found == expected
    assert sum(d <= found for d in (1, 2, 3, 4)) >= share * 4


def test_bad_input_is_told_in_a_sentence() -> None:
    for bad in ((lambda: equal_error([], OTHERS)), (lambda: false_acceptance([], 0.1))):
        with pytest.raises(LabError, match="needs distances"):
            bad()
    with pytest.raises(LabError, match="above 0 and at most 1"):
        quantile_above([1.0], 0.0)
