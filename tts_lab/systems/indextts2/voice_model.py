"""The language model of IndexTTS-2: from conditioning and text to semantic codes, and from codes to their latents.

Sequence: conditioning (34), start, text, stop, start of codes, codes. Text and codes have learned positions of their
own, and the sequence as a whole has none.

Axes: b batch, m conditioning vectors (34), n text tokens, c codes, d width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.gpt2 import GPT2
from tts_lab.systems.indextts2.config import GPTConfig


class Positions(nn.Module):
    """Learned positions under the released name, `emb`."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(rows, width)
        nn.init.normal_(self.emb.weight, std=0.02)

    def first(self, count: int) -> Tensor:
        """Rows 0 .. count - 1, a view. Raises ValueError where there are fewer."""
        if count > len(self.emb.weight):
            raise ValueError(f"there are {len(self.emb.weight)} learned positions, {count} were asked for")
        return self.emb.weight[:count]


class VoiceModel(nn.Module):
    """GPT-2 between embeddings and a head. Parameter names are those of the released `gpt.pth`.

    forward(conditioning (b, m, d), text (b, n), codes (b, c)) -> latents (b, c, d), which the acoustic stage reads.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        d = config.model_dim
        self.text_embedding = nn.Embedding(config.number_text_tokens + 1, d)
        self.mel_embedding = nn.Embedding(config.number_mel_codes, d)
        self.gpt = GPT2(d, config.heads, config.layers)
        self.mel_pos_embedding = Positions(config.mel_positions, d)
        self.text_pos_embedding = Positions(config.text_positions, d)
        self.final_norm = nn.LayerNorm(d)
        self.mel_head = nn.Linear(d, config.number_mel_codes)
        for embedding in (self.text_embedding, self.mel_embedding):
            nn.init.normal_(embedding.weight, std=0.02)

    def forward(self, conditioning: Tensor, text: Tensor, codes: Tensor, text_lengths: Tensor | None = None,
                code_lengths: Tensor | None = None) -> Tensor:  # fmt: skip
        """The second pass: latents of finished codes, with positions 0, 1, 2, ... as in training.

        A latent is the state before its code is read, so the last code is not read at all. Text and codes past the
        given lengths (b,) count as their stop marks.
        """
        text = _stopped(text, text_lengths, self.config.stop_text_token)
        codes = _stopped(codes, code_lengths, self.config.stop_mel_token)
        read = F.pad(codes[:, :-1], (1, 0), value=self.config.start_mel_token)
        y = self.mel_embedding(read) + self.mel_pos_embedding.first(read.shape[1])
        x = torch.cat((conditioning.to(y.dtype), self.text(text), y), 1)
        return self.final_norm(self.gpt(x)[:, -codes.shape[1] :])

    def text(self, text: Tensor) -> Tensor:
        """Token ids (b, n), without marks -> embeddings with start and stop (b, n + 2, d)."""
        marked = F.pad(
            F.pad(text, (1, 0), value=self.config.start_text_token), (0, 1), value=self.config.stop_text_token
        )
        return self.text_embedding(marked) + self.text_pos_embedding.first(marked.shape[1])

    def prefix(self, conditioning: Tensor, text: Tensor) -> Tensor:
        """What decoding begins with: conditioning, text, and the start of codes at position 0. (b, m + n + 3, d)."""
        start = self.mel_embedding.weight[self.config.start_mel_token] + self.mel_pos_embedding.emb.weight[0]
        return torch.cat((conditioning.to(start.dtype), self.text(text), start.expand(len(text), 1, -1)), 1)

    def step(self, code: Tensor, index: int) -> Tensor:
        """Embedding (b, 1, d) of code number `index` (from 0) while decoding. code: (b,).

        Decoding skips position 1, as the public program does: code 0 has position 2, code 1 position 3.
        """
        row = index + 2
        if row >= self.config.mel_positions:
            raise ValueError(f"code {index} has no position: {self.config.mel_positions - 2} codes can be read")
        return self.mel_embedding(code)[:, None] + self.mel_pos_embedding.emb.weight[row]

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next code (b, codes) from states (b, d)."""
        return self.mel_head(self.final_norm(hidden))


def _stopped(tokens: Tensor, lengths: Tensor | None, stop: int) -> Tensor:
    if lengths is None:
        return tokens
    index = torch.arange(tokens.shape[1], device=tokens.device)[None]
    return tokens.masked_fill(index >= lengths[:, None], stop)


def without_marks(ids: list[int], config: GPTConfig) -> list[int]:
    """Text ids as decoding reads them, without start and stop marks inside the text. The second pass keeps those."""
    return [i for i in ids if i not in (config.start_text_token, config.stop_text_token)]
