"""The acoustic model: an average mel from the encoder, and a flow-matching DiT that adds what an average lacks.

The DiT works on the residual (mel - average) / spread, so that noise and data have the same size everywhere.

Axes: b batch, n phones, t mel frames, m mel bands, s style width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts_lab.nn.dit import DiT, DiTSizes
from tts_lab.nn.flow import (
    Step,
    Velocity,
    evaluations,
    guided,
    guided_alternate,
    guided_batched,
    preconditioned,
    schedule,
    solve,
)
from tts_lab.nn.watching import showing
from tts_lab.systems.mini.config import MiniConfig
from tts_lab.systems.mini.encoder import Encoder


@dataclass(frozen=True)
class Content:
    """What the DiT is conditioned on. average: (b, m, t) normalised mel; features: (b, t, c); style: (b, s)."""

    average: Tensor
    features: Tensor
    style: Tensor


class AcousticModel(nn.Module):
    """Encoder and DiT with the numbers that turn their units into a mel's.

    mean, std: (m,) of the log-mel; spread: (m,) standard deviation of the normalised residual.
    """

    mean: Tensor
    std: Tensor
    spread: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        d = config.dit
        self.encoder = Encoder(config.encoder, config.style, config.mels)
        content = config.encoder.width + config.mels
        sizes = DiTSizes(config.mels, content, config.style, d.width, d.heads, d.layers, d.inner, patch=d.patch,
                         feed_forward="conv", conv_position=7, dropout=d.dropout)  # fmt: skip
        self.dit = DiT(sizes)
        for name in ("mean", "std", "spread"):
            self.register_buffer(name, torch.ones(config.mels))

    def content(self, symbol: Tensor, tone: Tensor, place: Tensor, duration: Tensor, pitch: Tensor, style: Tensor,
                frames: int, mask: Tensor | None = None) -> Content:  # fmt: skip
        """Codes (b, n) -> what the DiT needs for `frames` frames (a multiple of the patch)."""
        average, features = self.encoder(symbol, tone, place, duration, pitch, style, frames, mask)
        return Content(average, features, style)

    def velocity(self, x: Tensor, t: Tensor, content: Content, drop: Tensor | None = None,
                 mask: Tensor | None = None) -> Tensor:  # fmt: skip
        """Velocity at x (b, m, t). drop: (b,) True where the condition is withheld (for guidance)."""
        given = torch.cat((content.features, content.average.transpose(1, 2)), -1)
        style = content.style
        if drop is not None:
            given = given.masked_fill(drop[:, None, None], 0)
            style = style.masked_fill(drop[:, None], 0)
        # The state of the solver stays in float32 whatever the weights' type.
        network = self.dit(x.to(given.dtype), t, given, style.to(given.dtype), mask=mask)
        return preconditioned(x, t, network.float())

    def denormalise(self, average: Tensor, residual: Tensor) -> Tensor:
        """(b, m, t) in the encoder's and the DiT's units -> natural-log mel."""
        mel = average.float() + residual * self.spread[:, None].float()
        return mel * self.std[:, None].float() + self.mean[:, None].float()

    def sample(self, content: Content, noise: Tensor, *, steps: int, solver: str = "euler", kind: str = "sway",
               guidance: float = 1.0, mode: str = "batched", callback: Callable[[Step], None] | None = None
               ) -> tuple[Tensor, int]:  # fmt: skip
        """Noise (b, m, t) -> natural-log mel (b, m, t) and the model evaluations it took."""
        velocity = self.guided_velocity(content, guidance, mode)
        callback = callback or showing(lambda x: self.denormalise(content.average, x))
        residual = solve(velocity, noise, schedule(steps, kind), solver, callback)
        return self.denormalise(content.average, residual), evaluations(steps, solver, guidance, mode)

    def guided_velocity(self, content: Content, guidance: float, mode: str) -> Velocity:
        b, device = content.style.shape[0], content.style.device
        nothing = torch.ones(b, dtype=torch.bool, device=device)

        def conditional(x: Tensor, t: Tensor) -> Tensor:
            return self.velocity(x, t, content)

        if not guidance:
            return conditional
        if mode == "sequential":
            return guided(conditional, lambda x, t: self.velocity(x, t, content, drop=nothing), guidance)
        twice = Content(*(torch.cat((part, part)) for part in (content.average, content.features, content.style)))
        drop = torch.cat((~nothing, nothing))

        def both(x: Tensor, t: Tensor) -> Tensor:
            return self.velocity(x, t, twice, drop=drop)

        return guided_alternate(conditional, both, guidance) if mode == "alternate" else guided_batched(both, guidance)
