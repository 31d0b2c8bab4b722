"""Beam search, with draws or without: several sequences are followed, and the best finished one is taken.

The bookkeeping of `transformers` 4.52 (`BeamSearchScorer`, `early_stopping` off), for one text.

Axes: b beams, v codes that there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tts_lab.systems.indextts2.sampling import Choice, Marks, Sampling, penalised, warped

NEVER = -1e9  # score of the beams that do not exist yet
CANDIDATES = 2  # per beam: if one is the stop mark, another is left


@dataclass(frozen=True)
class _Finished:
    score: float
    codes: list[int]


class Beams:
    """A Chooser that follows `sampling.beams` sequences.

    A draw takes its candidates from all beams at once, by the sums of their (penalised, warped) log-probabilities.
    fixed: never stop, for runs of a given length; the best sequence at the end is taken.
    """

    def __init__(self, sampling: Sampling, marks: Marks, generator: torch.Generator, fixed: bool = False) -> None:
        self.sampling, self.marks, self.generator, self.fixed = sampling, marks, generator, fixed
        self.beams: list[list[int]] = [[] for _ in range(sampling.beams)]
        self.totals = torch.tensor([0.0, *[NEVER] * (sampling.beams - 1)])
        self.best: list[_Finished] = []
        self.done = self.skipped = False

    def choose(self, scores: Tensor) -> Choice:
        if scores.is_meta or self.skipped:
            count = len(self.beams)
            return self._go_on([(0.0, beam, 0) for beam in range(count)])
        totals = self._totals(scores.float().expand(len(self.beams), -1))
        top, index = self._candidates(totals.flatten())
        v = totals.shape[-1]
        ranked = [(s, i // v, i % v) for s, i in zip(top.tolist(), index.tolist(), strict=True)]
        going = self._without_stops(ranked)
        self.done = self._nothing_better(ranked[0][0])
        return self._go_on(going)

    def _totals(self, scores: Tensor) -> Tensor:
        """(b, v): the sum of log-probabilities of each beam with each code behind it."""
        written = [[*self.marks.prompt, *codes] for codes in self.beams]
        scores = penalised(scores.log_softmax(-1), written, self.sampling.repetition_penalty)
        if self.fixed:
            scores[:, self.marks.stop] = -torch.inf
        if self.sampling.temperature:
            scores = warped(scores, self.sampling, keep=CANDIDATES)
        return scores + self.totals[:, None]

    def _candidates(self, totals: Tensor) -> tuple[Tensor, Tensor]:
        """Twice as many continuations as beams, best first: sums and flat indices."""
        count = CANDIDATES * len(self.beams)
        if not self.sampling.temperature:
            top, index = totals.topk(count)
            return top, index
        drawn = torch.multinomial(totals.softmax(-1), count, generator=self.generator)
        top, order = totals[drawn].sort(descending=True)
        return top, drawn[order]

    def _without_stops(self, ranked: list[tuple[float, int, int]]) -> list[tuple[float, int, int]]:
        """The first b continuations that go on. Those that stop, if among the first b candidates, are finished."""
        going: list[tuple[float, int, int]] = []
        for rank, (score, beam, code) in enumerate(ranked):
            if code != self.marks.stop:
                going.append((score, beam, code))
            elif rank < len(self.beams):
                self._finish(score, self.beams[beam], len(self.beams[beam]) + 1)
            if len(going) == len(self.beams):
                break
        return going

    def _go_on(self, going: list[tuple[float, int, int]]) -> Choice:
        totals, origin, codes = zip(*going, strict=True)
        self.beams = [[*self.beams[beam], code] for _, beam, code in going]
        self.totals = torch.tensor(totals)
        return Choice(torch.tensor(codes), torch.tensor(origin), self.done)

    def _finish(self, total: float, codes: list[int], length: int) -> None:
        """Keep the best b sequences; of equals the later."""
        found = _Finished(total / length**self.sampling.length_penalty, codes)
        if len(self.best) < len(self.beams) or found.score > min(b.score for b in self.best):
            self.best = sorted([*self.best, found], key=lambda b: b.score)[-len(self.beams) :]

    def _nothing_better(self, top: float) -> bool:
        """Whether no beam can still beat the worst of the finished."""
        if len(self.best) < len(self.beams):
            return False
        length = len(self.beams[0]) + 1
        return min(b.score for b in self.best) >= top / length**self.sampling.length_penalty

    def skip(self, count: int) -> None:
        self.beams = [[*codes, *[0] * count] for codes in self.beams]
        self.skipped = True

    def finished(self) -> list[int]:
        """Codes of the best sequence; where the search was ended early, those under way count too."""
        if not self.done:
            for total, codes in zip(self.totals.tolist(), self.beams, strict=True):
                self._finish(total, codes, len(codes))
        return max(reversed(self.best), key=lambda b: b.score).codes
