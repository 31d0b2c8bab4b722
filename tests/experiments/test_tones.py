"""Tones told from pitch: the contours are those of the sound, and the classifier hears a tone that is there."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tts_lab.errors import LabError
from tts_lab.experiments import tones
from tts_lab.experiments.tones import (
    FEATURES,
    FRAME,
    NEAR,
    POINTS,
    Timed,
    ToneClassifier,
    classifier,
    judged,
    of_piece,
    told,
)
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.types import Chunk, Request, Semantic

RATE = 22_050
LENGTH = 0.22  # seconds of a syllable
SHAPES = {1: [4, 4, 4, 4], 2: [-2, -2.5, 0, 3], 3: [-2, -5, -6.5, -6], 4: [5, 3, -1, -5]}  # semitones, citation forms


def contour(sequence: list[int], hertz: float = 200.0):
    """F0 in Hz of syllables end to end, 30 ms of silence before each, and where they are."""
    silent, voiced = round(0.03 / FRAME), round(LENGTH / FRAME)
    parts, timed = [], []
    for tone in sequence:
        start = sum(map(len, parts))
        shape = np.interp(np.linspace(0, 3, voiced), range(4), SHAPES[tone])
        parts += [np.full(silent, np.nan), hertz * 2 ** (shape / 12)]
        timed.append(Timed(tone, start * FRAME, (start + silent + voiced) * FRAME))
    return np.concatenate(parts), timed


def test_a_contour_is_read_at_its_points_relative_to_the_voice() -> None:
    sequence = [1, 2, 3, 4, 1]
    low, high = (told(*contour(sequence, hertz))[0] for hertz in (110.0, 240.0))
    assert low.shape == (5, FEATURES)
    assert np.allclose(low, high)  # the height of the voice plays no part
    rising, falling = low[1, : len(POINTS)], low[3, : len(POINTS)]
    assert rising[-1] - rising[0] > 3
    assert (np.diff(falling) <= 1e-6).all()


def test_only_neighbours_are_looked_at() -> None:
    f0, timed = contour([1, 2, 3, 4])
    found, _ = told(f0, timed)
    other, _ = told(*contour([4, 2, 3, 1]))
    edges = slice(len(POINTS) + 2, None)
    assert found[0, edges][0] == 0  # nothing before the first
    assert found[3, edges][1 + len(NEAR)] == 0  # nor after the last
    assert not np.allclose(found[1, edges], other[1, edges])
    apart = [replace(t, start=t.start + i, end=t.end + i) for i, t in enumerate(timed)]  # a second between them
    gaps = np.concatenate(
        [np.r_[f0[round(t.start / FRAME) : round(t.end / FRAME)], np.full(round(1 / FRAME), np.nan)] for t in timed]
    )
    assert (told(gaps, apart)[0][:, edges] == 0).all()


def test_a_syllable_without_a_voice_is_left_out() -> None:
    f0, timed = contour([1, 2, 3])
    f0[round(timed[1].start / FRAME) : round(timed[1].end / FRAME)] = np.nan
    found, wanted = told(f0, timed)
    assert wanted.tolist() == [1, 3]
    assert (found[:, len(POINTS) + 2 :] == 0).all()  # and is nobody's neighbour
    assert len(told(np.full(50, np.nan), timed)[0]) == 0


def test_a_short_gap_in_the_voice_is_bridged() -> None:
    f0, timed = contour([1])
    f0[8:10] = np.nan
    found, _ = told(f0, timed)
    assert np.allclose(found[0, : len(POINTS)], 0, atol=1e-6)
    assert 0 < found[0, len(POINTS) + 1] < 1


def test_the_lab_s_classifier_tells_textbook_tones() -> None:
    sequence = [1, 4, 2, 3, 4, 1, 2, 4, 1, 3, 4, 2]
    found, wanted = told(*contour(sequence))
    assert wanted.tolist() == sequence
    assert (classifier()(found) == wanted).mean() >= 0.75


def test_its_file_says_where_it_is_from_and_how_often_it_is_right() -> None:
    about = classifier().about
    assert "train_tones.py" in about["command"]
    assert "Kokoro" in about["source"]
    for part in about["right"].values():
        table = np.array(part["table"])
        assert table.sum() == part["syllables"]
        assert part["right"] == pytest.approx(np.trace(table) / table.sum(), abs=1e-3)
        assert part["right"] > 1.5 * table.sum(1).max() / table.sum()  # of always saying the commonest tone


def test_it_comes_back_from_json() -> None:
    first = classifier()
    again = ToneClassifier.from_dict(json.loads(json.dumps(first.to_dict())))
    found, _ = told(*contour([1, 2, 3, 4]))
    assert again(found).tolist() == first(found).tolist()


def test_a_missing_file_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tones, "data_dir", lambda: tmp_path)
    with pytest.raises(LabError, match=r"tones\.json cannot be read"):
        classifier.__wrapped__()


def test_syllables_are_where_the_system_put_them() -> None:
    codes = {"syllable": torch.tensor([[-1, 0, 0, -1, 1, -1]]), "tone": torch.tensor([[0, 3, 3, 0, 5, 0]])}
    semantic = Semantic(Chunk("你们", 0, 0), (), (4, 5, 6, 7, 8, 9), 39, codes)
    first, second = of_piece(semantic)
    assert (first.tone, second.tone) == (3, 5)
    assert (first.start, first.end) == pytest.approx((4 * FRAME, 15 * FRAME))
    assert (second.start, second.end) == pytest.approx((22 * FRAME, 30 * FRAME))
    with pytest.raises(LabError, match="does not say when"):
        of_piece(replace(semantic, codes={}))


# --- With the extra `judges` ---


@pytest.mark.judges
def test_a_buzz_with_the_contour_of_a_tone_is_heard_as_one() -> None:
    pytest.importorskip("pyworld")
    sequence = [1, 4, 2, 4, 1, 2]
    f0, timed = contour(sequence)
    hertz = np.repeat(np.nan_to_num(f0), 256)
    phase = torch.from_numpy(np.cumsum(hertz) / RATE * 2 * math.pi)
    sound = sum(0.1 / k * torch.sin(k * phase) for k in range(1, 12)) * torch.from_numpy(hertz > 0)
    heard = judged(sound.float(), RATE, timed)
    assert heard["syllables"] == 6
    assert heard["wrong"] <= 2
    other = [replace(each, tone=5 - each.tone) for each in timed]  # every tone another
    assert judged(sound.float(), RATE, other)["wrong"] >= 4
    assert judged(torch.zeros(RATE), RATE, timed) == {"syllables": 0, "wrong": 0}


@pytest.mark.judges
def test_the_bundled_voice_speaks_the_tones_that_it_is_asked_for() -> None:
    pytest.importorskip("pyworld")
    request = Request("今天天气真好，我们一起去公园吧！", voice="xiaobei")
    speech = say(load_system("mini", "cpu"), request, Recipe(steps=2))
    right = tones.judged_speech(speech)
    assert right["syllables"] >= 12
    (wave,) = speech.waves
    shifted = [replace(each, tone=each.tone % 5 + 1) for each in of_piece(wave.mel.semantic)]
    assert judged(wave.samples[0], RATE, shifted)["wrong"] > right["wrong"]
