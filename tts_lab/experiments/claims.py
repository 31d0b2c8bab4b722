"""The article's statements, each with the experiment that tests it, and the verdict.

`data/claims.yaml` says what the article states; `claim_experiments`, `claim_tricks` and `claim_times` say how it is
tested. A verdict is a pure function of a claim, an experiment's rules, and what was measured, so that the rules can be
tested on made-up figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tts_lab.errors import LabError
from tts_lab.nearest import did_you_mean
from tts_lab.paths import data_dir

# When a figure of ours counts as the article's. It gives two digits; its program and lengths are guessed.
SIZE = 0.15  # of a size of memory
CHANGE = 0.25  # of a difference between two of its rows, in memory or in time
ESTIMATE = 1.0  # of a time in seconds: ours are estimates, wrong by up to a factor of two
NOTHING = 0.01  # of what it is compared with: a smaller change is none

HOLDS, ONLY_IF, DOES_NOT = "holds", "holds only if", "does not hold"
SENSES = ("about", "above", "change", "ratio")
UNITS = ("", "GB", "s", "%")


@dataclass(frozen=True)
class Figure:
    """A number with its unit. estimated: by a model of the card, not measured and not exact."""

    value: float
    unit: str = ""
    estimated: bool = False

    def __str__(self) -> str:
        number = f"{self.value:,.0f}" if self.unit in ("steps", "frames", "bytes") else _digits(self.value)
        space = "" if self.unit in ("%", "") else " "
        return f"{number}{space}{self.unit}"

    def __format__(self, spec: str) -> str:
        return str(self) if not spec else format(self.value, spec)


Measured = Mapping[str, Figure]


@dataclass(frozen=True)
class Claim:
    """One statement. figure, unit: the article's own, where it has one; sense: whether the figure is meant as `about`,
    `above`, as a `change` or a `ratio`; against: the figure of the row that it is compared with. given: the
    experiment's arguments."""

    id: str
    where: str
    says: str
    experiment: str
    conditions: str
    figure: float | None = None
    unit: str = ""
    sense: str = "about"
    against: float | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def article(self) -> str:
        """Its figure as a reader writes it."""
        if self.figure is None:
            return ""
        sign = {"above": "> ", "change": "+" if self.figure > 0 else ""}.get(self.sense, "")
        return f"{sign}{self.figure:g}{'' if self.unit == '%' else ' '}{self.unit}".rstrip()


Test = Callable[[Claim, Measured], bool]


@dataclass(frozen=True)
class Experiment:
    """measure: claim.given -> figures. holds: under the article's likely conditions; otherwise: under those that
    `only_if` names. main: the figure to show beside the article's. reason, only_if: sentences with {figure} in them."""

    measure: Callable[..., Measured]
    holds: Test
    main: str
    reason: str
    only_if: str = ""
    otherwise: Test | None = None


@dataclass(frozen=True)
class Verdict:
    """verdict: `HOLDS`, `ONLY_IF` with the condition, or `DOES_NOT`."""

    claim: Claim
    measured: Measured
    main: str
    kind: str
    condition: str
    reason: str

    @property
    def verdict(self) -> str:
        return f"{self.kind} {self.condition}".strip()

    @property
    def ours(self) -> Figure:
        return self.measured[self.main]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        measured = {
            name: {"value": _rounded(f.value), "unit": f.unit} | ({"estimated": True} if f.estimated else {})
            for name, f in self.measured.items()
        }
        return {
            "id": self.claim.id, "says": self.claim.says, "where": self.claim.where,
            "article": {"text": self.claim.article, "value": self.claim.figure, "unit": self.claim.unit},
            "conditions": self.claim.conditions, "main": self.main, "measured": measured, "kind": self.kind,
            "verdict": self.verdict, "reason": self.reason,
        }  # fmt: skip


def judge(claim: Claim, experiment: Experiment, measured: Measured) -> Verdict:
    """The verdict on figures, whoever measured them."""
    kind, condition = DOES_NOT, ""
    if experiment.holds(claim, measured):
        kind = HOLDS
    elif experiment.otherwise is not None and experiment.otherwise(claim, measured):
        kind, condition = ONLY_IF, experiment.only_if.format(**measured)
    return Verdict(claim, measured, experiment.main, kind, condition, experiment.reason.format(**measured))


