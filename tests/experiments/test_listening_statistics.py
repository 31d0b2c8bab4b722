"""The statistics of listening tests against exact values, other implementations and simulated listeners."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, t, wilcoxon

from listening_fakes import made
from tts_lab.errors import LabError
from tts_lab.experiments.listening import (
    Sprt,
    abx,
    analyse,
    binomial,
    choices,
    mushra,
    needed,
    preference,
    scores,
    screening,
    sequential,
)
from tts_lab.experiments.listening.simulated import Ears, panel, take

SURE = 1e-4  # how often a test of a random figure may fail by chance


@pytest.fixture(scope="module")
def given():  # type: ignore[no-untyped-def]
    return made(items=4)


def at_most(hits: int, tries: int, share: float) -> bool:
    """Whether so many hits agree with a true share of at most `share`."""
    return hits <= binom.isf(SURE, tries, share)


# --- ABX ---


def test_score_of_a_known_test() -> None:
    found = binomial.score(12, 16)
    assert found.p == pytest.approx(sum(math.comb(16, k) for k in range(12, 17)) / 2**16)
    assert (found.low, found.high) == pytest.approx((0.4762, 0.9273), abs=1e-4)  # Clopper and Pearson
    assert binomial.needed_right(16) == 12
    assert binomial.needed_right(4) == 5  # four of four has p 0.0625


@pytest.mark.parametrize("right", [0, 3, 8, 16])
def test_clopper_and_pearson_by_their_definition(right: int) -> None:
    found = binomial.score(right, 16)
    if right:
        assert binom.sf(right - 1, 16, found.low) == pytest.approx(0.025)
    if right < 16:
        assert binom.cdf(right, 16, found.high) == pytest.approx(0.025)


def test_d_prime_is_that_of_a_listener_who_compares_differences() -> None:
    random = np.random.default_rng(0)
    for d in (0.5, 1.5, 3.0):
        a, b, x = random.normal(0, 1, 200_000), random.normal(d, 1, 200_000), random.normal(0, 1, 200_000)
        share = (np.abs(x - a) < np.abs(x - b)).mean()
        assert binomial.share_of(d) == pytest.approx(share, abs=0.006)
        assert binomial.d_prime(binomial.share_of(d)) == pytest.approx(d, abs=1e-6)
    assert (binomial.d_prime(0.5), binomial.d_prime(0.3), binomial.d_prime(1.0)) == (0, 0, math.inf)


def test_guessers_pass_no_more_often_than_alpha_and_hearers_as_often_as_was_calculated(given) -> None:  # type: ignore[no-untyped-def]
    trials = needed.abx_trials(0.85)
    test, tries = abx(given, trials), 250
    passed = {
        right: sum(take(test, f"n{n}", Ears(right)).results.pooled.p <= 0.05 for n in range(tries))
        for right in (0.5, 0.85)
    }  # fmt: skip
    assert at_most(passed[0.5], tries, 0.05)
    power = needed.abx_power(trials, 0.85)
    assert power >= 0.8
    assert passed[0.85] / tries == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / tries))


# --- sequential ABX ---


def test_boundaries_and_verdicts_of_wald() -> None:
    sprt = Sprt(0.5, 0.8, 0.05, 0.2)
    assert sprt.boundaries == pytest.approx((math.log(0.2 / 0.95), math.log(0.8 / 0.05)))
    assert sprt.evidence(3, 4) == pytest.approx(3 * math.log(1.6) + math.log(0.4))
    assert [sprt.verdict(n, n) for n in (5, 6)] == ["undecided", "heard"]
    assert [sprt.verdict(0, n) for n in (1, 2)] == ["undecided", "not heard"]
    assert sprt.decided([True] * 6 + [False] * 50) == "heard"  # what comes later changes nothing
    low, high = sprt.lines(10)
    assert sprt.evidence(1, 10) * low + sprt.evidence(0, 10) * (1 - low) == pytest.approx(sprt.boundaries[0])
    assert low < high


@pytest.mark.parametrize(("share", "wrong"), [(0.5, "heard"), (0.8, "not_heard")])
def test_its_errors_keep_to_what_wald_promises(share: float, wrong: str) -> None:
    sprt = Sprt(0.5, 0.8, 0.05, 0.2)
    course = sequential.course(sprt, share, 400)
    promised = {"heard": sprt.alpha / (1 - sprt.beta), "not_heard": sprt.beta / (1 - sprt.alpha)}
    assert getattr(course, wrong) <= promised[wrong]
    assert course.heard + course.not_heard + course.undecided == pytest.approx(1)
    assert course.undecided < 1e-6
    fixed = needed.abx_trials(0.8)
    assert course.trials < 0.7 * fixed  # it is the shorter way


def test_its_course_is_that_of_simulated_listeners(given) -> None:  # type: ignore[no-untyped-def]
    test, tries = abx(given, 25, sequential=Sprt()), 200
    course = sequential.course(Sprt(), 0.7, 25)
    sessions = [take(test, f"n{n}", Ears(right=0.7)) for n in range(tries)]
    heard = sum(verdict == "heard" for s in sessions for verdict in s.results.verdicts.values())
    assert heard / tries == pytest.approx(course.heard, abs=4 * math.sqrt(course.heard * (1 - course.heard) / tries))
    assert np.mean([s.answered for s in sessions]) == pytest.approx(course.trials, rel=0.25)


def test_peeking_lets_guessers_win() -> None:
    assert sequential.peeking(1) == 0
    assert sequential.peeking(5) == pytest.approx(2**-5)  # only five of five
    found = [sequential.peeking(n) for n in (10, 50, 200)]
    assert found == sorted(found)
    assert found[1] > 0.15
    assert sequential.course(Sprt(), 0.5, 200).heard < 0.0625 < found[1]


def test_a_sequential_test_that_cannot_be_is_a_sentence() -> None:
    for wrong in ({"p1": 0.5}, {"p1": 1.0}, {"alpha": 0}, {"beta": 0.7}):
        with pytest.raises(LabError, match=r"needs 0 < p0|must lie between"):
            Sprt(**wrong)


# --- preference ---


def rows_of(wins: dict[tuple[str, str], tuple[int, int]], listener: str = "lin") -> list[dict]:
    return [
        {"listener": listener, "first": a, "second": b, "winner": winner}
        for (a, b), counts in wins.items()
        for winner, count in zip((a, b), counts, strict=True)
        for _ in range(count)
    ]


def test_strengths_are_those_of_a_logistic_regression() -> None:
    import statsmodels.api as sm

    wins = {("a", "b"): (14, 6), ("a", "c"): (18, 2), ("b", "c"): (11, 9)}
    found = choices.strengths(rows_of(wins), ("a", "b", "c"))
    counted = [[won + choices.IMAGINED, lost + choices.IMAGINED] for won, lost in wins.values()]
    columns = np.array([[1, -1], [1, 0], [0, 1]])  # a and b above c
    fit = sm.GLM(np.array(counted), columns, family=sm.families.Binomial()).fit()
    logits = np.array([*fit.params, 0.0])
    assert [s.value for s in found] == pytest.approx(list(logits - logits.mean()), abs=1e-5)
    assert all(s.low < s.value < s.high for s in found)


def test_who_never_lost_has_a_finite_strength() -> None:
    a, b = choices.strengths(rows_of({("a", "b"): (10, 0)}), ("a", "b"))
    assert a.value - b.value == pytest.approx(math.log(10.5 / 0.5))


def test_a_tie_is_half_a_win_for_either() -> None:
    tie = {"listener": "lin", "first": "a", "second": "b", "winner": None}
    tied = choices.strengths([*rows_of({("a", "b"): (3, 1)}), tie, tie], ("a", "b"))
    whole = choices.strengths(rows_of({("a", "b"): (4, 2)}), ("a", "b"))
    assert [s.value for s in tied] == pytest.approx([s.value for s in whole])


def test_pairs_are_corrected_and_ties_decide_nothing() -> None:
    rows = rows_of({("a", "b"): (9, 1), ("a", "c"): (5, 5), ("b", "c"): (8, 2)})
    rows += [{"listener": "lin", "first": "a", "second": "b", "winner": None}] * 7
    ab, ac, bc = choices.pairs(rows, [("a", "b"), ("a", "c"), ("b", "c")])
    assert (ab.wins, ab.losses, ab.ties) == (9, 1, 7)
    assert ab.p == pytest.approx(2 * (1 + 10) / 2**10)
    assert ab.corrected == pytest.approx(3 * ab.p)
    assert bc.corrected == pytest.approx(2 * bc.p)
    assert ac.p == 1


def test_a_pair_without_a_decided_answer_says_nothing() -> None:
    (pair,) = choices.pairs([{"listener": "x", "first": "a", "second": "b", "winner": None}], [("a", "b")])
    assert (pair.p, pair.corrected, pair.low, pair.high) == (1, 1, 0, 1)


def test_no_preference_is_rarely_found_and_a_strong_one_nearly_always(given) -> None:  # type: ignore[no-untyped-def]
    test, tries = preference(given, rounds=6), 100
    found = {
        lead: sum(analyse([take(test, f"n{n}", Ears(strengths={"good": lead})).record]).pairs[0].p <= 0.05
                  for n in range(tries))
        for lead in (0.0, 1.5)
    }  # fmt: skip
    assert at_most(found[0.0], tries, 0.05)
    power = needed.preference_power(test.definition.trials, 1 / (1 + math.exp(-1.5)))
    assert found[1.5] / tries == pytest.approx(power, abs=4 * math.sqrt(power * (1 - power) / tries))


# --- MUSHRA ---


def scored(listener: str, scores_of: dict[str, list[int]]) -> list[dict]:
    return [
        {"listener": listener, "item": f"i{n}", "condition": name, "score": score}
        for name, given in scores_of.items()
        for n, score in enumerate(given)
    ]


@pytest.mark.parametrize(("low", "items", "kept"), [(3, 20, True), (4, 20, False), (1, 6, False), (0, 6, True)])
def test_screening_excludes_above_fifteen_percent(low: int, items: int, kept: bool) -> None:
    (found,) = screening.screen(scored("a", {"ref": [89] * low + [90] * (items - low)}), "ref")
    assert found.reference == low / items
    assert (found.kept, found.mid) == (kept, None)


def test_screening_by_the_anchor_is_an_option_and_forgives_items_that_many_praise() -> None:
    rows = scored("a", {"ref": [100] * 5, "mid": [95, 95, 50, 50, 50]})
    for name in "bcde":
        rows += scored(name, {"ref": [100] * 5, "mid": [95, 50, 50, 50, 50] if name == "b" else [50] * 5})
    assert all(s.kept for s in screening.screen(rows, "ref"))
    first, *others = screening.screen(rows, "ref", "mid")
    assert (first.mid, first.kept) == (0.25, False)  # the first item, which two of five praise, does not count
    assert all(s.kept for s in others)
    assert "7 kHz anchor above 90 in 25%" in first.sentence


def simulated_scores(listeners: int, items: int, leads: list[float], random, own: float = 5.0) -> np.ndarray:  # type: ignore[no-untyped-def]
    shape = (listeners, items, len(leads))
    return (
        60
        + np.array(leads)
        + random.normal(0, 8, (listeners, 1, 1))
        + random.normal(0, 5, (1, items, 1))
        + random.normal(0, own, (listeners, 1, len(leads)))
        + random.normal(0, 8, shape)
    )


def test_means_hold_their_truth() -> None:
    random = np.random.default_rng(0)
    held = 0
    for n in range(40):
        (first, _) = scores.means(simulated_scores(15, 10, [0, 10], random), "ab", seed=n)
        held += first.low <= 60 <= first.high
    assert held >= binom.ppf(SURE, 40, 0.9)


@pytest.mark.parametrize("differ", ["listeners", "items"])
def test_the_interval_speaks_of_listeners_as_well_as_items(differ: str) -> None:
    """One that resampled single scores would be far too short where listeners, or items, differ."""
    values = np.random.default_rng(0).normal(50, 10, 10)
    shaped = values[:, None, None] if differ == "listeners" else values[None, :, None]
    (found,) = scores.means(np.zeros((10, 10, 1)) + shaped, "a")
    assert found.high - found.low == pytest.approx(4 * values.std() / math.sqrt(10), rel=0.15)


def test_the_mixed_model_finds_the_differences() -> None:
    cube = simulated_scores(12, 8, [0, 0, 20], np.random.default_rng(3))
    found = scores.compare(cube, "abc")
    assert found.method == scores.MIXED
    by_pair = {d.first + d.second: d for d in found.differences}
    means = cube.mean((0, 1))
    assert by_pair["ac"].value == pytest.approx(means[0] - means[2], abs=1e-3)
    assert by_pair["ac"].corrected < 0.01
    assert by_pair["ab"].corrected > 0.05


def test_its_p_values_are_statsmodels_own_but_for_student_s_t() -> None:
    cube = simulated_scores(9, 5, [0, 6], np.random.default_rng(4))
    fit, warned = scores._fit(cube)
    theirs = fit.t_test(np.array([[1.0, -1.0]]))
    (found,) = scores.mixed(cube, "ab").differences
    assert found.value == pytest.approx(float(theirs.effect[0]))
    assert found.p == pytest.approx(2 * t.sf(abs(float(theirs.tvalue.item())), 4))  # five items
    assert warned == ""


@pytest.mark.parametrize("seed", [1, 2, 6])
def test_its_errors_are_those_of_the_analysis_of_variance(seed: int) -> None:
    """In a balanced design whose variances are all above zero, the likeliest are those of the mean squares."""
    listeners, items, conditions = 12, 6, 3
    random = np.random.default_rng(seed)
    cube = simulated_scores(listeners, items, [0, 3, 6], random) + random.normal(0, 6, (1, items, conditions))
    by_listener, by_item, by_condition = cube.mean(1), cube.mean(0), cube.mean((0, 1))

    def interaction(table: np.ndarray) -> np.ndarray:
        return table - table.mean(1, keepdims=True) - by_condition + cube.mean()

    squares = items * (interaction(by_listener) ** 2).sum(), listeners * (interaction(by_item) ** 2).sum()
    free = (listeners - 1) * (conditions - 1), (items - 1) * (conditions - 1)
    alone = (
        items * conditions * (cube.mean((1, 2)) - cube.mean()) ** 2,
        listeners * conditions * (cube.mean((0, 2)) - cube.mean()) ** 2,
    )
    rest = ((cube - cube.mean()) ** 2).sum() - sum(squares) - sum(part.sum() for part in alone)
    rest -= listeners * items * ((by_condition - cube.mean()) ** 2).sum()
    left = cube.size - 1 - sum(free) - (listeners - 1) - (items - 1) - (conditions - 1)
    of_listeners, of_items, residual = squares[0] / free[0], squares[1] / free[1], rest / left
    assert min(of_listeners, of_items) > residual  # else a variance would be zero, and the formula another
    error = math.sqrt(2 / (listeners * items) * (of_listeners + of_items - residual))
    found = scores.mixed(cube, "abc").differences[0]
    assert found.p == pytest.approx(2 * t.sf(abs(found.value) / error, items - 1), rel=0.002)


def test_a_search_that_stops_early_does_not_decide(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Of such panels one search or the other ends less likely than it could, or at a singular matrix."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    random, fit, likely = np.random.default_rng(7), MixedLM.fit, []

    def watched(self, *, method, **more):  # type: ignore[no-untyped-def]
        found = fit(self, method=method, **more)
        likely.append(found.llf)
        return found

    monkeypatch.setattr(MixedLM, "fit", watched)
    gained = []
    for _ in range(8):
        likely.clear()
        assert scores._fit(simulated_scores(10, 4, [0, 2], random, own=0.1))[0].llf == max(likely)
        gained.append(max(likely) - likely[0])
    assert max(gained) > 0.1  # else one search would do


@pytest.mark.slow
def test_the_mixed_model_rejects_no_more_often_than_alpha() -> None:
    """With as few listeners and items as it takes."""
    random, tries = np.random.default_rng(5), 60
    found = [scores.mixed(simulated_scores(8, 4, [0, 0], random), "ab").differences[0].p for _ in range(tries)]
    assert at_most(sum(p <= 0.05 for p in found), tries, 0.05)


def test_few_listeners_are_compared_by_ranks() -> None:
    cube = simulated_scores(3, 4, [0, 15, 20], np.random.default_rng(1))
    found = scores.compare(cube, "abc")
    assert found.method == scores.RANKS
    blocks = cube.reshape(12, 3)
    assert found.differences[0].p == pytest.approx(wilcoxon(blocks[:, 0], blocks[:, 1]).pvalue)
    assert found.overall is not None
    assert found.overall < 0.05
    assert "these listeners and items only" in found.note
    assert scores.ranks(np.full((2, 3, 3), 50.0), "abc").differences[0].p == 1


def test_a_missing_score_is_a_sentence() -> None:
    with pytest.raises(LabError, match="a score is missing"):
        scores.cube(scored("a", {"x": [1, 2], "y": [3]}), ("x", "y"))


# --- how many are needed ---


@pytest.mark.parametrize("share", [0.7, 0.8, 0.95])
def test_from_the_needed_trials_on_power_is_never_too_low(share: float) -> None:
    trials = needed.abx_trials(share)
    assert all(needed.abx_power(n, share) >= 0.8 for n in range(trials, trials + 60))
    assert needed.abx_power(trials - 1, share) < 0.8
    assert needed.preference_trials(share) >= trials  # two sides cost more than one


def test_power_is_that_of_the_binomial_test() -> None:
    assert needed.abx_power(16, 0.75) == pytest.approx(sum(binom.pmf(k, 16, 0.75) for k in range(12, 17)))
    assert needed.abx_power(4, 1.0) == 0  # nobody can pass


def test_needed_listeners_reach_the_power_in_paired_tests() -> None:
    from scipy.stats import ttest_rel

    spread = needed.spread_of(5, 8, 6)
    count = needed.mushra_listeners(6, spread)
    random, tries = np.random.default_rng(2), 400
    found = 0
    for _ in range(tries):
        a, b = simulated_scores(count, 6, [0, 6], random).mean(1).T
        found += ttest_rel(a, b).pvalue <= 0.05
    assert found / tries == pytest.approx(0.8, abs=0.09)
    assert needed.mushra_listeners(6, spread, comparisons=10) > count
    assert needed.mushra_listeners(90, 1) == 2


def test_simulated_panels_of_that_size_find_it_by_the_lab_s_own_analysis(given) -> None:  # type: ignore[no-untyped-def]
    ears = Ears(quality={"bad": 85, "anchor 7 kHz": 60, "anchor 3.5 kHz": 20}, own=6, noise=4)
    count = needed.mushra_listeners(12, 8)
    found = analyse(panel(mushra(given, "good"), max(count, 8), ears))
    assert "bad scored differently" in found.sentence
    same = analyse(panel(mushra(given, "good"), max(count, 8), Ears(quality={"anchor 3.5 kHz": 20}, noise=4)))
    assert "nothing was shown to score differently" in same.sentence


@pytest.mark.parametrize(
    ("ask", "part"),
    [
        (lambda: needed.abx_trials(0.5), "above 0.5, which is guessing"),
        (lambda: needed.abx_trials(0.501), "more than 2,000"),
        (lambda: needed.abx_trials(0.8, power=1), "must lie between 0 and 1"),
        (lambda: needed.mushra_listeners(0, 5), "must be above 0"),
        (lambda: needed.mushra_listeners(0.1, 50), "more than 2,000 listeners"),
        (lambda: needed.preference_trials(1.2), "which is no preference"),
    ],
)
def test_what_cannot_be_calculated_is_a_sentence(ask, part: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LabError, match=part):
        ask()
