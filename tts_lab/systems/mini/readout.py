"""The mel that is read from what a voice is made of: 512 numbers, a pitch and an energy for each frame.

The numbers are those of which the voice's teacher makes its sound (`training/teacher.py`). Where harmonics lie is not
learned: a table says what a buzz at each pitch looks like in a mel.

Axes: b batch, t mel frames, c numbers of the content, d width, m mel bands.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tts_lab.nn.feedforward import ConvNeXt

LOWEST, HIGHEST, COMBS = 55.0, 520.0, 256  # Hz, and how many pitches between them have a comb of their own
REFERENCE_HZ, ENERGY_UNIT = 200.0, 10.0  # bring pitch and energy to about one


class Readout(nn.Module):
    """forward -> (mel (b, t, m) normalised, features (b, t, d) that it is read from).

    combs: (COMBS, m), how a buzz at each pitch looks, normalised.
    """

    combs: Tensor

    def __init__(self, content: int, width: int, layers: int, mels: int) -> None:
        super().__init__()
        self.register_buffer("combs", torch.zeros(COMBS, mels))
        self.content = nn.Linear(content, width)
        self.source = nn.Linear(mels + 3, width)
        self.layers = nn.ModuleList(ConvNeXt(width, 2 * width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.mel = nn.Linear(width, mels)

    def forward(self, content: Tensor, pitch: Tensor, energy: Tensor, mask: Tensor | None = None
                ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """content: (b, t, c); pitch: (b, t) Hz, below LOWEST where nothing is voiced; energy: (b, t); mask: (b, t),
        True before an utterance's end, or None where all is.
        """
        voiced = (pitch > LOWEST).to(content.dtype)
        hertz = pitch.float().clamp(LOWEST, HIGHEST)
        place = (hertz / LOWEST).log() / math.log(HIGHEST / LOWEST) * (COMBS - 1)
        about = torch.stack((voiced, (hertz / REFERENCE_HZ).log().to(content.dtype), energy / ENERGY_UNIT), -1)
        source = torch.cat((self.combs[place.round().long()] * voiced[..., None], about), -1)
        x = self.content(content) + self.source(source)
        for layer in self.layers:
            x = layer(x if mask is None else x * mask[..., None])
        x = self.norm(x)
        return self.mel(x), x
