"""The tone classifier's training: it learns what can be learnt, the same each time, and counts right."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from tts_lab.experiments.tones import FEATURES, TONES

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import train_tones


def made_up(count: int, seed: int, noise: float):
    """Features that differ by tone, more or less noisy."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((len(TONES), FEATURES)) * 3 + 10
    tones = draw.integers(1, 6, count)
    return centres[tones - 1] + draw.standard_normal((count, FEATURES)) * noise, tones


def test_it_learns_what_can_be_learnt_and_the_same_each_time() -> None:
    train, dev = made_up(800, 0, 1.0), made_up(200, 1, 1.0)
    model, found = train_tones.taught(train, dev, steps=200)
    assert found["dev"]["right"] > 0.95
    again, _ = train_tones.taught(train, dev, steps=200)
    assert model.to_dict() == again.to_dict()


def test_noise_is_not_learnt() -> None:
    _, found = train_tones.taught(made_up(800, 0, 1e3), made_up(400, 1, 1e3), steps=200)
    assert found["dev"]["right"] < 0.4


def test_figures_count_every_syllable_once() -> None:
    features, tones = made_up(100, 2, 1.0)
    found = train_tones.figures(lambda x: np.full(len(x), 2), features, tones)  # always the second tone
    assert np.sum(found["table"]) == found["syllables"] == 100
    assert found["right"] == np.mean(tones == 2)
    assert found["by_tone"] == {"1": 0, "2": 1, "3": 0, "4": 0, "5": 0}
