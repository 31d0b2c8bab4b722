"""Simulated listeners: programs that take a test, so that its statistics can be tried where the truth is known.

They hear what a person hears, labelled sounds, and tell them apart by their bits; from then on chance decides. Nothing
that they answer says anything about a voice. Their sessions are marked as simulated, and so is all that comes of them.
Draws belong to what is heard and not to the order, which follows the last bit of every sound: a notebook's simulation
comes out the same on another processor.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tts_lab.experiments.listening.answers import Record
from tts_lab.experiments.listening.building import ListeningTest
from tts_lab.experiments.listening.order import OPEN
from tts_lab.experiments.listening.session import TIE, Answer, ListeningSession, Trial


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
    head = _Head(test, ears, (seed, name))
    while not session.finished:
        session.answer(head.answer(session.trial))
    return session


def panel(test: ListeningTest, count: int, ears: Ears, seed: int = 0) -> list[Record]:
    """The answers of several simulated listeners, in memory."""
    return [take(test, f"simulated {n + 1}", ears, seed).record for n in range(count)]


class _Head:
    """What a simulated listener makes of a trial. words: that all its draws depend on."""

    def __init__(self, test: ListeningTest, ears: Ears, words: tuple[object, ...]) -> None:
        self.test, self.ears, self.words = test, ears, words
        self.met: Counter[tuple[object, ...]] = Counter()

    def answer(self, trial: Trial) -> Answer:
        if "X" in trial.sounds:
            return self._matched(trial)
        found = {label: self._recognised(trial, label) for label in trial.labels}
        if OPEN in trial.sounds:
            return {label: self._score(*where) for label, where in found.items()}
        return self._preferred(found["A"], found["B"], TIE in trial.choices)

    def _random(self, *words: object) -> np.random.Generator:
        """Draws for what is heard for the n-th time."""
        self.met[words] += 1
        text = "\x1f".join(map(str, (*self.words, *words, self.met[words])))
        return np.random.default_rng(list(hashlib.sha256(text.encode("utf-8")).digest()))

    def _matched(self, trial: Trial) -> str:
        """Which of A and B has the bits of X, given rightly as often as `right` says. Where both have, a guess."""
        random = self._random("x")
        fits = [label for label in ("A", "B") if torch.equal(trial.sounds[label], trial.sounds["X"])]
        if len(fits) == 2:
            return str(random.choice(fits))
        other = "B" if fits[0] == "A" else "A"
        return fits[0] if random.random() < self.ears.right else other

    def _recognised(self, trial: Trial, label: str) -> tuple[str, str]:
        """The item and condition whose bits a label has: the listener knows all sounds of the test."""
        heard = trial.sounds[label]
        of = self.test.sounds.of
        return next((item, name) for item, s in of.items() for name, own in s.items() if torch.equal(own, heard))

    def _score(self, item: str, condition: str) -> int:
        quality = (self.ears.quality or {}).get(condition)
        opinion = 0.0 if quality is None else self._opinion(condition)
        noise = self._random(item, condition).normal(0, self.ears.noise)
        return round(float(np.clip((100.0 if quality is None else quality) + opinion + noise, 0, 100)))

    def _opinion(self, condition: str) -> float:
        """What this listener thinks of a condition, always the same."""
        self.met.pop(("opinion", condition), None)
        return float(self._random("opinion", condition).normal(0, self.ears.own))

    def _preferred(self, a: tuple[str, str], b: tuple[str, str], may_tie: bool) -> str:
        (item, first), (_, second) = sorted((a, b))
        random = self._random(item, first, second)
        if random.random() < self.ears.ties and may_tie:
            return TIE
        strengths = self.ears.strengths or {}
        lead = strengths.get(first, 0.0) - strengths.get(second, 0.0)
        better = first if random.random() < 1 / (1 + np.exp(-lead)) else second
        return "A" if better == a[1] else "B"
