"""How the next code is chosen from the model's scores: the rules of `transformers`, as the public program sets them.

All of it happens in the computer's memory, in float32 and with a CPU generator, so that one seed gives one result on
every device. Scores come here once per code, 32 KiB a beam at the released size.

Axes: b beams, v codes that there are (8194).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

MOST_BEAMS = 4


@dataclass(frozen=True)
class Sampling:
    """temperature: spread of the draws, 0 takes the likeliest. top_k: codes that are considered, 0 all. top_p: share of
    the probability that is considered. repetition_penalty: divides the scores of codes that were written before, 1
    does nothing. beams: sequences that are followed at once. length_penalty: 0 compares sums of log-probabilities, 1
    means. The defaults are the public program's.
    """

    temperature: float = 0.8
    top_k: int = 30
    top_p: float = 0.8
    repetition_penalty: float = 10.0
    beams: int = 3
    length_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.beams <= MOST_BEAMS:
            raise ValueError(f"beams is {self.beams}; 1 to {MOST_BEAMS} are possible")
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1 or self.repetition_penalty <= 0:
            raise ValueError(f"temperature and top_k are 0 or more, top_p 0 to 1, the penalty above 0; not {self}")


@dataclass(frozen=True)
class Choice:
    """codes: (b,) to go on with; origin: (b,) which beam each goes on from; done: no more are needed."""

    codes: Tensor
    origin: Tensor
    done: bool = False


class Chooser(Protocol):
    """Chooses code after code, and keeps what was chosen."""

    def choose(self, scores: Tensor) -> Choice:
        """scores: (1 or b, v) logits in the computer's memory; on the meta device any code will do."""
        ...

    def skip(self, count: int) -> None:
        """As if `count` more codes had been chosen. Later scores come from a cache with holes: any code will do."""
        ...

    def finished(self) -> list[int]:
        """The codes of the best sequence, without a stop mark."""
        ...


@dataclass(frozen=True)
class Marks:
    """Codes with a meaning. prompt: what counts as written before the first code. The public program makes up a prompt
    of ones and the start mark, so the penalty strikes code 1 and the start mark from the first code on."""

    start: int
    stop: int

    @property
    def prompt(self) -> tuple[int, ...]:
        return 1, self.start


class Single:
    """One sequence: the likeliest code, or a draw.

    fixed: never stop, for runs of a given length.
    """

    def __init__(self, sampling: Sampling, marks: Marks, generator: torch.Generator, fixed: bool = False) -> None:
        self.sampling, self.marks, self.generator, self.fixed = sampling, marks, generator, fixed
        self.codes: list[int] = []
        self.skipped = False

    def choose(self, scores: Tensor) -> Choice:
        code = 0 if scores.is_meta or self.skipped else self._code(scores.float())
        done = code == self.marks.stop
        if not done:
            self.codes.append(code)
        return Choice(torch.tensor([code]), torch.tensor([0]), done)

    def _code(self, scores: Tensor) -> int:
        scores = penalised(scores, [[*self.marks.prompt, *self.codes]], self.sampling.repetition_penalty)
        if self.fixed:
            scores[:, self.marks.stop] = -torch.inf
        if not self.sampling.temperature:
            return int(scores.argmax(-1))
        probabilities = warped(scores, self.sampling, keep=1).softmax(-1)
        return int(torch.multinomial(probabilities, 1, generator=self.generator))

    def skip(self, count: int) -> None:
        self.codes += [0] * count
        self.skipped = True

    def finished(self) -> list[int]:
        return self.codes


def penalised(scores: Tensor, written: Sequence[Sequence[int]], penalty: float) -> Tensor:
    """Scores (b, v) with those of codes in written[beam] divided by the penalty, or multiplied where negative.

    (Keskar et al. 2019, CTRL.) The scores given are not changed.
    """
    scores = scores.clone()
    if penalty != 1:
        for row, codes in zip(scores, written, strict=True):
            index = torch.tensor(sorted(set(codes)))
            found = row[index]
            row[index] = torch.where(found < 0, found * penalty, found / penalty)
    return scores


def warped(scores: Tensor, sampling: Sampling, keep: int) -> Tensor:
    """Scores (b, v) as they are drawn from: temperature, then the top k, then the top p; at least `keep` remain."""
    scores = scores / sampling.temperature
    if sampling.top_k:
        least = scores.topk(min(max(sampling.top_k, keep), scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if sampling.top_p < 1:
        ranked, order = scores.sort(-1)
        drop = ranked.softmax(-1).cumsum(-1) <= 1 - sampling.top_p
        drop[:, -keep:] = False
        scores = scores.masked_fill(drop.scatter(-1, order, drop), -torch.inf)
    return scores
