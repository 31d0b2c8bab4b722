"""Watching a solver from outside: what a film of it is made of.

A system shows its steps as mels; whoever wants to see them says so around the request. Nobody watching costs nothing.

Axes: b batch, m mel bands, t mel frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor

from tts_lab.nn.flow import Step


@dataclass(frozen=True)
class Seen:
    """What a watcher sees of a step, as log-mels (b, m, t) in float32 on the CPU. index: of the step; t: where it
    ended; state: what the solver holds; heading: where the last velocity leads if it is followed to the end."""

    index: int
    t: float
    state: Tensor
    heading: Tensor


_WATCHER: ContextVar[Callable[[Seen], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(watcher: Callable[[Seen], None]) -> Iterator[None]:
    """Show `watcher` every step of every mel that is made within: what a film of a solver is made of."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def showing(to_mel: Callable[[Tensor], Tensor]) -> Callable[[Step], None] | None:
    """The callback that shows a solver's steps to whoever watches; None where nobody does. to_mel: a solver's state
    (b, m, t) as a log-mel."""
    watcher = _WATCHER.get()
    if watcher is None:
        return None

    def show(step: Step) -> None:
        ahead = step.x + (1 - step.t) * step.velocity
        state, heading = (to_mel(x).detach().float().cpu().clone() for x in (step.x, ahead))
        watcher(Seen(step.index, step.t, state, heading))

    return show
