"""A plan as data: the recipe for a card, the options that it was chosen from, and how both are shown."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tts_lab.errors import LabError
from tts_lab.experiments.ladder import Lengths
from tts_lab.experiments.sound import Quality
from tts_lab.memory.cards import Card, cards
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import Recipe

if TYPE_CHECKING:
    from pandas import DataFrame

MIB = 2**20


@dataclass(frozen=True)
class Option:
    """A recipe and what it needs. Bytes; band: what may come on top by name; seconds: estimated; quality: measured for
    this very recipe, else None; moved: levers that touch the sound and are not as in the reference recipe; traced:
    whether by a trace of its own, or between two numbers of steps; name: how it differs from the reference recipe."""

    recipe: Recipe
    peak_reserved: int
    context: int
    band: int
    seconds: float
    name: str
    quality: Quality | None = None
    moved: tuple[str, ...] = ()
    traced: bool = True

    def missing(self, card: Card, safety: float) -> int:
        """Bytes that the card lacks for a verdict of `fits` with the margin; 0 or less: it has them."""
        return self.context + self.peak_reserved + self.band + int(safety * card.total_bytes) - card.total_bytes

    def beats(self, other: Option) -> bool:
        """Whether this one is nowhere worse and somewhere better: memory, time, and sound as far as it is known."""
        if self.peak_reserved > other.peak_reserved or self.seconds > other.seconds or not self._sounds_as(other):
            return False
        better = self.peak_reserved < other.peak_reserved or self.seconds < other.seconds
        return better or not other._sounds_as(self)

    def _sounds_as(self, other: Option) -> bool:
        """Whether it is known to sound at least as good. What is measured is better known than what is not."""
        if self.quality and other.quality:
            return self.quality.error <= other.quality.error and self.quality.mos >= other.quality.mos
        if self.quality or other.quality:
            return bool(self.quality) and not self.moved
        return set(self._unlike) <= set(other._unlike)

    @property
    def _unlike(self) -> tuple[tuple[str, Any], ...]:
        return tuple((name, getattr(self.recipe, name)) for name in self.moved)

    @property
    def sound(self) -> str:
        """What is known of its sound, in words."""
        if self.quality:
            return str(self.quality)
        if not self.moved:
            return "as the reference recipe's"
        return f"not measured: {', '.join(f'{name} {getattr(self.recipe, name)}' for name in self.moved)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        quality = {"error": self.quality.error, "mos": self.quality.mos} if self.quality else None
        return {
            "recipe": self.recipe.to_dict(), "recipe_name": self.name,
            "peak_reserved_bytes": self.peak_reserved, "context_bytes": self.context, "unmodelled_bytes": self.band,
            "latency_estimated_seconds": self.seconds, "quality": quality, "sound": self.sound, "traced": self.traced,
        }  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """The recipe for a card.

    choice, report: None where nothing fits; pareto: what no other option beats, largest first; fallbacks: smaller and
    smaller, to step down to; smallest: of all that were allowed; reference: the system's own recipe; asked: the floor
    or the preset; searched: recipes in question, traced: those with a trace of their own.
    """

    system: str
    card: Card
    lengths: Lengths
    safety: float
    asked: str
    choice: Option | None
    report: MemoryReport | None
    pareto: tuple[Option, ...]
    fallbacks: tuple[Option, ...]
    smallest: Option
    reference: Option
    given_up: tuple[str, ...]
    searched: int
    traced: int

    @property
    def recipe(self) -> Recipe:
        """The recipe that was chosen. Raises LabError where nothing fits."""
        if self.choice is None:
            raise LabError(self.sentence)
        return self.choice.recipe

    @property
    def verdict(self) -> str:
        """`fits`, or what the smallest option would be on the card."""
        if self.choice is not None:
            return "fits"
        return (
            "tight" if self.smallest.context + self.smallest.peak_reserved <= self.card.total_bytes else "out_of_memory"
        )

    @property
    def missing_bytes(self) -> int:
        """What the card lacks for the smallest option, the margin included; 0 where something fits."""
        return 0 if self.choice else max(self.smallest.missing(self.card, self.safety), 0)

    @cached_property
    def card_that_would_do(self) -> Card | None:
        """The smallest card of the lab's table on which the smallest option fits."""
        roomy = sorted(cards().values(), key=lambda card: card.total_bytes)
        return next((card for card in roomy if self.smallest.missing(card, self.safety) <= 0), None)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        what = f"{self.lengths.seconds:g} s of speech with {self.system}"
        if self.choice is None:
            do = self.card_that_would_do
            card = f"; {do.key} would do" if do else "; no card of the lab's table would do"
            return (
                f"Nothing fits {self.card.name} for {what}: the smallest recipe ({self.smallest.name}) lacks "
                f"{self.missing_bytes / MIB:,.0f} MiB of what it needs with a margin of {self.safety:.0%}{card}."
            )
        left = self.card.total_bytes - self.choice.context - self.choice.peak_reserved
        return (
            f"For {what} on {self.card.name} take {self.choice.name}: "
            f"{self.choice.peak_reserved / MIB:,.0f} MiB reserved, {left / MIB:,.0f} MiB left of the card, "
            f"{self.choice.seconds:.1f} s (estimated)."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        chosen = self.choice
        do = self.card_that_would_do if chosen is None else None
        return {
            "system": self.system, "card": self.card.key, "card_total_bytes": self.card.total_bytes,
            "seconds": self.lengths.seconds, "reference_seconds": self.lengths.reference_seconds,
            "safety": self.safety, "asked": self.asked, "verdict": self.verdict, "sentence": self.sentence,
            "recipe": chosen.recipe.to_dict() if chosen else None,
            "recipe_name": chosen.name if chosen else None,
            "peak_reserved_bytes": chosen.peak_reserved if chosen else None,
            "latency_estimated_seconds": chosen.seconds if chosen else None,
            "sound": chosen.sound if chosen else None, "given_up": list(self.given_up),
            "pareto": [option.to_dict() for option in self.pareto], "reference": self.reference.to_dict(),
            "smallest": self.smallest.to_dict(), "missing_bytes": self.missing_bytes,
            "card_that_would_do": do.key if do else None, "searched": self.searched, "traced": self.traced,
        }  # fmt: skip

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_yaml(self) -> str:
        """A file for `speak --recipe`: the recipe, under comments that say what it is for. Raises LabError where
        nothing fits."""
        comments = (self.sentence, *self.given_up)
        lines = [f"# {' '.join(comment.split())}\n" for comment in comments] if self.choice else []
        return "".join(lines) + self.recipe.to_yaml()

    def to_pandas(self) -> DataFrame:
        """The front as a table. Raises LabError where pandas is not installed."""
        try:
            from pandas import DataFrame
        except ModuleNotFoundError:
            raise LabError("Tables need pandas, which is not installed; run ./lab install notebook.") from None
        return DataFrame([dict(zip(COLUMNS, row, strict=True)) for row in rows(self)])

    def __repr__(self) -> str:
        return f"Plan({self.verdict}: {self.sentence})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in COLUMNS)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in shown(row))}</tr>" for row in rows(self)
        )
        given = "".join(f"<li>{html.escape(text)}</li>" for text in self.given_up)
        return (
            f"<div><b>{html.escape(self.sentence)}</b></div><table><tr>{head}</tr>{body}</table>"
            f"<div>Given up against {html.escape(self.reference.name)}:<ul>{given}</ul></div>"
        )


