"""Experiments on time and quality. Times of the full-size system are roofline estimates for the article's card, never
measurements; those of the bundled voice and all quality figures are read from `data/measured`."""

from __future__ import annotations

from typing import Any

from tts_lab.experiments import claim_traces as run
from tts_lab.experiments.claim_experiments import value
from tts_lab.experiments.claims import CHANGE, ESTIMATE, Claim, Experiment, Figure, Measured, near
from tts_lab.memory.report import MemoryReport

FEW, MANY = "4 evaluations", "32 evaluations"  # settings of the bundled voice
SEVERAL = 30.0  # seconds of speech: more than one piece
EAR = 0.01  # relative error of a network that counts as hardly any change


def steps_time(steps: int, most: int = 100) -> Measured:
    """Estimated seconds for the test sentence, whole and of the diffusion stage; measured ones of the bundled voice."""
    here, there = (run.request(run.PUBLIC, run.released(steps=n), run.SENTENCE) for n in (steps, most))
    alone, alone_most = (run.stage(report, "acoustic").seconds for report in (here, there))
    fixed, each = real_time_line()
    return {
        "steps": Figure(steps, "steps"), "most": Figure(most, "steps"),
        "whole": _seconds(here), "stage": Figure(alone, "s", True),
        "ratio": Figure(_seconds(here).value / _seconds(there).value, "x", True),
        "stage_ratio": Figure(alone / alone_most, "x", True),
        "mini_ratio": Figure((fixed + 2 * steps * each) / (fixed + 2 * most * each), "x"),
    }  # fmt: skip


def real_time_line() -> tuple[float, float]:
    """Real-time factor of the bundled voice, measured, as a line: without any evaluation, and for each."""
    settings = {s["name"]: s for s in run.measured("quality-mini")["settings"]}
    few, many = settings["8 evaluations"], settings[MANY]
    each = (many["figures"]["all"]["real_time_factor"] - few["figures"]["all"]["real_time_factor"]) / (
        many["evaluations"] - few["evaluations"]
    )
    return few["figures"]["all"]["real_time_factor"] - each * few["evaluations"], each


def configuration_time(recipe: str, above: str = "", program: str = run.OURS) -> Measured:
    """Estimated seconds for three sentences, and how many times those of the row above."""
    here, before = (_row(program, name) for name in (recipe, above or recipe))
    diffusion = [run.stage(report, "acoustic").seconds for report in (here, before)]
    return {
        "whole": _seconds(here), "before": _seconds(before), "stage": Figure(diffusion[0], "s", True),
        "ratio": Figure(_seconds(here).value / _seconds(before).value, "x", True),
        "stage_ratio": Figure(diffusion[0] / diffusion[1], "x", True),
    }  # fmt: skip


def offload_time() -> Measured:
    """The last two rows for three sentences, and for speech of several pieces."""
    rows = [run.article(f"article-{name}") for name in ("checkpointing", "recommended")]
    kept, gone = (run.request(run.OURS, row, run.THREE_SENTENCES) for row in rows)
    long_kept, long_gone = (run.request(run.OURS, row, SEVERAL) for row in rows)
    transfers = [r.estimate.bound_by.get("transfer", 0.0) if r.estimate else 0.0 for r in (long_kept, long_gone)]
    return {
        "whole": _seconds(gone), "before": _seconds(kept), "several": Figure(SEVERAL, "s"),
        "ratio": Figure(_seconds(gone).value / _seconds(kept).value, "x", True),
        "long_ratio": Figure(_seconds(long_gone).value / _seconds(long_kept).value, "x", True),
        "transfers_kept": Figure(transfers[0], "s", True), "transfers_gone": Figure(transfers[1], "s", True),
    }  # fmt: skip


def _row(program: str, recipe: str) -> MemoryReport:
    chosen = run.article(recipe)
    if program == run.PUBLIC:
        chosen = run.released(steps=chosen.steps)
    return run.request(program, chosen, run.THREE_SENTENCES)


def _seconds(report: MemoryReport) -> Figure:
    return Figure(report.estimate.seconds if report.estimate else 0.0, "s", True)


