"""What came out of each kind of listening test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tts_lab.errors import LabError
from tts_lab.experiments.listening import binomial, choices, scores, screening
from tts_lab.experiments.listening.corrected import holm
from tts_lab.experiments.listening.result import Result, shown_p
from tts_lab.experiments.listening.sequential import HEARD
from tts_lab.experiments.quality_table import Table

ALPHA = 0.05


class AbxResult(Result):
    """Of ABX: each listener, and all together. Of a sequential test, each listener's verdict."""

    @cached_property
    def answers(self) -> dict[str, list[bool]]:
        """Right or wrong, of each listener, in order."""
        return {name: [row["right"] for row in self.rows if row["listener"] == name] for name in self.listeners}

    @cached_property
    def scores(self) -> dict[str, binomial.Score]:
        """Of each listener."""
        return {name: binomial.score(sum(right), len(right)) for name, right in self.answers.items()}

    @cached_property
    def pooled(self) -> binomial.Score:
        """All answers as if one listener had given them: exact where all guess, which is what is tested."""
        right = [each for answers in self.answers.values() for each in answers]
        return binomial.score(sum(right), len(right))

    @property
    def verdicts(self) -> dict[str, str]:
        """Of a sequential test: heard, not heard or undecided."""
        assert self.test.sequential is not None
        return {name: self.test.sequential.decided(right) for name, right in self.answers.items()}

    @property
    def sentence(self) -> str:
        a, b = self.test.conditions
        if self.test.sequential:
            heard = sum(verdict == HEARD for verdict in self.verdicts.values())
            guess = self.test.sequential.alpha
            return (
                f"{heard} of {_people(self.listeners)} heard a difference between {a} and {b} "
                f"(of those who guess, about {guess:.0%} are taken for hearing)."
            )
        is_heard = self.pooled.p <= ALPHA
        what = "is heard" if is_heard else "was not shown to be heard"
        s = self.pooled
        return (
            f"The difference between {a} and {b} {what}: {s.right} of {s.trials} right, "
            f"95 % interval {s.low:.0%} to {s.high:.0%}, p {shown_p(s.p)}."
        )

    def table(self) -> Table:
        if self.test.sequential:
            header: tuple[str, ...] = ("listener", "right", "trials", "verdict")
            each = {n: (str(s.right), str(s.trials), self.verdicts[n]) for n, s in self.scores.items()}
            return header, [(name, *cells) for name, cells in each.items()]
        header = ("listener", "right", "trials", "share (95 %)", "p", "p (Holm)", "d'")
        corrected = holm([s.p for s in self.scores.values()])
        body = [_abx_row(name, s, shown_p(c)) for (name, s), c in zip(self.scores.items(), corrected, strict=True)]
        return header, body if len(body) == 1 else [*body, _abx_row("all", self.pooled, "")]

    def notes(self) -> tuple[str, ...]:
        if not self.test.sequential:
            note = "p: how often a guesser does as well. That no difference was shown does not show that there is none."
            return (*super().notes(), note)
        s = self.test.sequential
        note = (
            f"Wald's sequential test, {s.p0:g} against {s.p1:g} right, alpha {s.alpha:g}, beta {s.beta:g}. A share of "
            "right answers, or a binomial p, means nothing where the answers themselves decided when to stop."
        )
        return (*super().notes(), note)


class PreferenceResult(Result):
    """Of a preference test: every pair, and strengths where there are more than two conditions."""

    @cached_property
    def pairs(self) -> tuple[choices.Pair, ...]:
        return choices.pairs(self.rows, self.test.pairs)

    @cached_property
    def strengths(self) -> tuple[choices.Strength, ...]:
        return choices.strengths(self.rows, self.test.conditions)

    @property
    def sentence(self) -> str:
        won = [(p.first, p.second) if p.wins > p.losses else (p.second, p.first) for p in self.pairs if _sure(p)]
        if not won:
            return "No preference was shown."
        return "; ".join(f"{better} is preferred to {worse}" for better, worse in won) + "."

    def table(self) -> Table:
        header = ("pair", "first", "second", "ties", "first's share (95 %)", "p", "p (Holm)")
        return header, [_pair_row(p) for p in self.pairs]

    def tables(self) -> tuple[Table, ...]:
        if len(self.test.conditions) < 3:
            return (self.table(),)
        best = sorted(self.strengths, key=lambda s: -s.value)
        body = [(s.condition, f"{s.value:+.2f} ({s.low:+.2f} to {s.high:+.2f})") for s in best]
        return self.table(), (("condition", "strength in logits (95 %)"), body)

    def notes(self) -> tuple[str, ...]:
        return (*super().notes(), "p: two-sided sign test of the answers that name one of the two.")


