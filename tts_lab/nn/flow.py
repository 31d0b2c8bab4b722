"""Flow matching: from noise at t = 0 to data at t = 1 along x_t = (1 - t) noise + t data.

Solvers are pure functions of a velocity; guidance is a velocity made of two. A callback sees every step; keeping what
it sees is the caller's choice (and the caller's memory).

Axes: b batch, ... the shape of the data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tts_lab.loops import alike

Velocity = Callable[[Tensor, Tensor], Tensor]

SOLVERS = ("euler", "midpoint", "heun", "adams")
SCHEDULES = ("uniform", "sway", "leap")
LEAP_FROM = 0.3  # where a leap begins; chosen on mini's `dev` sentences (docs/LOG.md)
LONGEST_RATIO = 3.01  # of a step to the one before it, up to which Adams' method extrapolates; sway's second is 3
EVALUATIONS = {"euler": 1, "midpoint": 2, "heun": 2, "adams": 1}  # per step, before guidance


@dataclass(frozen=True)
class Step:
    """What a callback sees after each step. x: the state; t: where it is now; velocity: the last one used."""

    index: int
    t: float
    x: Tensor
    velocity: Tensor


def schedule(steps: int, kind: str = "sway") -> Tensor:
    """Times 0 = t_0 < ... < t_steps = 1, float64.

    "sway" is 1 - cos(pi/2 u): short steps near the noise, where the path bends (sway sampling with coefficient -1,
    F5-TTS, Chen et al. 2024). "leap" goes like sway as far as LEAP_FROM and takes the rest in one step: to the mean of
    what is likely from there, instead of drawing its fine detail as well. It does not approach the path's own end.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    u = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    if kind == "uniform":
        return u
    if kind == "sway":
        return 1 - torch.cos(math.pi / 2 * u)
    if kind == "leap":
        before = torch.linspace(0, 1, steps, dtype=torch.float64)
        return torch.cat((LEAP_FROM * (1 - torch.cos(math.pi / 2 * before)), torch.ones(1, dtype=torch.float64)))
    raise ValueError(f"schedule {kind!r} is unknown; known are {', '.join(SCHEDULES)}")


def solve(velocity: Velocity, x: Tensor, times: Tensor, solver: str = "euler",
          callback: Callable[[Step], None] | None = None) -> Tensor:  # fmt: skip
    """Integrate dx/dt = velocity(x, t) over `times`; returns x at the last of them. t is given as a (b,) float32."""
    if solver not in SOLVERS:
        raise ValueError(f"solver {solver!r} is unknown; known are {', '.join(SOLVERS)}")
    if solver == "adams":
        return _adams(velocity, x, times, callback)
    for i in alike(len(times) - 1):
        start, size = float(times[i]), float(times[i + 1] - times[i])
        v = velocity(x, x.new_full((x.shape[0],), start, dtype=torch.float32))
        if solver == "midpoint":
            middle = x.new_full((x.shape[0],), start + size / 2, dtype=torch.float32)
            v = velocity(x + size / 2 * v, middle)
        elif solver == "heun":
            end = x.new_full((x.shape[0],), start + size, dtype=torch.float32)
            v = (v + velocity(x + size * v, end)) / 2
        x = x + size * v
        if callback is not None:
            callback(Step(i, start + size, x, v))
    return x


def _adams(velocity: Velocity, x: Tensor, times: Tensor, callback: Callable[[Step], None] | None) -> Tensor:
    """Adams' predictor and corrector of order 2 with one evaluation a step (PEC mode: Hairer, Norsett and Wanner,
    Solving Ordinary Differential Equations I, III.1; the corrector of UniPC, Zhao et al. 2023, is used likewise).

    A step goes where the last two velocities point (Adams-Bashforth). The velocity found there first corrects that
    step (trapezoid), and then leads the next one. The last step stays as predicted. A step much longer than the one
    before it, as a leap is, goes where the last velocity points: extrapolating so far would not be safe.
    """
    last, before, width = x, x, 0.0  # of the step before: its velocity, the state it started from, its size
    for i in alike(len(times) - 1):
        start, size = float(times[i]), float(times[i + 1] - times[i])
        v = velocity(x, x.new_full((x.shape[0],), start, dtype=torch.float32))
        if i:
            x = before + width / 2 * (last + v)
        near = i and size <= LONGEST_RATIO * width
        slope = v + size / (2 * width) * (v - last) if near else v
        before, last, width = x, v, size
        x = x + size * slope
        if callback is not None:
            callback(Step(i, start + size, x, v))
    return x


def evaluations(steps: int, solver: str, guidance: float, mode: str = "batched") -> int:
    """Model calls that `solve` makes; a guided call counts as two, batched or not, and every second one as one where
    guidance alternates."""
    calls = steps * EVALUATIONS[solver]
    if not guidance:
        return calls
    return calls + -(-calls // 2) if mode == "alternate" else 2 * calls


def guided(conditional: Velocity, unconditional: Velocity, strength: float) -> Velocity:
    """Classifier-free guidance in two calls one after the other: v = c + strength (c - u) (Ho and Salimans 2022)."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        c = conditional(x, t)
        return c + strength * (c - unconditional(x, t))

    return velocity


def guided_batched(both: Velocity, strength: float) -> Velocity:
    """The same in one call on a doubled batch: `both` gets x and t twice, returns conditional, then unconditional."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        c, u = both(torch.cat((x, x)), torch.cat((t, t))).chunk(2)
        return c + strength * (c - u)

    return velocity


def guided_alternate(conditional: Velocity, both: Velocity, strength: float) -> Velocity:
    """Guidance of which every second call keeps the difference c - u of the call before: v = c + strength (c - u).

    The difference changes slowly along the path, so that half of the unconditional calls can be spared (as in
    FasterCache, Lv et al. 2024). both: as for `guided_batched`. For one solution: it counts its calls.
    """
    kept: list[Tensor] = []

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        if kept:
            return conditional(x, t) + strength * kept.pop()
        c, u = both(torch.cat((x, x)), torch.cat((t, t))).chunk(2)
        kept.append(c - u)
        return c + strength * kept[0]

    return velocity


def path(noise: Tensor, data: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """A point on the straight path and its velocity: (x_t, data - noise). t: (b,), the rest alike."""
    t = t.view(-1, *[1] * (data.ndim - 1))
    return (1 - t) * noise + t * data, data - noise


def preconditioned(x: Tensor, t: Tensor, network: Tensor) -> Tensor:
    """Velocity from a network whose target has unit variance, if the data have.

    Best linear guess plus what the network adds: v = (2t - 1)/q x + network / sqrt(q), q = t^2 + (1 - t)^2
    (the reasoning of Karras et al. 2022, for the straight path).
    """
    t = t.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    q = t * t + (1 - t) * (1 - t)
    return (2 * t - 1) / q * x + network / q.sqrt()
