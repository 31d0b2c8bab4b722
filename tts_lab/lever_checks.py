"""What values a lever takes: each check gives the value back in its own type, or refuses it in a sentence."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, NoReturn

from tts_lab.errors import RecipeError
from tts_lab.nearest import did_you_mean

Check = Callable[[str, Any], Any]  # (lever, value) -> the value in its own type, or RecipeError


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(lever: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            _refuse(lever, f"a whole number from {low} to {high}", value)
        if not low <= int(value) <= high:
            _refuse(lever, f"from {low} to {high}", value)
        return int(value)

    return check


def real(low: float, high: float) -> Check:
    """A finite number from `low` to `high`."""

    def check(lever: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            _refuse(lever, f"a number from {low:g} to {high:g}", value)
        number = float(value)
        if not math.isfinite(number) or not low <= number <= high:
            _refuse(lever, f"a finite number from {low:g} to {high:g}", value)
        return number

    return check


def or_none(check: Check) -> Check:
    """What `check` takes, or nothing: the system's own."""

    def checked(lever: str, value: Any) -> Any:
        return None if value is None else check(lever, value)

    return checked


def one_of(*names: str) -> Check:
    """One of a few names."""

    def check(lever: str, value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            guess = did_you_mean(value, names) if isinstance(value, str) else ""
            _refuse(lever, f"one of {', '.join(names)}", value, guess)
        return value

    check.names = names  # type: ignore[attr-defined]
    return check


def switch(lever: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        _refuse(lever, "true or false", value)
    return value


def shown(value: Any) -> str:
    """A value as a sentence names it, with its kind where that may be the mistake."""
    if value is None:
        return "empty"
    kind = {bool: "true or false", str: "text", list: "a list", dict: "a section"}.get(type(value), "")
    return f"{value!r}" + (f" ({kind})" if kind and not isinstance(value, bool) else "")


def _refuse(lever: str, expected: str, value: Any, guess: str = "") -> NoReturn:
    raise RecipeError(f"{lever} must be {expected}, but is {shown(value)}{guess}.")
