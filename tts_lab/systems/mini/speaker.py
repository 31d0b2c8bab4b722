"""Which of the bundled voices a reference clip sounds like: a small classifier over mels.

The bundled system was taught four voices and cannot copy a fifth. A clip therefore becomes a blend of the four,
weighted by how much it sounds like each; the receipt says so.

Axes: b batch, m mel bands, t mel frames, v voices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 96


class SpeakerEncoder(nn.Module):
    """forward(normalised log-mel (b, m, t)) -> logits over voices (b, v).

    Mean and standard deviation over time are pooled, so that the clip's length does not matter.
    """

    def __init__(self, mels: int, voices: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(mels, WIDTH, 5, padding=2), nn.GELU(), nn.GroupNorm(1, WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=2, dilation=2), nn.GELU(), nn.GroupNorm(1, WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=4, dilation=4), nn.GELU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, voices))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.convs(mel)
        return self.head(torch.cat((x.mean(-1), x.std(-1)), -1))
