"""Experiments on the article's tricks other than fewer steps: checkpointing, half precision, pieces, offload."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F

from tts_lab.experiments import claim_traces as run
from tts_lab.experiments.claim_experiments import TWO_LENGTHS, gib, mib, share, value
from tts_lab.experiments.claims import NOTHING, Claim, Experiment, Figure, Measured, near
from tts_lab.recipe import Recipe
from tts_lab.systems.indextts2.stages import FULL_PRECISION, VOICE_ONLY

HALF = 0.05  # what is halved is half to within so much
STEPS = 2  # of the solver, where autograd is on: more of them do not fit the card
LONG, LONGER = 66.0, 660.0  # seconds of speech: both whole numbers of full pieces
ONE_PIECE, PIECES = 500, 60  # characters
CUSTOMARY = 8.0  # GiB: the next smaller amount of a computer's memory than the article's
ROUNDING = 2.0**-10  # of half precision, relative to the largest value near by


# --- checkpointing ---


def checkpointing() -> Measured:
    """The solver for three sentences with and without it, autograd off and on."""
    off, on = ([_solver_peak(grad, kept) for kept in (False, True)] for grad in (False, True))
    rows = [
        run.request(run.OURS, run.article(f"article-{name}"), run.THREE_SENTENCES) for name in ("fp16", "checkpointing")
    ]
    return {
        "steps": Figure(STEPS, "steps"), "without_grad": Figure(off[1] - off[0], "bytes"),
        "request": Figure(rows[1].peak_allocated - rows[0].peak_allocated, "bytes"), "peak": mib(off[0]),
        "grad": gib(on[0]), "grad_checkpointed": gib(on[1]), "change": gib(off[1] - off[0]),
        "with_grad": gib(on[1] - on[0]),
    }  # fmt: skip


def _solver_peak(grad: bool, checkpointed: bool) -> int:
    return run.solver(run.THREE_SENTENCES, STEPS, grad, checkpointed).peak_bytes()


def checkpointing_time() -> Measured:
    """Estimated time that recomputing adds: without a backward pass, and at most with one."""
    plain, kept = (run.seconds_of(run.solver(run.THREE_SENTENCES, STEPS, False, on)) for on in (False, True))
    forward = run.seconds_of(run.solver(run.THREE_SENTENCES, STEPS, True))
    both = run.seconds_of(run.solver(run.THREE_SENTENCES, STEPS, True, False, True))
    return {
        "added": Figure(100 * (kept / plain - 1), "%", True),
        "added_backward": Figure(100 * forward / both, "%", True),
    }


# --- half precision ---


def half_weights() -> Measured:
    """Weights and activations in half precision for each of single precision's, and the public flag's share."""
    whole, half = (_three(f"article-{name}") for name in ("30-steps", "fp16"))
    scores, fused = (_halved(kernel) for kernel in ("math", "auto"))
    bytes_of = run.weights()
    cast = sum(bytes_of[name] for name in bytes_of if name not in FULL_PRECISION)
    total = sum(bytes_of.values())
    return {
        "weights": share(half.alive.by_category["weight"], whole.alive.by_category["weight"]),
        "single": gib(whole.alive.by_category["weight"]), "half": gib(half.alive.by_category["weight"]),
        "cast": share(cast, total), "flag": share(total - bytes_of["gpt"] / 2, total),
        "fused": fused, "scores": scores,
    }  # fmt: skip


def _three(name: str) -> Any:
    return run.request(run.OURS, run.article(name), run.THREE_SENTENCES)


def _halved(attention: str) -> Figure:
    """The solver's activations for a long piece, in half precision, for each of single precision's."""
    logs = [run.solver(TWO_LENGTHS[1], STEPS, precision=p, attention=attention) for p in ("fp16", "fp32")]
    return share(*(log.peak_bytes() - log.bytes_of("weight") for log in logs))


@lru_cache(maxsize=1)
def norm_precision() -> Measured:
    """LayerNorm in half precision against the same in single: PyTorch's own, and one written out in half precision.

    Values of spread 1 about 32, as a residual stream may have them: 512 channels, and the released width.
    """
    x = (torch.randn(64, 512, generator=torch.Generator().manual_seed(0)) + 32).half()
    exact = F.layer_norm(x.float(), (512,))
    centred = x - x.mean(-1, keepdim=True)
    by_hand = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    top = float(exact.abs().max())
    errors = {
        "own": float((F.layer_norm(x, (512,)).float() - exact).abs().max()) / top,
        "by_hand": float((by_hand.float() - exact).abs().max()) / top,
    }
    spans = {name: Figure(float(f"{error:.2g}")) for name, error in errors.items()}
    return {**spans, "rounding": Figure(ROUNDING)}


# --- pieces ---


def chunking() -> Measured:
    """Peaks beyond the weights at several lengths, in one piece as far as the model goes, and in short pieces."""
    short, whole = (_beyond(seconds, ONE_PIECE) for seconds in TWO_LENGTHS)
    long, longer = (_beyond(seconds, PIECES) for seconds in (LONG, LONGER))
    report = run.request(run.OURS, Recipe(max_chars=PIECES), LONG)
    sambert = {row["seconds"]: row["peak_activation_bytes"] for row in run.measured("sambert_curves")["lengths"]}
    return {
        "a_second": mib((whole - short) / (TWO_LENGTHS[1] - TWO_LENGTHS[0])), "one_piece": mib(whole),
        "pieces": mib(long),
        "long": Figure(LONG, "s"), "longer": Figure(LONGER, "s"), "growth": Figure(longer - long, "bytes"),
        "weights": gib(report.alive.by_category["weight"]),
        "naive": gib(sambert[120.0]["naive"]), "naive_short": gib(sambert[4.0]["naive"]),
        "streamed": mib(sambert[120.0]["streamed"]), "naive_seconds": Figure(120.0, "s"),
    }  # fmt: skip


def _beyond(seconds: float, characters: int) -> int:
    """Most activations and cache of any stage of the speech, apart from what the clip takes."""
    report = run.request(run.OURS, Recipe(max_chars=characters, offload="stage"), seconds)
    return max(run.activations(report, name) for name in ("semantic", "acoustic", "vocoder"))


def curve(lengths: tuple[float, ...] = (6.6, 13.2, 26.4, 66.0)) -> dict[float, tuple[int, int]]:
    """Speech in seconds -> bytes beyond the weights, in the longest pieces there can be and in short ones."""
    return {seconds: (_beyond(seconds, ONE_PIECE), _beyond(seconds, PIECES)) for seconds in lengths}


# --- offload ---


def offload() -> Measured:
    """What each network weighs that idles while the mel is made, and what offloading all of them saves."""
    size = run.weights()
    kept, gone = _three("article-checkpointing"), _three("article-recommended")
    return {
        "speaker_encoder": mib(size["campplus"]), "encoder_share": share(size["campplus"], kept.peak_allocated),
        "features": mib(size["features"]), "gpt": mib(size["gpt"]), "conditioner": mib(size["conditioner"]),
        "voice_only": gib(sum(size[name] for name in VOICE_ONLY)),
        "kept": gib(kept.peak_allocated), "all_idle": gib(gone.peak_allocated),
        "saved": share(kept.peak_allocated - gone.peak_allocated, kept.peak_allocated),
    }  # fmt: skip


def idle() -> dict[str, int]:
    """Bytes of every network in single precision, the largest first."""
    return dict(sorted(run.weights().items(), key=lambda item: -item[1]))


def offload_memory() -> Measured:
    """What the computer's memory must hold: single-precision originals of all networks, and the program itself."""
    originals = sum(run.weights().values())
    program = run.measured("speed")["texts"]["a sentence"]["peak_process_bytes"]
    return {
        "originals": gib(originals), "program": gib(program), "needs": gib(originals + program),
        "customary": Figure(CUSTOMARY, "GiB"),
    }  # fmt: skip