def steps_quality() -> Measured:
    """DistillMOS and recognised syllables of the bundled voice with few and with many evaluations, on the way to the
    path's own end: a leap stops short of it whatever the number."""
    settings = {s["name"]: s for s in run.measured("quality-mini")["settings"]}
    ways = [settings[name] for name in (f"{FEW}, sway", f"{MANY}, sway", "1 evaluation")]
    few, many, one = (way["figures"]["all"] for way in ways)
    few_steps, many_steps = (Figure(way["recipe"]["steps"], "steps") for way in ways[:2])
    return {
        "few": Figure(few["mos"], "MOS"), "many": Figure(many["mos"], "MOS"), "one": Figure(one["mos"], "MOS"),
        "many_low": Figure(many["mos_interval"][0], "MOS"), "one_high": Figure(one["mos_interval"][1], "MOS"),
        "few_high": Figure(few["mos_interval"][1], "MOS"), "few_steps": few_steps, "many_steps": many_steps,
        "few_error": Figure(100 * few["toneless"], "%"), "many_error": Figure(100 * many["toneless"], "%"),
    }  # fmt: skip


def half_quality() -> Measured:
    """Largest relative error of a network in half precision, random weights."""
    errors = run.measured("half_precision")["errors"]
    return {
        "largest": Figure(100 * max(errors.values()), "%"),
        "flow": Figure(100 * errors["flow matching, 25 steps"], "%"),
        "vocoder": Figure(100 * errors["vocoder"], "%"),
    }


def _ratio(name: str, whole: str) -> Any:
    """A row's time against the first row's or the row above's; the first's own, within what an estimate is worth."""

    def test(claim: Claim, measured: Measured) -> bool:
        if claim.figure is None or claim.against is None:
            return claim.figure is not None and within_factor(value(measured, whole), claim.figure)
        return near(value(measured, name) - 1, claim.figure / claim.against - 1, CHANGE)

    return test


def within_factor(found: float, figure: float) -> bool:
    """Whether an estimate of a time and the article's differ by no more than an estimate may."""
    return figure / (1 + ESTIMATE) <= found <= figure * (1 + ESTIMATE)


EXPERIMENTS = {
    "steps_time": Experiment(
        steps_time, _ratio("ratio", "whole"), "ratio",
        "At {steps} a sentence takes {whole}, {ratio} of its time at {most}; the diffusion stage alone {stage}, "
        "{stage_ratio} of its own (estimates); the bundled voice, measured and continued, {mini_ratio}.",
        "the diffusion stage alone is timed", _ratio("stage_ratio", "stage"),
    ),
    "most_steps_time": Experiment(
        steps_time, _ratio("ratio", "whole"), "whole",
        "At {steps} a sentence takes {whole}, of which the diffusion stage {stage} (estimates for the article's card).",
    ),
    "fewer_steps_time": Experiment(
        steps_time, lambda c, m: value(m, "ratio") < 1 - CHANGE / 2, "ratio",
        "From {most} to {steps} the time of a sentence becomes {ratio} of what it was, that of the diffusion stage "
        "{stage_ratio} (estimates), that of the bundled voice {mini_ratio} (measured and continued).",
    ),
    "first_time": Experiment(
        configuration_time, _ratio("ratio", "whole"), "whole",
        "Three sentences take {whole}, of which the diffusion stage {stage} (estimates for the article's card).",
    ),
    "configuration_time": Experiment(
        configuration_time, _ratio("ratio", "whole"), "ratio",
        "Three sentences take {whole} where the row above takes {before}, {ratio} of it; the diffusion stage alone "
        "{stage_ratio} (estimates for the article's card).",
        "the diffusion stage alone is timed", _ratio("stage_ratio", "stage"),
    ),
    "offload_time": Experiment(
        offload_time, _ratio("ratio", "whole"), "ratio",
        "Three sentences, one piece, take {whole} where the row above takes {before}, {ratio} of it, because weights "
        "come once either way; {several} of speech take {long_ratio}, copies {transfers_gone} instead of "
        "{transfers_kept}, and the clip's frames are computed again with each of the shorter pieces (estimates).",
        "the text is longer than one piece", _ratio("long_ratio", "whole"),
    ),
    "steps_quality": Experiment(
        steps_quality, lambda c, m: value(m, "few_high") < value(m, "many_low"), "few",
        "The bundled voice is rated {few} at {few_steps} and {many} at {many_steps} by DistillMOS (interval from "
        "{many_low}), and a recogniser mishears {few_error} and {many_error}; at a single evaluation it is {one}. No "
        "person rated it.",
        "fewer than {few_steps} are taken", lambda c, m: value(m, "one_high") < value(m, "many_low"),
    ),
    "half_quality": Experiment(
        half_quality, lambda c, m: False, "largest",
        "No network moves by more than {largest} of its result, the flow matching by {flow}, the vocoder by {vocoder}; "
        "with random weights, and no listener.",
        "so small an error of the numbers is small to the ear", lambda c, m: value(m, "largest") <= 100 * EAR,
    ),
}  # fmt: skip
