"""Simulated listeners: programs that take a test, so that its statistics can be tried where the truth is known.

They hear what a person hears, labelled sounds, and tell them apart by their bits; from then on chance decides. Nothing
that they answer says anything about a voice. Their sessions are marked as simulated, and so is all that comes of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tts_lab.experiments.listening.answers import Record
from tts_lab.experiments.listening.building import ListeningTest
from tts_lab.experiments.listening.order import OPEN
from tts_lab.experiments.listening.session import TIE, ListeningSession, Trial


@dataclass(frozen=True)
class Ears:
    """What a simulated listener is like.

    right: share of right answers in ABX; 0.5 guesses. strengths: of the conditions in logits, for preferences; missing
    ones are 0. ties: share of trials in which no difference is felt. quality: of the conditions, 0 to 100, for MUSHRA;
    missing ones are 100. own: standard deviation over listeners of what they think of a condition in `quality`; noise:
    of a single score.
    """

    right: float = 0.5
    strengths: Mapping[str, float] | None = None
    ties: float = 0.0
    quality: Mapping[str, float] | None = None
    own: float = 0.0
    noise: float = 5.0


def take(
    test: ListeningTest, name: str, ears: Ears, seed: int = 0, file: str | Path | None = None
) -> ListeningSession:  # fmt: skip
    """A session that a simulated listener has taken to its end."""
    session = ListeningSession(test, name, file, simulated=True)
    random = np.random.default_rng([seed, *name.encode("utf-8")])
    opinions = {condition: random.normal(0, ears.own) for condition in ears.quality or {}}
    while not session.finished:
        session.answer(_answer(session, ears, opinions, random))
    return session


def panel(test: ListeningTest, count: int, ears: Ears, seed: int = 0) -> list[Record]:
    """The answers of several simulated listeners, in memory."""
    return [take(test, f"simulated {n + 1}", ears, seed).record for n in range(count)]


def _answer(session: ListeningSession, ears: Ears, opinions: Mapping[str, float], random: Any) -> Any:
    trial = session.trial
    if "X" in trial.sounds:
        return _matched(trial, ears, random)
    names = {label: _recognised(session.test, trial, label) for label in trial.labels}
    if OPEN in trial.sounds:
        return {label: _score(ears, name, opinions.get(name, 0.0), random) for label, name in names.items()}
    if random.random() < ears.ties and TIE in trial.choices:
        return TIE
    strengths = ears.strengths or {}
    lead = strengths.get(names["A"], 0.0) - strengths.get(names["B"], 0.0)
    return "A" if random.random() < 1 / (1 + np.exp(-lead)) else "B"


def _matched(trial: Trial, ears: Ears, random: Any) -> str:
    """Which of A and B has the bits of X, given rightly as often as `right` says. Where both have them, a guess."""
    fits = [label for label in ("A", "B") if torch.equal(trial.sounds[label], trial.sounds["X"])]
    if len(fits) == 2:
        return str(random.choice(fits))
    other = "B" if fits[0] == "A" else "A"
    return fits[0] if random.random() < ears.right else other


def _recognised(test: ListeningTest, trial: Trial, label: str) -> str:
    """The condition whose bits a label has: the listener knows all sounds of the test."""
    of = test.sounds.of.values()
    return next(name for sounds in of for name, s in sounds.items() if torch.equal(s, trial.sounds[label]))


def _score(ears: Ears, condition: str, opinion: float, random: Any) -> int:
    quality = (ears.quality or {}).get(condition, 100.0)
    return round(float(np.clip(quality + opinion + random.normal(0, ears.noise), 0, 100)))
