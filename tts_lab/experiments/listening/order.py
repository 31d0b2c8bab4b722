"""Who hears what, in which order, under which label: a pure function of a test's seed and a listener's name.

Draws are made with SHA-256, so that they are the same in every version of Python: answers keep their meaning for good.

Of what is drawn, X of an ABX test is a fair coin in every trial, not balanced over them. Balanced, the binomial test
would be wrong: who guesses and answers A and B equally often gets 12 or more of 16 right in 6.6 % of all tests
(hypergeometric), where the coin gives 3.8 %. Balanced is which condition is called A, and how often an item is heard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tts_lab.experiments.listening.definition import ABX, PREFERENCE, Definition

T = TypeVar("T")
LETTERS = "ABCDEFGHIJKL"
OPEN = "R"  # the reference that MUSHRA shows openly


@dataclass(frozen=True)
class Shown:
    """A trial with its secret, which no repr shows. of: label -> condition, in the order of the labels."""

    item: str = field(repr=False)
    of: Mapping[str, str] = field(repr=False)


def plan(test: Definition, listener: str) -> tuple[Shown, ...]:
    """The trials of one listener."""
    words = (test.key, test.seed, listener)
    if test.kind == ABX:
        return _abx(test, words)
    return _preference(test, words) if test.kind == PREFERENCE else _mushra(test, words)


def _abx(test: Definition, words: Sequence[object]) -> tuple[Shown, ...]:
    """Every item once before any comes again; A and B change places in half of the trials; X is a coin."""
    rounds = -(-test.trials // len(test.items))
    items = [item for n in range(rounds) for item in _shuffled(test.items, *words, "items", n)][: test.trials]
    turned = _halves(test.trials, *words, "turned")
    trials = []
    for n, item in enumerate(items):
        a, b = test.conditions[::-1] if turned[n] else test.conditions
        trials.append(Shown(item, {"A": a, "B": b, "X": a if _coin(*words, "x", n) else b}))
    return tuple(trials)


def _preference(test: Definition, words: Sequence[object]) -> tuple[Shown, ...]:
    """Every pair with every item, as often first as second; rounds follow each other."""
    rounds = test.trials // (len(test.items) * len(test.pairs))
    turned = {pair: _halves(rounds * len(test.items), *words, "turned", *pair) for pair in test.pairs}
    trials = []
    for n in range(rounds):
        slots = [(pair, i) for pair in test.pairs for i in range(len(test.items))]
        for pair, i in _shuffled(slots, *words, "slots", n):
            a, b = pair[::-1] if turned[pair][n * len(test.items) + i] else pair
            trials.append(Shown(test.items[i], {"A": a, "B": b}))
    return tuple(trials)


def _mushra(test: Definition, words: Sequence[object]) -> tuple[Shown, ...]:
    """Every item once a round. Columns are drawn anew each time: in an order that only rotates, whoever found the low
    anchor would know its neighbours."""
    rounds = test.trials // len(test.items)
    trials = []
    for n in range(rounds):
        for item in _shuffled(test.items, *words, "items", n):
            columns = _shuffled(test.conditions, *words, "columns", n, item)
            trials.append(Shown(item, {OPEN: str(test.reference), **dict(zip(LETTERS, columns, strict=False))}))
    return tuple(trials)


def _shuffled(things: Sequence[T], *words: object) -> list[T]:
    order = sorted(range(len(things)), key=lambda i: _draw(*words, i))
    return [things[i] for i in order]


def _halves(count: int, *words: object) -> list[bool]:
    """True and False equally often in random order; of an odd number, a coin decides the last."""
    extra = [_coin(*words, "odd")] if count % 2 else []
    return _shuffled([True] * (count // 2) + [False] * (count // 2) + extra, *words)


def _coin(*words: object) -> bool:
    return bool(_draw(*words)[0] & 1)


def _draw(*words: object) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, words)).encode("utf-8")).digest()
