"""What tokens mean to the voice's teacher: its reader of text, whose convolutions are factored.

Structure of Kokoro-82M's text encoder (Apache-2.0; StyleTTS 2, Li et al. 2023): an embedding, three convolutions over
tokens, each with a layer norm behind it, and a bidirectional LSTM. `training/from_teacher.py` fills it.

Axes: b batch, n phones, l tokens, c content.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tts_lab.nn.adain import SLOPE, FactoredConv
from tts_lab.text.spelling import TOKENS

KERNEL, LAYERS = 5, 3


class ReadingLayer(nn.Module):
    """Convolution, layer norm, leaky ReLU. x: (b, l, c); mask: (b, l, 1), 1 where real, or None where all is."""

    def __init__(self, content: int, rank: int) -> None:
        super().__init__()
        self.conv = FactoredConv(content, content, KERNEL, rank)
        self.norm = nn.LayerNorm(content)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        y = self.conv(x.transpose(1, 2)).transpose(1, 2)
        y = F.leaky_relu(self.norm(y), SLOPE)
        return y if mask is None else y * mask


class TokenReader(nn.Module):
    """forward -> contents (b, n, 2, c): what a phone's first and last token mean where they stand."""

    def __init__(self, content: int, rank: int) -> None:
        super().__init__()
        self.token = nn.Embedding(len(TOKENS), content, padding_idx=0)
        self.layers = nn.ModuleList(ReadingLayer(content, rank) for _ in range(LAYERS))
        self.lstm = nn.LSTM(content, content // 2, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor, places: Tensor, *, batched: bool) -> Tensor:
        """tokens: (b, l) numbers of TOKENS, 0 behind an utterance's end; places: (b, n, 2), a phone's first and last
        token (`text.spelling`). batched: whether some utterances may be shorter.
        """
        mask = (tokens > 0)[..., None].to(self.token.weight.dtype) if batched else None
        x = self.token(tokens)
        for layer in self.layers:
            x = layer(x, mask)
        read = self.lstm(x)[0] if mask is None else self._each_to_its_end(x, tokens)
        index = places.flatten(1)[..., None].expand(-1, -1, read.shape[-1])
        return read.gather(1, index).unflatten(1, (-1, 2))

    def _each_to_its_end(self, x: Tensor, tokens: Tensor) -> Tensor:
        """The LSTM's outputs (b, l, c), backwards from where each utterance ends."""
        lengths = (tokens > 0).sum(1).cpu()
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]
