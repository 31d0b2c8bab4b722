"""Experiments on memory, one small function each. All by trace at full size: exact bytes, no card.

Sizes are in GiB: what PyTorch and nvidia-smi print, and what an article that calls an 8 GiB card one of 8 GB means.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tts_lab.experiments import claim_traces as run
from tts_lab.experiments.claims import CHANGE, NOTHING, SIZE, Claim, Experiment, Figure, Measured, near
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import Recipe

GIB, MIB = 2**30, 2**20
LONGEST_PIECE = 36.0  # seconds: the most codes that the GPT can write
TWO_LENGTHS = (5.0, 25.0)  # seconds of speech, both in one piece
LINE = (20, 30, 50, 100)  # the article's numbers of steps
ITS_PEAKS = (4.9, 5.6, 6.8, 7.9)  # GB


def gib(size: float) -> Figure:
    return Figure(size / GIB, "GiB")


def mib(size: float) -> Figure:
    return Figure(size / MIB, "MiB")


def share(size: float, of: float) -> Figure:
    return Figure(100 * size / of, "%")


def value(measured: Measured, name: str) -> float:
    return measured[name].value


# --- steps ---


def steps_memory(steps: int, most: int = 100) -> Measured:
    """Peak of the test sentence at `steps` and at `most`; the same of the solver with autograd left on."""
    here, there = (run.request(run.PUBLIC, run.released(steps=n), run.SENTENCE).peak_allocated for n in (steps, most))
    lean = run.request(run.OURS, run.article("article-original", steps=most), run.SENTENCE).peak_allocated
    on, on_most = (run.peaks(run.SENTENCE, True)[n - 1] for n in (steps, most))
    return {
        "steps": Figure(steps, "steps"), "most": Figure(most, "steps"), "public": gib(here), "lean": gib(lean),
        "change": gib(here - there), "change_with_autograd": gib(on - on_most), "with_autograd": gib(on),
    }  # fmt: skip


def steps_pattern(seconds: float = run.SENTENCE) -> Measured:
    """A line through the article's four points, and what a step keeps when autograd is left on."""
    slope, start, bend = fitted(LINE, ITS_PEAKS)
    peaks, off = ({n: run.peaks(seconds, grad)[n - 1] for n in LINE} for grad in (True, False))
    kept = (peaks[100] - peaks[20]) / 80
    frames = run.total_frames(seconds)
    two, three = (run.solver(seconds, n, True, guidance=0.0).peak_bytes() for n in (2, 3))
    unguided = three - two
    return {
        "article_slope": mib(slope * GIB), "article_start": Figure(start, "GiB"), "article_miss": Figure(bend, "GiB"),
        "kept": mib(kept), "kept_a_frame": mib(kept / frames), "frames": Figure(frames, "frames"),
        "frames_that_fit": Figure(slope * GIB / (kept / frames), "frames"),
        "frames_that_fit_unguided": Figure(slope * GIB / (unguided / frames), "frames"),
        "seconds_that_fit": Figure(slope * GIB / (kept / frames) / run.FRAMES_PER_SECOND, "s"),
        "states_kept": mib(4 * 80 * frames), "off": mib(off[100]), "off_change": Figure(off[100] - off[20], "bytes"),
        "fewest": gib(peaks[20]), "most": gib(peaks[100]),
        "off_line": Figure(max(abs(peaks[n] - peaks[20] - kept * (n - 20)) for n in LINE), "bytes"),
    }  # fmt: skip