def _at_most(name: str, limit: float) -> Any:
    return lambda claim, measured: value(measured, name) <= limit


def _saves_as_much(name: str) -> Any:
    """At least what the article says, as a change below zero."""

    def test(claim: Claim, measured: Measured) -> bool:
        return value(measured, name) <= (claim.figure or -NOTHING)

    return test


EXPERIMENTS = {
    "checkpointing": Experiment(
        checkpointing, _saves_as_much("change"), "change",
        "Without autograd the solver's peak of {peak} changes by {without_grad} and that of a whole request by "
        "{request}; with autograd left on, over {steps}, it goes from {grad} to {grad_checkpointed}.",
        "autograd is left on", _saves_as_much("with_grad"),
    ),
    "checkpointing_time": Experiment(
        checkpointing_time, lambda c, m: near(value(m, "added"), c.figure, 0.5), "added",
        "Without a backward pass nothing is computed again, {added} more; with one it would be {added_backward} more, "
        "at most (estimates).",
        "a backward pass follows", lambda c, m: near(value(m, "added_backward"), c.figure, 0.5),
    ),
    "half_weights": Experiment(
        half_weights, lambda c, m: abs(value(m, "weights") / 50 - 1) <= HALF, "weights",
        "Cast as a whole, {single} of weights become {half}, {weights}; casting the GPT alone, as the public flag "
        "does, leaves {flag}; activations become {fused} with a fused attention kernel and {scores} with written-out "
        "scores, which stay in single precision.",
        "every large network is cast", _at_most("weights", 60.0),
    ),
    "norm_precision": Experiment(
        norm_precision, lambda c, m: value(m, "own") > 2 * value(m, "rounding"), "own",
        "PyTorch's own norm computes in single precision whatever it is given: its error is {own} of the largest "
        "value, where half precision rounds by {rounding}; one written out in half precision is {by_hand} off.",
        "the norm is written out in half precision", lambda c, m: value(m, "by_hand") > 2 * value(m, "rounding"),
    ),
    "chunking": Experiment(
        chunking, lambda c, m: abs(value(m, "growth")) <= NOTHING * value(m, "pieces") * 2**20, "pieces",
        "In one piece {a_second} come with each second of speech, {one_piece} at the longest; in pieces it is {pieces} "
        "at {long} and {growth} more at {longer}, beside {weights} of weights that no piece makes smaller; published "
        "Sambert grows from {naive_short} to {naive} at {naive_seconds}, and to {streamed} when streamed.",
    ),
    "offload": Experiment(
        offload, lambda c, m: value(m, "encoder_share") > 100 * NOTHING, "speaker_encoder",
        "The speaker encoder is {speaker_encoder}, {encoder_share} of the peak in half precision; the feature "
        "extractor is {features}, the GPT {gpt}, the conditioners {conditioner}, and letting every idle network leave "
        "takes the peak from {kept} to {all_idle}.",
        "all idle networks leave, not the speaker encoder alone", lambda c, m: value(m, "saved") > 100 * NOTHING,
    ),
    "offload_memory": Experiment(
        offload_memory, lambda c, m: value(m, "needs") > value(m, "customary"), "needs",
        "The computer holds {originals} of weights in single precision and {program} of program, {needs} together; the "
        "next smaller customary memory is {customary}.",
    ),
}  # fmt: skip
