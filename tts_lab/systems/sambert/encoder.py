"""The text encoder of SAM-BERT: four kinds of units -> what is to be said, phone by phone.

Axes: b batch, n phones, d width, h heads, k width of a head, p projected width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_lab.nn.attention import attend
from tts_lab.systems.sambert.config import SambertConfig
from tts_lab.systems.sambert.parts import EPS, ConvFeedForward, sinusoids


class EncoderAttention(nn.Module):
    """Norm, self-attention with biases, and a residual where input and output are equally wide.

    kernel: as in `tts_lab.nn.attention.attend`. forward(x (b, n, d), mask (b, n), maps) -> (b, n, d); a list `maps`
    gets the map (h x b, n, n), which is then written out whatever the kernel.
    """

    def __init__(self, width: int, out: int, heads: int) -> None:
        super().__init__()
        self.heads, self.kernel = heads, "auto"
        self.layer_norm = nn.LayerNorm(width, eps=EPS)
        self.w_qkv = nn.Linear(width, 3 * out)
        self.fc = nn.Linear(out, out)

    def forward(self, x: Tensor, mask: Tensor | None, maps: list[Tensor] | None = None) -> Tensor:
        q, k, v = (
            y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in self.w_qkv(self.layer_norm(x)).chunk(3, -1)
        )
        keys = None if mask is None else mask[:, None, None]
        y = attend(q, k, v, keys, kernel=self.kernel) if maps is None else _kept(q, k, v, keys, maps)
        y = self.fc(y.transpose(1, 2).flatten(2))
        return y + x if y.shape[-1] == x.shape[-1] else y


def _kept(q: Tensor, k: Tensor, v: Tensor, keys: Tensor | None, maps: list[Tensor]) -> Tensor:
    """Attention whose map is written out and kept, heads before batch, as the published code does."""
    scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    weights = (scores if keys is None else scores.masked_fill(~keys, -torch.inf)).softmax(-1)
    maps.append(weights.transpose(0, 1).flatten(0, 1))
    return weights @ v


class EncoderBlock(nn.Module):
    """Attention and a convolutional feed-forward, both before-norm. (b, n, d) -> (b, n, out)."""

    def __init__(self, width: int, out: int, heads: int, inner: int) -> None:
        super().__init__()
        self.slf_attn = EncoderAttention(width, out, heads)
        self.pos_ffn = ConvFeedForward(out, inner, (3, 1))

    def forward(self, x: Tensor, mask: Tensor | None, maps: list[Tensor] | None = None) -> Tensor:
        x = self.slf_attn(x, mask, maps)
        if mask is None:
            return self.pos_ffn(x)
        return self.pos_ffn(x * mask[..., None], mask, leaky=maps is not None) * mask[..., None]


class Positions(nn.Module):
    """Adds position codes. The table is stored with the weights; positions beyond it are computed."""

    def __init__(self, longest: int, width: int) -> None:
        super().__init__()
        self.position_enc = nn.Parameter(
            sinusoids(1, longest, width).to(torch.get_default_device())[None], requires_grad=False
        )

    def forward(self, x: Tensor) -> Tensor:
        table = self.position_enc[:, : x.shape[1]]
        missing = x.shape[1] - table.shape[1]
        if missing > 0:
            more = sinusoids(table.shape[1] + 1, missing, x.shape[2]).to(x.device, x.dtype)
            table = torch.cat((table, more[None]), 1)
        return x + table


class EncoderStack(nn.Module):
    """Positions, blocks, a last norm. (b, n, embedding) -> (b, n, d)."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        c, d = config, config.encoder_num_units
        widths = [c.embedding_dim] + [d] * (c.encoder_num_layers - 1)
        self.fft = nn.ModuleList(EncoderBlock(w, d, c.encoder_num_heads, c.encoder_ffn_inner_dim) for w in widths)
        self.ln = nn.LayerNorm(d, eps=EPS)
        self.position_enc = Positions(c.max_len, c.embedding_dim)
        self.scale = d**0.5  # of the width inside, although the embeddings are wider

    def forward(self, x: Tensor, mask: Tensor | None, maps: list[Tensor] | None = None) -> Tensor:
        x = self.position_enc(x * self.scale)
        for block in self.fft:
            x = block(x, mask, maps)
        return self.ln(x)


class TextEncoder(nn.Module):
    """forward(ling (b, n, 4): phone, tone, place in the syllable, place in the word; mask (b, n)) -> (b, n, p).

    maps: a list that gets every layer's attention map, as the published code keeps them; padding is then treated as in
    that code, too (see `ConvFeedForward`). None keeps none.
    """

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        d = config.embedding_dim
        self.sy_emb = nn.Embedding(config.sy, d)
        self.tone_emb = nn.Embedding(config.tone, d)
        self.syllable_flag_emb = nn.Embedding(config.syllable_flag, d)
        self.ws_emb = nn.Embedding(config.word_segment, d)
        self.ling_enc = EncoderStack(config)
        self.ling_proj = nn.Linear(config.encoder_num_units, config.encoder_projection_units, bias=False)

    def forward(self, ling: Tensor, mask: Tensor | None = None, maps: list[Tensor] | None = None) -> Tensor:
        sy, tone, syllable, word = ling.unbind(-1)
        x = self.sy_emb(sy) + self.tone_emb(tone) + self.syllable_flag_emb(syllable) + self.ws_emb(word)
        return self.ling_proj(self.ling_enc(x, mask, maps))
