"""The semantic model: a decoder-only transformer that writes how each phone is spoken.

Sequence: style, all phones of the text (what is to be said), then one position per phone at which the model, knowing
the codes it wrote for the phones before, writes this phone's duration code and then, knowing that, its pitch code.

Axes: b batch, n phones, d width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_lab.loops import growing
from tts_lab.nn.lengthen import lengthen
from tts_lab.nn.transformer import Decoder
from tts_lab.systems.mini.codes import DURATIONS, PITCHES
from tts_lab.systems.mini.config import SemanticConfig
from tts_lab.systems.mini.encoder import PLACES
from tts_lab.text.phones import SYMBOLS, TONES

PREFIX_MARK, CODE_MARK = 0, 1
TAUGHT_PHONES = 69  # longest utterance of the corpus; what comes after shares the last place


class SemanticModel(nn.Module):
    """forward -> (duration logits (b, n, DURATIONS), pitch logits (b, n, PITCHES)), teacher-forced."""

    def __init__(self, config: SemanticConfig, style: int) -> None:
        super().__init__()
        d = config.width
        self.symbol = nn.Embedding(len(SYMBOLS), d)
        self.tone = nn.Embedding(len(TONES), d)
        self.place = nn.Embedding(PLACES, d)
        self.mark = nn.Embedding(2, d)
        self.style = nn.Linear(style, d)
        self.duration = nn.Embedding(DURATIONS, d)
        self.pitch = nn.Embedding(PITCHES, d)
        self.index = nn.Embedding(TAUGHT_PHONES, d)
        self.look_ahead = nn.Conv1d(d, d, 7, padding=3)
        self.dropout = nn.Dropout(config.dropout)
        self.decoder = Decoder(d, config.heads, config.layers, config.inner, config.dropout)
        self.duration_head = nn.Linear(d, DURATIONS)
        self.pitch_head = nn.Sequential(nn.Linear(2 * d, d), nn.GELU(), nn.Linear(d, PITCHES))

    def phones(self, symbol: Tensor, tone: Tensor, place: Tensor) -> Tensor:
        """(b, n) each -> (b, n, d), each phone knowing its neighbours and its place. Symbol 0 is padding."""
        x = self.dropout(self.symbol(symbol) + self.tone(tone) + self.place(place))
        x = x * (symbol > 0)[..., None]
        x = x + nn.functional.gelu(self.look_ahead(x.transpose(1, 2))).transpose(1, 2)
        return x + self.index(torch.arange(symbol.shape[1], device=symbol.device).clamp(max=TAUGHT_PHONES - 1))

    def prefix(self, phones: Tensor, style: Tensor) -> Tensor:
        """(b, 1 + n, d): the voice, then the whole text."""
        return torch.cat(
            (self.style(style.to(self.style.weight.dtype))[:, None], phones + self.mark.weight[PREFIX_MARK]), 1
        )

    def steps(self, phones: Tensor, duration_before: Tensor, pitch_before: Tensor) -> Tensor:
        """Inputs of the writing positions: the phone to write for, and the codes of the phone before it."""
        return phones + self.mark.weight[CODE_MARK] + self.duration(duration_before) + self.pitch(pitch_before)

    def forward(self, symbol: Tensor, tone: Tensor, place: Tensor, duration: Tensor, pitch: Tensor, style: Tensor
                ) -> tuple[Tensor, Tensor]:  # fmt: skip
        phones = self.phones(symbol, tone, place)
        before = [nn.functional.pad(code, (1, 0))[:, :-1] for code in (duration, pitch)]
        x = torch.cat((self.prefix(phones, style), self.steps(phones, *before)), 1)
        hidden = self.decoder(x)[:, -symbol.shape[1] :]
        return self.duration_head(hidden), self.pitch_logits(hidden, duration)

    def pitch_logits(self, hidden: Tensor, duration: Tensor) -> Tensor:
        return self.pitch_head(torch.cat((hidden, self.duration(duration)), -1))

    @torch.no_grad()
    def write(self, symbol: Tensor, tone: Tensor, place: Tensor, style: Tensor, *, temperature: float,
              generator: torch.Generator, cache: str = "static") -> tuple[Tensor, Tensor]:  # fmt: skip
        """Write codes for phones (1, n). temperature 0 takes the likeliest. Returns durations and pitches, (1, n)."""
        phones = self.phones(symbol, tone, place)
        n = symbol.shape[1]
        kept = self.decoder.cache(cache, 1, 1 + 2 * n)
        self.decoder(self.prefix(phones, style), kept)
        duration = pitch = torch.zeros(1, dtype=torch.long, device=symbol.device)
        durations: list[Tensor] = []
        pitches: list[Tensor] = []

        def skip(passes: int) -> None:
            lengthen(kept, passes)
            durations.extend(duration.clone() for _ in range(passes))
            pitches.extend(pitch.clone() for _ in range(passes))

        for i in growing(n, skip):  # a memory trace skips the passes that tell it nothing new
            x = self.steps(phones[:, i : i + 1], duration[:, None], pitch[:, None])
            hidden = self.decoder(x, kept)[:, 0]
            logits = self.duration_head(hidden)
            logits[:, 0] = -torch.inf  # every phone lasts at least a frame
            duration = draw(logits, temperature, generator)
            pitch = draw(self.pitch_logits(hidden, duration), temperature, generator)
            durations.append(duration)
            pitches.append(pitch)
        return torch.stack(durations, 1), torch.stack(pitches, 1)


def draw(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Sample (b,) codes from logits (b, codes), on the CPU so that one seed gives one result on every device."""
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = (logits.float().cpu() / temperature).softmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(logits.device)
