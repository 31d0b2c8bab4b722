"""The planner: for a system and a card, the fastest recipe that fits, what it gives up, and what else there is.

All memory is predicted by trace and replay, all time is an estimate, and all quality is measured or said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tts_lab.errors import LabError, RecipeError
from tts_lab.experiments.ladder import MOVED, Answer, Lengths, Space, explore, need, ways
from tts_lab.experiments.plan_result import MIB, Option, Plan, front, order
from tts_lab.experiments.sound import SOUND, Floors, Setting, measured, meeting, quality_of, reference, told
from tts_lab.experiments.vram import REFERENCE_SECONDS, SECONDS, traced
from tts_lab.memory.cards import Card, find_card
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.roofline import estimate
from tts_lab.recipe import PRESETS, Recipe

SAFETY = 0.05  # share of the card that stays free
SYLLABLES_PER_SECOND = 4.5  # of Mandarin, pauses included; a character is a syllable
PRICES = {
    "precision": "half precision rounds", "quantisation": "weights are rounded to eight bits",
    "max_chars": "shorter pieces have more joins",
    "offload": "idle weights wait in the computer's memory and are transferred for each piece, or at each use",
    "tile": "overlaps of tiles are computed twice", "guidance_mode": "guidance runs smaller kernels, twice as many",
    "cache": "keys and values move or wait otherwise",
}  # fmt: skip


def plan(
    system: str, card: Card | str, *, text: str | None = None, seconds: float | None = None,
    reference_seconds: float = REFERENCE_SECONDS, quality: str | None = None, safety: float = SAFETY,
    levers: Sequence[str] = MOVED,
) -> Plan:  # fmt: skip
    """The fastest recipe with the verdict `fits` and, on top of all that may come, a margin of `safety` of the card.

    text or seconds: what is to be spoken; neither: 30 s. reference_seconds: of the clip whose voice is imitated.
    quality: None keeps steps, solver, guidance and beams as in the system's reference recipe, and the length of pieces
    if anything else fits; `error<=5%, mos>=4.2` takes any number of steps, solver and number format that was measured
    and meets it, and no other; a preset's name keeps all that touches the sound as in that preset. levers: that may be
    moved, of `ladder.MOVED`. What the search assumes stands in `ladder`.

    Raises LabError for an unknown system, card, preset or lever, for bad lengths, or a floor that no measured setting
    meets. Where nothing fits, the plan says so.
    """
    card, lengths = find_card(card), Lengths(_seconds(text, seconds), reference_seconds)
    _check(safety, levers)
    base = reference(system)
    space, allowed = _space(system, base, quality, levers, card)
    answers = explore(space, lengths, card)
    options = _unlike([_option(system, base, card, answer) for answer in answers])
    wanted = [option for option in options if _same(option.recipe, allowed)]
    choice, report = _fastest(system, wanted, card, lengths, safety)
    smallest = min(wanted, key=lambda option: (option.context + option.peak_reserved + option.band, order(option)))
    before = _reference(system, base, card, lengths)
    return Plan(
        system, card, lengths, safety, quality or f"as in {base.name}", choice, report, front(options),
        _fallbacks(choice, wanted), smallest, before, given_up(before, choice, card) if choice else (), space.size,
        sum(answer.traced for answer in answers),
    )  # fmt: skip


def given_up(before: Option, choice: Option, card: Card) -> tuple[str, ...]:
    """Sentences: in what the choice differs from the reference recipe, what that costs, and what is not known."""
    found = []
    if Setting.of(before.recipe) != Setting.of(choice.recipe):
        calls = (before.recipe.evaluations_per_chunk, choice.recipe.evaluations_per_chunk)
        sounds = (
            f"; measured: {before.quality} before, {choice.quality} now" if before.quality and choice.quality else ""
        )
        found.append(f"{calls[1]} evaluations for a piece instead of {calls[0]}{sounds}.")
    for lever, price in PRICES.items():
        old, new = getattr(before.recipe, lever), getattr(choice.recipe, lever)
        if old != new:
            unknown = ", which was not measured on sound" if lever in SOUND and not choice.quality else ""
            found.append(f"{lever} {new} instead of {old}: {price}{unknown}.")
    if not found:
        return (f"Nothing: it is the reference recipe {before.name}.",)
    less = (before.peak_reserved - choice.peak_reserved) / MIB
    found.append(
        f"For that it reserves {abs(less):,.0f} MiB {'less' if less >= 0 else 'more'} than {before.name} and takes "
        f"{choice.seconds:.1f} s instead of {before.seconds:.1f} on {card.name} (both estimated)."
    )
    return tuple(found)


def speech_seconds(text: str) -> float:
    """About how long a text is when spoken, in whole seconds, at least one. Raises LabError for one that is empty."""
    from tts_lab.text.normalise import normalise

    count = sum(character.isalnum() for character in normalise(text).text)
    if not count:
        raise LabError("There is no text to plan for; give some Chinese text, such as 你好。")
    return float(max(1, -(-count // SYLLABLES_PER_SECOND)))


def _seconds(text: str | None, seconds: float | None) -> float:
    if text is not None and seconds is not None:
        raise LabError("Give the text or the seconds of the speech, not both.")
    if text is not None:
        return speech_seconds(text)
    return SECONDS if seconds is None else seconds


def _check(safety: float, levers: Sequence[str]) -> None:
    if isinstance(safety, bool) or not isinstance(safety, int | float) or not 0 <= safety < 1:
        raise LabError(f"The safety margin must be a share of the card from 0 to below 1, such as 5%, not {safety!r}.")
    for lever in levers:
        if lever not in MOVED:
            raise RecipeError(f"A plan does not move {lever!r}; it moves {', '.join(MOVED)}.")


def _space(
    system: str, base: Recipe, quality: str | None, levers: Sequence[str], card: Card
) -> tuple[Space, tuple[Recipe, ...]]:
    """What is searched, and recipes whose sound levers (steps, guidance, ...) the choice may have."""
    own = Setting.of(base)
    if quality is None:  # of other solvers only a floor asks
        known = (Setting.of(each.on(base)) for each in measured(system) if each.on(base).solver == base.solver)
        settings = tuple(dict.fromkeys((own, *known)))
        return _spaced(system, base, settings, levers), (base,)
    if quality in PRESETS:
        base = Recipe.named(quality)
        levers = [lever for lever in levers if lever not in SOUND]
        return _spaced(system, base, (Setting.of(base),), levers), (base,)
    settings = _computed(meeting(system, Floors.parse(quality)), base, card)
    levers = [lever for lever in levers if lever not in SOUND]  # formats come with the settings that meet the floors
    return _spaced(system, base, settings, levers), tuple(setting.on(base) for setting in settings)


def _computed(settings: Sequence[Setting], base: Recipe, card: Card) -> tuple[Setting, ...]:
    """Those in a number format that the card has hardware for; it could compute in others, but nobody would want to."""
    found = tuple(each for each in settings if each.on(base).precision in ("fp32", *card.rates))
    if not found:
        formats = ", ".join(dict.fromkeys(each.on(base).precision for each in settings))
        raise LabError(f"Only {formats} meets that floor, which {card.name} does not compute; ask for less.")
    return found


def _spaced(system: str, base: Recipe, settings: tuple[Setting, ...], levers: Sequence[str]) -> Space:
    values = ways(system, base, levers)
    start = base.replace(**{name: each[0] for name, each in values.items()}, checkpointing=False)
    return Space(system, settings, values, start)


def _option(system: str, base: Recipe, card: Card, answer: Answer) -> Option:
    moved = tuple(name for name in SOUND if getattr(answer.recipe, name) != getattr(base, name))
    return Option(
        answer.recipe, answer.need.reserved, card.context_bytes, answer.need.band, answer.seconds,
        told(system, answer.recipe), quality_of(system, answer.recipe), moved, answer.traced,
    )  # fmt: skip


def _reference(system: str, base: Recipe, card: Card, lengths: Lengths) -> Option:
    found = need(system, base, lengths, card)
    return _option(system, base, card, Answer(base, Setting.of(base), found, estimate(found.work, card).seconds))


def _unlike(options: Iterable[Option]) -> list[Option]:
    """Each recipe once: what was traced before what was not."""
    found: dict[Recipe, Option] = {}
    for option in options:
        if option.recipe not in found or (option.traced and not found[option.recipe].traced):
            found[option.recipe] = option
    return list(found.values())


def _same(recipe: Recipe, allowed: tuple[Recipe, ...]) -> bool:
    return any(Setting.of(recipe) == Setting.of(one) for one in allowed)


def _fastest(
    system: str, wanted: Sequence[Option], card: Card, lengths: Lengths, safety: float
) -> tuple[Option | None, MemoryReport | None]:
    """The first in order that fits by a trace of its own on this very card. Pieces keep their length where they can."""
    for option in sorted(wanted, key=lambda option: ("max_chars" in option.moved, *order(option))):
        if option.missing(card, safety) <= 0:
            log = traced(system, card, option.recipe, lengths.seconds, lengths.reference_seconds)
            report = MemoryReport.of(log, card)
            if report.verdict == "fits" and report.margin >= report.band + int(safety * card.total_bytes):
                return _exact(option, report), report
    return None, None


def _exact(option: Option, report: MemoryReport) -> Option:
    """The option with the figures of its own trace."""
    seconds = report.estimate.seconds if report.estimate else option.seconds
    return replace(option, peak_reserved=report.peak_reserved, band=report.band, seconds=seconds, traced=True)


def _fallbacks(choice: Option | None, wanted: Sequence[Option]) -> tuple[Option, ...]:
    """What to step down to when the choice does not fit after all: each smaller than the one before, fastest first."""
    if choice is None:
        return ()
    found, size = [], choice.peak_reserved
    for option in sorted(wanted, key=order):
        if option.peak_reserved < size and option.seconds >= choice.seconds:
            found.append(option)
            size = option.peak_reserved
    return tuple(found)
