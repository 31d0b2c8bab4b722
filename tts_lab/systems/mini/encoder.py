"""Phones, prosody and style -> an average mel and the features that the diffusion model is conditioned on.

The voice's teacher lives on in two parts. Its reader gives phones two contents each (a stop and its breath, a vowel and
its tone; `reader.py`); blocks over phones and over time say the share of the first, a curve of pitch and one of energy;
its decoder shapes these over time (`inner.py`), and the mel is read from what comes of it (`readout.py`). The average
mel is what a regression can know; the diffusion model adds what an average lacks (the prior of Grad-TTS, Popov et al.
2021, and Matcha-TTS, Mehta et al. 2023).

Axes: b batch, n phones, l tokens, k ticks of 25 ms, t mel frames, d width, c content, m mel bands, s style width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.audio.mel import MEL_22K
from tts_lab.nn.feedforward import ConvNeXt
from tts_lab.nn.norm import RMSNorm
from tts_lab.nn.transformer import Block
from tts_lab.systems.mini.codes import decode_pitch
from tts_lab.systems.mini.config import EncoderConfig
from tts_lab.systems.mini.inner import InnerDecoder
from tts_lab.systems.mini.reader import TokenReader
from tts_lab.systems.mini.readout import ENERGY_UNIT, REFERENCE_HZ, Readout
from tts_lab.text.phones import SYMBOLS, TONES

PLACES = 5  # index of a phone in its syllable: 0 to 3, with room for one more
POSITION_FEATURES = 5
TICKS = 40  # in a second: the clock of the teacher's decoder
TICKS_IN_FRAME = TICKS * MEL_22K.hop_length / MEL_22K.sample_rate
LEAD, TAIL = 14, 8  # ticks of silence around what is spoken: the teacher's norms over time are used to that much
LATE = 2  # ticks by which the sound runs ahead of the phones that it is made of: 50 ms (training/features.py)


def ticks_of(durations: Tensor) -> Tensor:
    """Ticks of phones that last so many mel frames, int64 of the same shape: at least one, none for no phone.

    The teacher's own durations are whole ticks, and come back from mel frames.
    """
    ticks = (durations * TICKS_IN_FRAME).round().long()
    return torch.where(durations > 0, ticks.clamp(min=1), 0)


def span_of(durations: Tensor) -> int:
    """Ticks of the longest utterance of (b, n) durations, with the silence around it. For durations on the host."""
    return LEAD + int(ticks_of(durations).sum(-1).max()) + TAIL


@dataclass(frozen=True)
class Codes:
    """What is to be said. symbol, tone, place: (b, n); duration: (b, n) mel frames, 0 where there is no phone; pitch:
    (b, n) codes; tokens: (b, l) and places: (b, n, 2), as the teacher spells it (`text.spelling`). All int64. span:
    `span_of` the durations, which is known before they go to a card.
    """

    symbol: Tensor
    tone: Tensor
    place: Tensor
    duration: Tensor
    pitch: Tensor
    tokens: Tensor
    places: Tensor
    span: int

    def to(self, device: torch.device | str) -> Codes:
        moved: dict[str, Any] = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in vars(self).items()}
        return Codes(**moved)


@dataclass(frozen=True)
class Clock:
    """Where each tick and each mel frame lies. index: (b, k), a tick's phone (the first before the beginning, the last
    past the end); position: (b, k, 5) in it: fraction, ticks from the start and to the end (log-compressed), first,
    last; read: (b, t), the middles of frames in ticks; mask: (b, k), True where something is spoken or silent before
    and after it, or None where all is.
    """

    index: Tensor
    position: Tensor
    read: Tensor
    mask: Tensor | None


def clock_of(durations: Tensor, frames: int, span: int, *, batched: bool) -> Clock:
    """The clock of phones (b, n) that last so many mel frames. span: `span_of` them; batched: whether some utterances
    may be shorter.

    Every phone has whole ticks, as it had for the teacher. Mel frames lie where durations say, so time is bent a little
    between the two: a phone's frames are read from its own ticks.
    """
    ticks = ticks_of(durations)
    ends = ticks.cumsum(1)
    last = (durations > 0).sum(1, keepdim=True) - 1
    times = (torch.arange(span, device=durations.device) - LEAD)[None].expand(len(ticks), -1).contiguous()
    index = torch.minimum(torch.searchsorted(ends, times, right=True), last.clamp(min=0))
    length = ticks.gather(1, index)
    since = times - (ends - ticks).gather(1, index) + 0.5
    until = length - since
    fraction = (since / length.clamp(min=1)).clamp(0, 1)
    position = (fraction, since.clamp(min=0).log1p(), until.clamp(min=0).log1p(), since < 1, until < 1)
    mask = times < ends[:, -1:] + TAIL if batched else None
    read = _read_at(durations, ticks, frames, last)
    return Clock(index, torch.stack([x.float() for x in position], -1), read, mask)


def _read_at(durations: Tensor, ticks: Tensor, frames: int, last: Tensor) -> Tensor:
    """The middles of mel frames (b, t) in ticks from the beginning of the silence; past the end at the usual pace."""
    ends = durations.cumsum(1)
    middles = (torch.arange(frames, device=durations.device) + 0.5)[None].expand(len(ends), -1).contiguous()
    index = torch.minimum(torch.searchsorted(ends.to(middles.dtype), middles, right=True), last.clamp(min=0))
    length, own = durations.gather(1, index), ticks.gather(1, index)
    since = middles - (ends - durations).gather(1, index)
    inside = torch.minimum(since, length.to(since.dtype))
    beyond = (since - inside) * TICKS_IN_FRAME
    before = (ticks.cumsum(1) - ticks).gather(1, index)
    return LEAD - LATE + before + inside / length.clamp(min=1) * own + beyond


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
        self.reader = TokenReader(config.content, config.rank)
        self.reads = nn.Linear(2 * config.content, d)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(d, config.heads, config.inner, feed_forward="conv", condition=d, dropout=config.dropout)
            for _ in range(config.layers)
        )
        self.phone_norm = RMSNorm(d)
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

    def phones(self, codes: Codes, contents: Tensor, style: Tensor, mask: Tensor | None = None) -> Tensor:
        """Codes, contents (b, n, 2, c) and style (b, s) -> (b, n, d). mask: (b, n), True where there is a phone."""
        prosody = torch.cat((decode_pitch(codes.pitch), codes.duration.float().log1p()[..., None]), -1)
        dtype = self.style.weight.dtype
        condition, prosody = self.style(style.to(dtype)), prosody.to(dtype)
        x = self.symbol(codes.symbol) + self.tone(codes.tone) + self.place(codes.place) + self.prosody(prosody)
        x = self.dropout(x + self.reads(contents.flatten(2)) + condition[:, None])
        for block in self.blocks:
            x = block(x, condition, mask)
        return x

    def said(self, x: Tensor, contents: Tensor, clock: Clock, pitch: Tensor, style: Tensor) -> Curves:
        """Phones (b, n, d), contents, pitch codes (b, n) and the voice's style (b, s) -> what the decoder is given.

        A voiced phone's pitch lies about its code's; how it goes inside the phone, and where it stops, is learned.
        """
        share = self.share(self.phone_norm(x))[..., 0].sigmoid()
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

    def forward(self, codes: Codes, style: Tensor, frames: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        contents = self.reader(codes.tokens, codes.places, batched=mask is not None)
        x = self.phones(codes, contents, style, mask)
        clock = clock_of(codes.duration, frames, codes.span, batched=mask is not None)
        said = self.said(x, contents, clock, codes.pitch, style)
        return self.read(self.shaped(said, clock, style), said, clock, codes.duration)

    def read(self, inner: Tensor, said: Curves, clock: Clock, duration: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` returns, of what the voice is made of."""
        count = torch.arange(clock.read.shape[1], device=inner.device)
        real = count[None] < duration.sum(1, keepdim=True)
        mel, features = self.readout(*at_frames(inner, said, clock.read), real)
        return mel.transpose(1, 2), features


def at_frames(inner: Tensor, said: Curves, read: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Content (b, c, 2 k), pitch and energy at places (b, t) in ticks: (b, t, c), (b, t) in Hz and (b, t).

    Pitch is the nearest one, so that its edges stay; the others are interpolated.
    """
    place = (2 * read - 0.5).clamp(0, said.energy.shape[1] - 1.001)
    before = place.floor().long()
    share = (place - before).to(inner.dtype)
    wide = before[:, None].expand(-1, inner.shape[1], -1)
    content = torch.lerp(inner.gather(2, wide), inner.gather(2, wide + 1), share[:, None]).transpose(1, 2)
    energy = torch.lerp(said.energy.gather(1, before), said.energy.gather(1, before + 1), share)
    return content, said.pitch.gather(1, place.round().long()), energy