def fitted(xs: tuple[int, ...], ys: tuple[float, ...]) -> tuple[float, float, float]:
    """Least squares: slope, value at zero, and the largest distance of a point from the line."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    start = mean_y - slope * mean_x
    return slope, start, max(abs(y - start - slope * x) for x, y in zip(xs, ys, strict=True))


def _row_holds(name: str, change: str) -> Any:
    """A row with no row above is a size; any other is what it differs from that row by."""

    def test(claim: Claim, measured: Measured) -> bool:
        if claim.figure is None or claim.against is None:
            return near(value(measured, name), claim.figure, SIZE)
        return near(value(measured, change), claim.figure - claim.against, CHANGE)

    return test


# --- the bottleneck ---


def diffusion_peak() -> Measured:
    public = run.request(run.PUBLIC, run.released(steps=100), run.THREE_SENTENCES)
    return {
        "whole": gib(run.stage(public, "acoustic").peak_allocated),
        "activations": gib(run.activations(public, "acoustic")),
        "weights": gib(run.stage(public, "acoustic").by_category["weight"]),
        "read": gib(run.weights()["dit"]),
        "alone": gib(run.solver(run.THREE_SENTENCES, 2).peak_bytes()),
    }


def vocoder_peak(figure: float) -> Measured:
    """Activations of the vocoder at two lengths in one piece, and the length at which they would reach the figure."""
    short, long = (
        run.activations(run.request(run.OURS, Recipe(max_chars=500, offload="stage"), s), "vocoder")
        for s in TWO_LENGTHS
    )
    public = run.request(run.PUBLIC, run.released(), run.THREE_SENTENCES)
    a_second = (long - short) / (TWO_LENGTHS[1] - TWO_LENGTHS[0])
    return {
        "a_second": mib(a_second), "public": gib(run.activations(public, "vocoder")),
        "seconds_needed": Figure(TWO_LENGTHS[0] + (figure * GIB - short) / a_second, "s"),
        "longest": Figure(LONGEST_PIECE, "s"),
        "sambert": gib(_sambert(120.0, "whole")), "sambert_seconds": Figure(120.0, "s"),
    }  # fmt: skip


def both_peaks() -> Measured:
    public = run.request(run.PUBLIC, run.released(steps=100), run.THREE_SENTENCES)
    both = [run.activations(public, name) for name in ("acoustic", "vocoder")]
    return {
        "sum": gib(sum(both)), "larger": gib(max(both)), "whole": gib(public.peak_allocated),
        "weights": gib(public.alive.by_category["weight"]),
    }  # fmt: skip


# --- configurations ---


def configuration(recipe: str, above: str = "", program: str = run.OURS) -> Measured:
    """A row's peak and its distance from the row above, for three sentences."""
    report, before = _row(program, recipe), _row(program, above or recipe)
    return {
        "peak": gib(report.peak_allocated), "reserved": gib(report.peak_reserved + report.context),
        "change": gib(report.peak_allocated - before.peak_allocated),
        "weights": gib(report.alive.by_category["weight"]), "missing": gib(max(0, -report.margin)),
        "gpt_only": gib(_row(run.PUBLIC, "article-30-steps").peak_allocated - run.weights()["gpt"] / 2),
        "lean": gib(_row(run.OURS, recipe).peak_allocated), "sambert": gib(run.sambert_weights()),
    }  # fmt: skip


def _row(program: str, recipe: str) -> MemoryReport:
    chosen = run.article(recipe)
    if program == run.PUBLIC:  # which searches with three beams, whatever the article says of steps
        chosen = run.released(steps=chosen.steps)
    return run.request(program, chosen, run.THREE_SENTENCES)


def recommended() -> Measured:
    """The article's YAML as it stands, read as a file would be."""
    import yaml

    recipe = Recipe.from_dict(yaml.safe_load(RECOMMENDED_YAML))
    report = run.request(run.OURS, recipe, run.THREE_SENTENCES)
    bare = run.request(run.OURS, replace(recipe, steps=100, checkpointing=False), run.THREE_SENTENCES)
    return {
        "peak": gib(report.peak_allocated), "needs": gib(report.peak_reserved + report.context + report.band),
        "card": gib(report.card.total_bytes), "without_two": gib(bare.peak_allocated),
    }  # fmt: skip


RECOMMENDED_YAML = """\
inference:
  diffusion_steps: 30
  use_fp16: true
  enable_gradient_checkpointing: true
  cpu_offload: true
  max_text_length_per_chunk: 60
"""


def _sambert(seconds: float, way: str) -> int:
    rows = run.measured("sambert_curves")["lengths"]
    return int(next(row for row in rows if row["seconds"] == seconds)["peak_activation_bytes"][way])


def _fits(claim: Claim, measured: Measured) -> bool:
    return value(measured, "needs") < value(measured, "card")


def _above(name: str) -> Any:
    def test(claim: Claim, measured: Measured) -> bool:
        return claim.figure is not None and value(measured, name) > claim.figure

    return test


def _close(name: str) -> Any:
    return lambda claim, measured: near(value(measured, name), claim.figure, SIZE)


