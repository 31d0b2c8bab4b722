"""Phones, prosody and style -> an average mel and the features that the diffusion model is conditioned on.

Phones become what the voice's teacher would read of them: two contents each (a stop and its breath, a vowel and its
tone) and the share of the first, a curve of pitch and one of energy. A decoder taken from the teacher shapes these over
time (`inner.py`), and the mel is read from what comes of it (`readout.py`). The average mel is what a regression can
know; the diffusion model adds what an average lacks (the prior of Grad-TTS, Popov et al. 2021, and Matcha-TTS, Mehta et
al. 2023).

Axes: b batch, n phones, k ticks of 25 ms, t mel frames, d width, c content, m mel bands, s style width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts_lab.audio.mel import MEL_22K
from tts_lab.nn.feedforward import ConvNeXt
from tts_lab.nn.norm import RMSNorm
from tts_lab.nn.transformer import Block
from tts_lab.systems.mini.codes import decode_pitch
from tts_lab.systems.mini.config import EncoderConfig
from tts_lab.systems.mini.inner import InnerDecoder
from tts_lab.systems.mini.readout import ENERGY_UNIT, REFERENCE_HZ, Readout
from tts_lab.text.phones import SYMBOLS, TONES

PLACES = 5  # index of a phone in its syllable: 0 to 3, with room for one more
POSITION_FEATURES = 5
TICKS = 40  # in a second: the clock of the teacher's decoder
TICKS_IN_FRAME = TICKS * MEL_22K.hop_length / MEL_22K.sample_rate
LEAD, TAIL = 14, 8  # ticks of silence around what is spoken: the teacher's norms over time are used to that much
LATE = 0.05 * TICKS  # ticks by which the sound runs ahead of the phones that it is made of (training/features.py)


def expansion(durations: Tensor, clock: Tensor) -> tuple[Tensor, Tensor]:
    """Which phone is spoken at each time, and where in the phone it lies.

    durations: (b, n) frames, 0 where there is no phone; clock: (k,) times in frames, each within a frame that begins at
    the whole number below. Returns index (b, k) int64 (the first before the beginning, the last past the end) and
    position features (b, k, 5): fraction, frames from the start and to the end (log-compressed), first, last.
    """
    ends = durations.cumsum(1)
    times = clock[None].expand(len(durations), -1).contiguous()
    last = (durations > 0).sum(1, keepdim=True) - 1
    index = torch.minimum(torch.searchsorted(ends.to(times.dtype), times, right=True), last.clamp(min=0))
    length = durations.gather(1, index).to(times.dtype)
    since = times - (ends - durations).gather(1, index)
    until = length - since
    fraction = since / length.clamp(min=1)
    features = (
        fraction.clamp(0, 1), since.clamp(min=0).log1p(), until.clamp(min=0).log1p(), since < 1, until <= 1,
    )  # fmt: skip
    return index, torch.stack([f.float() for f in features], -1)


def ticks_of(frames: int) -> int:
    """Ticks for so many mel frames, with the silence around them."""
    return LEAD + math.ceil(frames * TICKS_IN_FRAME) + TAIL


@dataclass(frozen=True)
class Clock:
    """Where each tick lies. index: (b, k), its phone; position: (b, k, 5), as `expansion`; mask: (b, k), True where
    something is spoken or silent before and after it, or None where all is.
    """

    index: Tensor
    position: Tensor
    mask: Tensor | None


def clock_of(durations: Tensor, frames: int, *, batched: bool) -> Clock:
    """The ticks of phones that last so many mel frames (b, n). batched: whether some utterances may be shorter."""
    count, device = ticks_of(frames), durations.device
    places = (torch.arange(count, device=device) - LEAD + 0.5 - LATE) / TICKS_IN_FRAME
    mask = None
    if batched:
        spoken = LEAD + (durations.sum(1) * TICKS_IN_FRAME).ceil() + TAIL
        mask = torch.arange(count, device=device) < spoken[:, None]
    return Clock(*expansion(durations, places), mask)


@dataclass(frozen=True)
class Curves:
    """What the decoder is given. contents: (b, n, 2, c); share: (b, n), of a phone's time that its first content has;
    pitch: (b, 2 k) in Hz, near 0 where nothing is voiced; energy: (b, 2 k), the teacher's number.
    """

    contents: Tensor
    share: Tensor
    pitch: Tensor
    energy: Tensor


class Encoder(nn.Module):
    """forward -> (average mel (b, m, t) in normalised units, features (b, t, w) that it was read from)."""

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
        self.phone_norm = RMSNorm(d)
        self.contents = nn.Linear(d, 2 * config.content)
        self.share = nn.Linear(d, 1)
        self.position = nn.Linear(POSITION_FEATURES, d)
        self.by_position = nn.Linear(POSITION_FEATURES, d)
        self.ticks = nn.ModuleList(ConvNeXt(d, 2 * d) for _ in range(config.tick_layers))
        self.norm = RMSNorm(d)
        self.curves = nn.Linear(d, 6)  # for each half of a tick: height of the pitch, whether there is one, energy
        self.median = nn.Linear(style, 1)  # natural log of the voice's median pitch in Hz
        self.voice = nn.Linear(style, config.voice)
        self.decoder = InnerDecoder(config.content, config.channels, config.rank, config.voice)
        self.readout = Readout(config.content, config.readout, config.readout_layers, mels)

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

    def said(self, x: Tensor, clock: Clock, pitch: Tensor, style: Tensor) -> Curves:
        """Phones (b, n, d), their pitch codes (b, n) and the voice's style (b, s) -> what the decoder is given.

        A voiced phone's pitch lies about its code's; how it goes inside the phone, and where it stops, is learned.
        """
        told = self.phone_norm(x)
        contents = self.contents(told).unflatten(-1, (2, -1))
        share = self.share(told)[..., 0].sigmoid()
        y = x.gather(1, clock.index[..., None].expand(-1, -1, x.shape[-1]))
        # Where in the phone a tick lies both shifts and gates: a diphthong's end differs from its beginning.
        position = clock.position.to(x.dtype)
        y = y * (1 + self.by_position(position)) + self.position(position)
        for layer in self.ticks:
            y = layer(y if clock.mask is None else y * clock.mask[..., None].to(y.dtype))
        height, voiced, energy = self.curves(self.norm(y)).unflatten(-1, (3, 2)).unbind(2)
        asked = decode_pitch(pitch)[..., 0].gather(1, clock.index)[..., None] * math.log(2)
        natural = self.median(style.to(x.dtype))[:, None].float() + asked + height.float()
        hertz = natural.clamp(max=7).exp() * voiced.float().sigmoid()
        return Curves(contents, share, hertz.flatten(1), (energy * ENERGY_UNIT).flatten(1))

    def shaped(self, said: Curves, clock: Clock, style: Tensor) -> Tensor:
        """What the voice is made of, (b, c, 2 k)."""
        second = clock.position[..., 0] >= said.share.gather(1, clock.index)
        at = (2 * clock.index + second)[..., None].expand(-1, -1, said.contents.shape[-1])
        content = said.contents.flatten(1, 2).gather(1, at).transpose(1, 2)
        curves = (said.pitch.to(content.dtype) / REFERENCE_HZ, said.energy / ENERGY_UNIT)
        mask = None if clock.mask is None else clock.mask[:, None].to(content.dtype)
        return self.decoder(content, *curves, self.voice(style.to(content.dtype)), mask)

    def forward(self, symbol: Tensor, tone: Tensor, place: Tensor, duration: Tensor, pitch: Tensor, style: Tensor,
                frames: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:  # fmt: skip
        x = self.phones(symbol, tone, place, duration, pitch, style, mask)
        clock = clock_of(duration, frames, batched=mask is not None)
        said = self.said(x, clock, pitch, style)
        return self.read(self.shaped(said, clock, style), said, duration, frames)

    def read(self, inner: Tensor, said: Curves, duration: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """What `forward` returns, of what the voice is made of."""
        real = torch.arange(frames, device=inner.device)[None] < duration.sum(1, keepdim=True)
        mel, features = self.readout(*at_frames(inner, said, frames), real)
        return mel.transpose(1, 2), features


def at_frames(inner: Tensor, said: Curves, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Content (b, c, 2 k), pitch and energy at the middles of mel frames: (b, t, c), (b, t) in Hz and (b, t).

    Pitch is the nearest one, so that its edges stay; the others are interpolated.
    """
    place = 2 * (LEAD + TICKS_IN_FRAME * (torch.arange(frames, device=inner.device) + 0.5)) - 0.5
    before = place.floor().long()
    share = (place - before).to(inner.dtype)
    content = torch.lerp(inner[..., before], inner[..., before + 1], share).transpose(1, 2)
    energy = torch.lerp(said.energy[:, before], said.energy[:, before + 1], share)
    return content, said.pitch[:, place.round().long()], energy