@dataclass(frozen=True, repr=False)
class MushraResult(Result):
    """Of MUSHRA: means and comparisons of those whom screening keeps. mid_rule: whether the 7 kHz anchor screens."""

    mid_rule: bool = False

    @cached_property
    def screened(self) -> tuple[screening.Screened, ...]:
        """Every listener before screening."""
        return screening.screen(self.rows, str(self.test.reference), self.test.mid if self.mid_rule else None)

    @cached_property
    def cube(self) -> Any:
        """Scores of the listeners who are kept, (l, i, c). Raises LabError where nobody is."""
        kept = {s.listener for s in self.screened if s.kept}
        if not kept:
            raise LabError("Screening leaves nobody: everyone scored the hidden reference too low, too often.")
        return scores.cube([row for row in self.rows if row["listener"] in kept], self.test.conditions)

    @cached_property
    def means(self) -> tuple[scores.Mean, ...]:
        return scores.means(self.cube, self.test.conditions)

    @cached_property
    def comparison(self) -> scores.Comparison:
        """Of the conditions, anchors left out: they are marks on the scale."""
        own = [n for n, name in enumerate(self.test.conditions) if name not in (self.test.low, self.test.mid)]
        return scores.compare(self.cube[:, :, own], [self.test.conditions[n] for n in own])

    @property
    def sentence(self) -> str:
        kept = sum(s.kept for s in self.screened)
        people = f"{kept} of {_people(self.listeners)} after screening"
        if not kept:
            return f"{people}: nothing can be said."
        worse = [d for d in self.comparison.differences if self.test.reference in (d.first, d.second) and _sure(d)]
        names = [d.second if d.first == self.test.reference else d.first for d in worse]
        found = f"{' and '.join(names)} scored differently" if names else "nothing was shown to score differently"
        return f"Degradation against {self.test.reference}, by {people}: {found} from it."

    def table(self) -> Table:
        body = [(m.condition, f"{m.value:.1f}", f"{m.low:.1f} to {m.high:.1f}") for m in self._means()]
        return ("condition", "mean score", "95 %"), body

    def tables(self) -> tuple[Table, ...]:
        if not any(s.kept for s in self.screened):
            return (self.table(),)
        header = ("difference", "points", "p", "p (Holm)")
        return self.table(), (header, [_difference_row(d) for d in self.comparison.differences])

    def notes(self) -> tuple[str, ...]:
        lost = tuple(s.sentence for s in self.screened if not s.kept)
        if len(lost) == len(self.screened):
            return (*super().notes(), *lost)
        c = self.comparison
        overall = "" if c.overall is None else f"; all equal: p {shown_p(c.overall)}"
        return (*super().notes(), *lost, f"Differences: {c.method}, {c.note}{overall}.")

    def _means(self) -> tuple[scores.Mean, ...]:
        return tuple(sorted(self.means, key=lambda m: -m.value)) if any(s.kept for s in self.screened) else ()


def _abx_row(name: str, s: binomial.Score, corrected: str) -> tuple[str, ...]:
    d = "∞" if math.isinf(s.d) else f"{s.d:.2f}"
    share = f"{s.share:.0%} ({s.low:.0%}–{s.high:.0%})"
    return name, str(s.right), str(s.trials), share, shown_p(s.p), corrected, d


def _pair_row(p: choices.Pair) -> tuple[str, ...]:
    decided = p.wins + p.losses
    share = f"{p.wins / decided:.0%} ({p.low:.0%}–{p.high:.0%})" if decided else ""
    return f"{p.first} / {p.second}", str(p.wins), str(p.losses), str(p.ties), share, shown_p(p.p), shown_p(p.corrected)


def _difference_row(d: scores.Difference) -> tuple[str, ...]:
    return f"{d.first} − {d.second}", f"{d.value:+.1f}", shown_p(d.p), shown_p(d.corrected)


def _sure(found: choices.Pair | scores.Difference) -> bool:
    return found.corrected <= ALPHA


def _people(listeners: Sequence[str]) -> str:
    return "1 listener" if len(listeners) == 1 else f"{len(listeners)} listeners"