def _saves(name: str, of: str) -> Any:
    """A change that is more than nothing."""
    return lambda claim, measured: -value(measured, name) > NOTHING * value(measured, of)


EXPERIMENTS = {
    "most_steps_memory": Experiment(
        steps_memory, _row_holds("public", "change"), "public",
        "At {steps} the public program peaks at {public}, and ours, which holds only what speech needs, at {lean}; "
        "with autograd left on, the solver alone would keep {with_autograd}.",
    ),
    "steps_memory": Experiment(
        steps_memory, _row_holds("public", "change"), "public",
        "At {steps} the public program peaks at {public}, {change} from its peak at {most}; with autograd "
        "left on, the solver alone would keep {with_autograd}, and the two would differ by {change_with_autograd}.",
        "autograd is left on", _row_holds("with_autograd", "change_with_autograd"),
    ),
    "fewer_steps_memory": Experiment(
        steps_memory, _saves("change", "public"), "change",
        "Without autograd {most} and {steps} differ by {change} of {public}; left on, by {change_with_autograd}.",
        "autograd is left on", _saves("change_with_autograd", "with_autograd"),
    ),
    "steps_pattern": Experiment(
        steps_pattern, lambda c, m: abs(value(m, "off_change")) > NOTHING * value(m, "off") * MIB, "off_change",
        "The article's points lie within {article_miss} of a line of {article_slope} a step from {article_start}; "
        "without autograd steps change the solver's peak by {off_change}, with it each keeps {kept} for {frames} of "
        "clip and sentence, on a line to within {off_line}, so that the article's slope would be that of only "
        "{frames_that_fit} ({seconds_that_fit}; {frames_that_fit_unguided} without guidance), and keeping the states "
        "themselves costs {states_kept} a step.",
        "autograd is left on and clip and speech together last about {seconds_that_fit}",
        lambda c, m: value(m, "seconds_that_fit") > 1.0,
    ),
    "diffusion_peak": Experiment(
        diffusion_peak, _above("activations"), "activations",
        "The diffusion stage makes {activations} of activations and reads {read} of weights ({alone} with both, "
        "alone); the rest of {whole} is {weights} of everybody's weights.",
        "the weights of all networks are counted, idle ones too", _above("whole"),
    ),
    "vocoder_peak": Experiment(
        vocoder_peak, _above("public"), "public",
        "For three sentences the vocoder makes {public} of activations, {a_second} for each further second, and would "
        "need a single piece of {seconds_needed} where the GPT ends at {longest}; Sambert's vocoder makes {sambert} of "
        "{sambert_seconds} in one piece.",
        "one piece of speech lasts {seconds_needed}", lambda c, m: value(m, "seconds_needed") <= value(m, "longest"),
    ),
    "both_peaks": Experiment(
        both_peaks, _above("sum"), "sum",
        "The two stages' activations come one after the other, {larger} at most and {sum} if added; the program's "
        "{whole} are {weights} of weights.",
        "the weights of all networks are counted, idle ones too", _above("whole"),
    ),
    "configuration": Experiment(
        configuration, _row_holds("peak", "change"), "peak",
        "The peak is {peak} ({weights} of it weights), {change} from the row above.",
    ),
    "first_configuration": Experiment(
        configuration, lambda c, m: near(value(m, "peak"), c.figure, SIZE) and value(m, "missing") > 0, "peak",
        "The public program peaks at {peak} ({weights} of it weights); with CUDA and what PyTorch reserves it takes "
        "{reserved}, {missing} more than the article's card has. Ours peaks at {lean} with the same settings, and "
        "Sambert-HiFiGAN has only {sambert} of weights.",
    ),
    "half_configuration": Experiment(
        configuration, lambda c, m: near(value(m, "gpt_only"), c.figure, SIZE), "peak",
        "With every large network cast and nothing unread held the peak is {peak}; the public flag casts the GPT "
        "alone, which leaves {gpt_only}.",
        "every large network is cast and nothing is held that speech does not read", _close("peak"),
    ),
    "recommended": Experiment(
        recommended, lambda c, m: _fits(c, m) and value(m, "peak") <= (c.figure or 0) * (1 + SIZE), "peak",
        "Read as it stands, it peaks at {peak} and needs at most {needs} of the card's {card}; without its "
        "checkpointing and with the original number of steps the peak is {without_two}.",
    ),
}  # fmt: skip