def claims(only: Iterable[str] | None = None) -> list[Verdict]:
    """The verdict on every claim, or on those of some ids, in order. Raises LabError for an unknown one."""
    known, wanted = read_claims(), list(only or ())
    for name in wanted:
        if name not in known:
            raise LabError(f"There is no claim {name!r}{did_you_mean(name, known)}; the claims are {', '.join(known)}.")
    return [verdict_on(claim) for claim in known.values() if not wanted or claim.id in wanted]


def verdict_on(claim: Claim) -> Verdict:
    """Run a claim's experiment and judge."""
    experiment = experiments()[claim.experiment]
    return judge(claim, experiment, experiment.measure(**claim.given))


def experiments() -> Mapping[str, Experiment]:
    """Every experiment by its name. Imported late: they need PyTorch, the table of claims does not."""
    from tts_lab.experiments import claim_experiments, claim_times, claim_tricks

    return {**claim_experiments.EXPERIMENTS, **claim_tricks.EXPERIMENTS, **claim_times.EXPERIMENTS}


def near(value: float, figure: float | None, tolerance: float) -> bool:
    """Whether a figure of ours counts as the article's, within a share of the article's."""
    return figure is not None and math.isfinite(value) and abs(value - figure) <= tolerance * abs(figure)


# --- the table ---


def read_claims(path: Path | None = None) -> dict[str, Claim]:
    """The claims by id. Raises LabError for a damaged file, an unknown key or experiment, an id given twice."""
    import yaml

    path = path or data_dir() / "claims.yaml"
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LabError(f"The table of claims {path} cannot be read ({_why(error)}); restore the lab's own.") from None
    if not isinstance(table, Mapping) or not isinstance(table.get("claims"), list) or not table["claims"]:
        raise LabError(f"The table of claims {path} must have `source` and a list `claims`.")
    _known("the table of claims", table, ("source", "claims"))
    found: dict[str, Claim] = {}
    for row in table["claims"]:
        claim = _claim(row)
        if claim.id in found:
            raise LabError(f"The claim {claim.id!r} is in the table twice; give one of them another id.")
        found[claim.id] = claim
    return found


def _claim(row: Any) -> Claim:
    if not isinstance(row, Mapping):
        raise LabError(f"A claim is a list of `key: value`, not {row!r}.")
    name = f"the claim {row.get('id', '?')!r}"
    _known(name, row, tuple(f.name for f in fields(Claim)))
    for key in ("id", "where", "says", "experiment", "conditions"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise LabError(f"T{name[1:]} needs a text for `{key}`.")
    claim = Claim(**row)
    for key in ("figure", "against"):
        value = getattr(claim, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise LabError(f"The {key} of {name} must be a number, but is {value!r}.")
    for key, value, allowed in (("sense", claim.sense, SENSES), ("unit", claim.unit, UNITS)):
        if value not in allowed:
            raise LabError(f"The {key} of {name} must be one of {', '.join(allowed)}, but is {value!r}.")
    if claim.experiment not in experiments():
        guess = did_you_mean(claim.experiment, experiments())
        raise LabError(f"T{name[1:]} names an unknown experiment {claim.experiment!r}{guess}.")
    if not isinstance(claim.given, Mapping):
        raise LabError(f"The `given` of {name} must be arguments by name, but is {claim.given!r}.")
    return claim


def _known(what: str, row: Mapping[str, Any], keys: Iterable[str]) -> None:
    for key in row:
        if key not in keys:
            raise LabError(f"{what[0].upper()}{what[1:]} has an unknown key {key!r}{did_you_mean(key, keys)}; "
                           f"known are {', '.join(keys)}.")  # fmt: skip


def _why(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1} is not YAML" if mark else str(getattr(error, "strerror", None) or "not UTF-8 YAML")


def _digits(value: float) -> str:
    """Three digits, no exponent where people would write none."""
    if value and abs(value) < 1e-4:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
