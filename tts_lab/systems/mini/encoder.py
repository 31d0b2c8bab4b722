"""Phones, prosody and style -> an average mel and the features that the diffusion model is conditioned on.

The average mel is what a regression can know. It is intelligible and muffled; the diffusion model adds what an average
lacks (the prior of Grad-TTS, Popov et al. 2021, and Matcha-TTS, Mehta et al. 2023).

Axes: b batch, n phones, t mel frames, d width, m mel bands.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_lab.nn.feedforward import ConvNeXt
from tts_lab.nn.norm import RMSNorm
from tts_lab.nn.transformer import Block
from tts_lab.systems.mini.codes import decode_pitch
from tts_lab.systems.mini.config import EncoderConfig
from tts_lab.text.phones import SYMBOLS, TONES

PLACES = 5  # index of a phone in its syllable: 0 to 3, with room for one more
POSITION_FEATURES = 5


def expansion(durations: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """Which phone each frame belongs to, and where in the phone it lies.

    durations: (b, n) frames; frames: t, at least the longest sum. Returns index (b, t) int64 (n - 1 past the end) and
    position features (b, t, 5): fraction, frames from the start and to the end (log-compressed), first, last.
    """
    ends = durations.cumsum(1)
    clock = torch.arange(frames, device=durations.device)[None].expand(len(durations), -1).contiguous()
    index = torch.searchsorted(ends, clock, right=True).clamp(max=durations.shape[1] - 1)
    length = durations.gather(1, index).float()
    since = (clock - (ends - durations).gather(1, index)).float()
    until = length - 1 - since
    fraction = (since + 0.5) / length.clamp(min=1)
    features = (fraction, since.clamp(min=0).log1p(), until.clamp(min=0).log1p(), since == 0, until == 0)
    return index, torch.stack([f.float() for f in features], -1)


class Encoder(nn.Module):
    """forward -> (average mel (b, m, t), features (b, t, d)), both in the mel's normalised units."""

    def __init__(self, config: EncoderConfig, style: int, mels: int) -> None:
        super().__init__()
        d = config.width
        self.symbol = nn.Embedding(len(SYMBOLS), d)
        self.tone = nn.Embedding(len(TONES), d)
        self.place = nn.Embedding(PLACES, d)
        self.prosody = nn.Linear(3, d)
        self.style = nn.Linear(style, d)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(d, config.heads, config.inner, feed_forward="conv", condition=d, dropout=config.dropout)
            for _ in range(config.layers)
        )
        self.position = nn.Linear(POSITION_FEATURES, d)
        self.by_position = nn.Linear(POSITION_FEATURES, d)
        self.frames = nn.ModuleList(ConvNeXt(d, 2 * d) for _ in range(config.frame_layers))
        self.norm = RMSNorm(d)
        self.mel = nn.Linear(d, mels)

    def phones(self, symbol: Tensor, tone: Tensor, place: Tensor, duration: Tensor, pitch: Tensor, style: Tensor,
               mask: Tensor | None = None) -> Tensor:  # fmt: skip
        """Codes (b, n) and style (b, s) -> (b, n, d). mask: (b, n), True where there is a phone."""
        prosody = torch.cat((decode_pitch(pitch), duration.float().log1p()[..., None]), -1)
        dtype = self.style.weight.dtype
        condition, prosody = self.style(style.to(dtype)), prosody.to(dtype)
        x = self.symbol(symbol) + self.tone(tone) + self.place(place) + self.prosody(prosody)
        x = self.dropout(x + condition[:, None])
        for block in self.blocks:
            x = block(x, condition, mask)
        return x

    def forward(self, symbol: Tensor, tone: Tensor, place: Tensor, duration: Tensor, pitch: Tensor, style: Tensor,
                frames: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        x = self.phones(symbol, tone, place, duration, pitch, style, mask)
        index, position = expansion(duration, frames)
        position = position.to(x.dtype)
        x = x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
        # Where in the phone a frame lies both shifts and gates: a diphthong's end differs from its beginning.
        x = x * (1 + self.by_position(position)) + self.position(position)
        real = torch.arange(frames, device=x.device)[None] < duration.sum(1, keepdim=True)
        for layer in self.frames:
            x = layer(x * real[..., None])
        x = self.norm(x)
        return self.mel(x).transpose(1, 2), x
