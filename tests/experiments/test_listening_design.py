"""What is compared and in which order: loudness, anchors, labels, and a test that travels as a file."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import freqz
from scipy.stats import binom, hypergeom

from listening_fakes import RATE, hiss, made
from tts_lab.audio import loudness
from tts_lab.errors import AudioError, LabError
from tts_lab.experiments import listening
from tts_lab.experiments.listening import ListeningTest, abx, mushra, preference, sounds
from tts_lab.experiments.listening.anchors import LOW, MID, lowpass, taps
from tts_lab.experiments.listening.order import plan
from tts_lab.experiments.sweep import Sweep

# --- sounds ---


def test_an_item_has_one_loudness_one_length_one_rate() -> None:
    found = sounds({"a": {"soft": hiss(1, level=0.05), "loud": hiss(2, 0.7, 0.9), "slow": hiss(3, rate=16_000)}})
    assert found.rate == RATE
    assert {s.shape[0] for s in found.of["a"].values()} == {int(0.7 * RATE)}
    levels = [loudness.measure(s, RATE) for s in found.of["a"].values()]
    assert levels == pytest.approx([-23] * 3, abs=0.05)


def test_where_peaks_leave_no_room_all_sounds_of_the_item_become_quieter() -> None:
    peaked, rate = hiss(1, level=0.02)
    peaked[100] = 0.9
    found = sounds({"a": {"peaked": (peaked, rate), "even": hiss(2)}}).of["a"]
    levels = [loudness.measure(s, RATE) for s in found.values()]
    assert levels[0] == pytest.approx(levels[1], abs=0.05)
    assert levels[0] < -25
    assert float(found["peaked"].abs().max()) <= 1


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({}, "no sound to compare"),
        ({"a": {"x": hiss(1), "y": hiss(2)}, "b": {"x": hiss(1)}}, "same conditions, but 'b' differs"),
        ({"a": {"x": (torch.zeros(9000), RATE), "y": hiss(1)}}, "x of 'a' is silent"),
        ({"a": {"x": (torch.ones(2, 50), RATE), "y": hiss(1)}}, r"shape \(2, 50\)"),
        ({"a": {"x": (torch.full((50,), torch.nan), RATE), "y": hiss(1)}}, "must hold numbers"),
        ({"a": {"x": "hello.wav", "y": hiss(1)}}, "must be a Speech, a Wave or"),
        ({"a": {"": hiss(1), "y": hiss(2)}}, "need names"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(given: dict, part: str) -> None:
    with pytest.raises(LabError, match=part):
        sounds(given)


def test_speeches_and_waves_are_sounds(system) -> None:  # type: ignore[no-untyped-def]
    from tts_lab.pipeline import say
    from tts_lab.recipe import Recipe
    from tts_lab.types import Request

    speech = say(system, Request("你好，世界。", voice="low"), Recipe(steps=1))
    found = sounds({"a": {"speech": speech, "wave": speech.waves[0]}})
    assert found.rate == speech.sample_rate


def test_the_sounds_of_a_sweep_are_items_and_conditions(fake: str, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    from tts_lab.experiments import distances, sweep_work

    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    from sweep_child import quick_fundamental

    sweep_work._loaded.cache_clear()
    monkeypatch.setattr(distances, "fundamental", quick_fundamental)
    grid = {"system": "fake", "levers": {"steps": [1, 2]}, "texts": ["冬天快到了。", "你好，世界。"], "voices": ["low"]}
    sweep = Sweep(grid, tmp_path / "a.jsonl", keep_sound=True)
    results = sweep.run(tell=lambda _: None, progress=False)
    found = listening.sounds_of(sweep)
    assert found.items == ("冬天快到了。", "你好，世界。")
    assert set(found.conditions) == {"steps 1", "steps 2", "reference"}
    (sweep.file.folder / results[0]["sound"]).unlink()
    left = listening.sounds_of(sweep)
    assert left.items == ("你好，世界。",)
    assert "冬天快到了。 lacks a sound" in left.left_out[0]


def test_a_sweep_without_sounds_says_how_to_keep_them(tmp_path: Path) -> None:
    sweep = Sweep({"texts": ["你好。"]}, tmp_path / "a.jsonl")
    with pytest.raises(LabError, match="--keep-sound"):
        listening.sounds_of(sweep)


# --- anchors ---


@pytest.mark.parametrize("rate", [16_000, 22_050, 48_000])
def test_the_low_anchor_keeps_the_mask_of_the_recommendation(rate: int) -> None:
    hertz, response = freqz(taps(rate, 3500), worN=8192, fs=rate)
    decibels = 20 * np.log10(np.abs(response) + 1e-12)
    assert np.abs(decibels[hertz <= 3500]).max() <= 0.1
    assert decibels[hertz >= 4000].max() <= -25
    assert decibels[hertz >= 4500].max() <= -50


def test_an_anchor_is_in_time_with_its_reference() -> None:
    click = torch.zeros(4001)
    click[2000] = 1
    for cutoff in (3500, 7000):
        filtered = lowpass(click, RATE, cutoff)
        assert filtered.shape == click.shape
        assert int(filtered.abs().argmax()) == 2000


def test_an_anchor_of_a_band_that_has_no_treble_is_refused() -> None:
    with pytest.raises(AudioError, match="at least 15,000 Hz"):
        lowpass(torch.ones(1000), 14_000, 7000)


def test_anchors_are_as_loud_as_the_others() -> None:
    test = mushra(made(), "good")
    for given in test.sounds.of.values():
        assert [loudness.measure(s, RATE) for s in given.values()] == pytest.approx([-23] * 4, abs=0.1)
    assert (test.definition.low, test.definition.mid) == (LOW, MID)


# --- the order ---


def test_the_order_follows_from_seed_and_name_and_from_nothing_else() -> None:
    given = made()
    test = abx(given, 12, seed=3).definition
    behind = [shown.of for shown in plan(test, "lin")]
    assert [shown.of for shown in plan(abx(given, 12, seed=3).definition, "lin")] == behind
    assert [shown.of for shown in plan(test, "wang")] != behind
    assert [shown.of for shown in plan(abx(given, 12, seed=4).definition, "lin")] != behind


def test_the_order_is_the_same_in_every_version() -> None:
    """Answers that lie on a disk would otherwise change their meaning."""
    from tts_lab.experiments.listening.definition import Definition

    test = Definition("abx", ("s", "t"), ("a", "b"), (("1", "2"), ("3", "4")), 16_000, 6)
    assert test.key == "7c07a929e373e3434f59"
    assert ["".join(shown.of.values()) for shown in plan(test, "lin")] == ["bab", "bab", "baa", "aba", "abb", "aba"]


def test_abx_balances_items_and_places_and_draws_x() -> None:
    given = made()
    counts = []
    for name in range(200):
        shown = plan(abx(given, 12).definition, f"listener {name}")
        assert set(Counter(s.item for s in shown).values()) == {4}
        assert sum(s.of["A"] == "good" for s in shown) == 6
        counts.append(sum(s.of["X"] == s.of["A"] for s in shown))
    # a balanced X would always give 6; a coin has the spread of a binomial distribution
    assert np.mean(counts) == pytest.approx(6, abs=4 * np.sqrt(3 / 200))
    assert np.var(counts) == pytest.approx(3, abs=1.2)


def test_a_balanced_x_would_break_the_binomial_test_as_the_docstring_says() -> None:
    from tts_lab.experiments.listening import order

    balanced, coin = hypergeom.sf(5, 16, 8, 8), binom.sf(11, 16, 0.5)
    assert f"{balanced:.1%}" == "6.6%"
    assert f"{coin:.1%}" == "3.8%"
    assert all(figure in order.__doc__ for figure in ("6.6 %", "3.8 %"))


def test_preference_shows_every_pair_of_every_item_in_both_orders() -> None:
    test = preference(made("good mean bad"), rounds=2).definition
    shown = plan(test, "lin")
    assert len(shown) == test.trials == 2 * 3 * 3
    first = Counter((s.of["A"], s.of["B"]) for s in shown)
    assert set(first.values()) == {3}
    assert len(first) == 6


def test_mushra_hides_the_reference_anew_in_every_trial() -> None:
    test = mushra(made(items=12), "good").definition
    shown = plan(test, "lin")
    assert sorted(s.item for s in shown) == sorted(test.items)
    assert {s.of["R"] for s in shown} == {"good"}
    places = Counter(next(label for label, name in s.of.items() if name == "good" and label != "R") for s in shown)
    assert len(places) == 4
    neighbours = Counter(tuple(s.of.values())[1:] for s in shown)
    assert len(neighbours) > 6  # not rotations of one order


def test_a_secret_is_in_no_repr() -> None:
    (shown, *_) = plan(abx(made(), 4).definition, "lin")
    assert repr(shown) == "Shown()"


# --- tests ---


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda s: abx(s), "two conditions, but there are 3"),
        (lambda s: abx(s.only("good", "bad"), 0), "at least 1, but is 0"),
        (lambda s: s.only("great"), "no condition 'great'; there are good, mean, bad"),
        (lambda s: preference(s.only("good")), "two conditions at least"),
        (lambda s: preference(s, rounds=0), "rounds must be a whole number"),
        (lambda s: mushra(s, "best"), "no condition 'best'"),
        (lambda s: mushra(mushra(s, "good").sounds, "good"), "is the name of an anchor"),
        (lambda _: mushra(made(" ".join(f"c{n}" for n in range(11)), 1), "c1"), "at most 12 sounds"),
    ],
)
def test_what_is_no_test_is_a_sentence(make, part: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LabError, match=part):
        make(made("good mean bad"))


@pytest.mark.parametrize("make", [lambda s: abx(s, 8, sequential=listening.Sprt()), lambda s: mushra(s, "good")])
def test_a_test_travels_as_a_file_without_a_change(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test = make(made())
    back = ListeningTest.load(test.save(tmp_path / "a.zip"))
    assert back.definition == test.definition
    for item, given in test.sounds.of.items():
        assert all(torch.equal(back.sounds.of[item][name], s) for name, s in given.items())


def test_a_damaged_or_changed_file_is_found(tmp_path: Path) -> None:
    path = abx(made(), 4).save(tmp_path / "a.zip")
    other = abx(made("good worse"), 4).save(tmp_path / "b.zip")
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(other) as theirs, zipfile.ZipFile(tmp_path / "c.zip", "w") as c:
        for name in ours.namelist():
            swapped = "sounds/0-1.flac" if name == "sounds/0-0.flac" else name
            c.writestr(name, (theirs if name == "test.json" else ours).read(swapped))
    with pytest.raises(LabError, match="are not those that the test was made of"):
        ListeningTest.load(tmp_path / "c.zip")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(LabError, match="is no listening test, or is damaged"):
        ListeningTest.load(path)
    with pytest.raises(LabError, match="There is no listening test"):
        ListeningTest.load(tmp_path / "d.zip")
