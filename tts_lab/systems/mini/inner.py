"""What a voice is made of: phones' contents, a pitch and an energy, shaped over time into 512 numbers a frame.

The decoder of the voice's teacher (Kokoro-82M, after StyleTTS 2, Li et al. 2023) up to where it begins to make samples.
What its convolutions put out for Mandarin lies in few directions, so each is factored (`training/from_teacher.py`).

Axes: b batch, c content, k ticks of 25 ms, s style width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_lab.nn.adain import AdaptiveBlock

SIDE = 64  # channels of the content that every block sees anew
BLOCKS = 3  # that keep the clock, between the first and the one that doubles it


class InnerDecoder(nn.Module):
    """(b, c, k) content, pitch and energy (b, 2 k) -> (b, c, 2 k). mask: (b, 1, k), 1 where real, or None."""

    def __init__(self, content: int, channels: int, rank: int, style: int) -> None:
        super().__init__()
        self.pitch = nn.Conv1d(1, 1, 3, 2, 1)
        self.energy = nn.Conv1d(1, 1, 3, 2, 1)
        self.side = nn.Conv1d(content, SIDE, 1)
        self.encode = AdaptiveBlock(content + 2, channels, style, rank)
        wide = channels + SIDE + 2
        self.decode = nn.ModuleList(AdaptiveBlock(wide, channels, style, rank) for _ in range(BLOCKS))
        self.leave = AdaptiveBlock(wide, content, style, rank, upsample=True)

    def forward(self, content: Tensor, pitch: Tensor, energy: Tensor, style: Tensor, mask: Tensor | None = None
                ) -> Tensor:  # fmt: skip
        curves = (self.pitch(pitch[:, None]), self.energy(energy[:, None]))
        again = (self.side(content), *curves)
        x = self.encode(torch.cat((content, *curves), 1), style, mask)
        for block in self.decode:
            x = block(torch.cat((x, *again), 1), style, mask)
        return self.leave(torch.cat((x, *again), 1), style, mask)
