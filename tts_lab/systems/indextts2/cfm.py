"""The mel from noise: conditional flow matching with a reference clip's mel as prompt.

Axes: b batch, m mel bands, t mel frames (the prompt's p, then those of the speech to be made), c content, s style.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import pad

from tts_lab.nn.dit import DiT
from tts_lab.nn.flow import Step, Velocity, evaluations, guided, guided_alternate, guided_batched, schedule, solve
from tts_lab.nn.watching import showing

GUIDANCE = 0.7  # of the public pipeline
STEPS = 25
MODES = ("batched", "sequential", "alternate")


@dataclass(frozen=True)
class Conditions:
    """What the velocity is conditioned on. content: (b, t, c); style: (b, s); prompt: (b, m, t), zero past frame p."""

    content: Tensor
    style: Tensor
    prompt: Tensor

    def none(self) -> Conditions:
        """The null branch of guidance: zeros throughout."""
        return Conditions(*(torch.zeros_like(getattr(self, f.name)) for f in fields(self)))

    def beside(self, other: Conditions) -> Conditions:
        """Both in one batch."""
        return Conditions(*(torch.cat((getattr(self, f.name), getattr(other, f.name))) for f in fields(self)))


def generate(dit: DiT, noise: Tensor, content: Tensor, style: Tensor, prompt: Tensor, *, steps: int = STEPS,
             solver: str = "euler", kind: str = "uniform", guidance: float = GUIDANCE, mode: str = "batched",
             callback: Callable[[Step], None] | None = None) -> tuple[Tensor, int]:  # fmt: skip
    """Noise -> natural-log mel of the frames after the prompt, and the model evaluations that it took.

    noise: (b, m, t) float32, already times its temperature; content: (b, t, c) of prompt and speech; style: (b, s);
    prompt: (b, m, p) mel of the reference clip. Returns (b, m, t - p) float32. kind: of `flow.schedule`. mode: both
    halves of guidance in one call or one after the other; guidance 0 leaves the second out. The state stays in float32
    whatever the weights' type. Raises ValueError for an unknown mode or solver.
    """
    dtype = dit.merge.weight.dtype
    p = prompt.shape[2]
    given = Conditions(content.to(dtype), style.to(dtype), pad(prompt.to(dtype), (0, noise.shape[2] - p)))
    start = noise.float().clone()
    start[:, :, :p] = 0
    velocity = held(guided_velocity(dit, given, guidance, mode), p)
    callback = callback or showing(lambda x: x[:, :, p:])
    mel = solve(velocity, start, schedule(steps, kind), solver, callback)
    return mel[:, :, p:], evaluations(steps, solver, guidance, mode)


def held(velocity: Velocity, frames: int) -> Velocity:
    """The same velocity, zero in the first frames: what is zero there at the start stays so after every step."""

    def still(x: Tensor, t: Tensor) -> Tensor:
        v = velocity(x, t)
        v[:, :, :frames] = 0
        return v

    return still


def guided_velocity(dit: DiT, given: Conditions, strength: float, mode: str) -> Velocity:
    """Velocity (b, m, t) float32 -> the same, guided by `strength` unless it is zero."""
    if mode not in MODES:
        raise ValueError(f"guidance mode {mode!r} is unknown; known are {', '.join(MODES)}")
    if not strength:
        return _velocity(dit, given)
    if mode == "sequential":
        return guided(_velocity(dit, given), _velocity(dit, given.none()), strength)
    both = _velocity(dit, given.beside(given.none()))
    if mode == "alternate":
        return guided_alternate(_velocity(dit, given), both, strength)
    return guided_batched(both, strength)


def _velocity(dit: DiT, given: Conditions) -> Velocity:
    def velocity(x: Tensor, t: Tensor) -> Tensor:
        return dit(x.to(given.content.dtype), t, given.content, given.style, given.prompt).float()

    return velocity