COLUMNS = ("choice", "fits", "reserved (MiB)", "seconds (estimated)", "sound", "recipe")


def rows(plan: Plan) -> list[tuple[str, bool, float, float, str, str]]:
    """The front, one row an option."""
    return [
        ("*" if plan.choice and option.recipe == plan.choice.recipe else "",
         option.missing(plan.card, plan.safety) <= 0,
         option.peak_reserved / MIB, option.seconds, option.sound, option.name)
        for option in plan.pareto
    ]  # fmt: skip


def shown(row: tuple[str, bool, float, float, str, str]) -> tuple[str, ...]:
    """A row in words and figures."""
    mark, fits, reserved, seconds, *words = row
    return (mark, "yes" if fits else "no", f"{reserved:,.0f}", f"{seconds:.2f}", *words)


def front(options: Iterable[Option]) -> tuple[Option, ...]:
    """The options that no other beats, the one that reserves most first."""
    options = list(options)
    kept = [one for one in options if not any(other.beats(one) for other in options)]
    return tuple(sorted(kept, key=lambda option: (-option.peak_reserved, order(option))))


def order(option: Option) -> tuple[Any, ...]:
    """Faster first, then smaller, then what moves less; the name decides between equals, so that plans are the same."""
    return option.seconds, option.peak_reserved, len(option.moved), option.name
