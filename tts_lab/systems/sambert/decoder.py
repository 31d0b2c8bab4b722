"""The PNCA decoder of SAM-BERT: three frames a step, each step seeing a few before it and a little of the text ahead.

Time grows with the length, memory does not: steps are written in blocks, what the text means is worked out for one
block at a time, and caches hold one block and one band. `naive.py` runs the same layers as the published code does.

Axes: b batch, t mel frames, r frames of a step, m mel bands, d width, h heads, k width of a head, c memory width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from tts_lab.loops import alike
from tts_lab.nn.attention import attend
from tts_lab.systems.sambert.band import BandCache, cache_bytes
from tts_lab.systems.sambert.config import SambertConfig
from tts_lab.systems.sambert.frames import Frames
from tts_lab.systems.sambert.parts import EPS, ConvFeedForward, Prenet

BLOCK = 64  # steps: 2.4 s at 16 kHz


class PncaAttention(nn.Module):
    """Two attentions with one query: to the decoder's own last steps, and to the text from now on; their sum.

    forward(x (b, 1, d), cache, layer) -> (b, 1, d).
    """

    def __init__(self, width: int, memory: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.layer_norm = nn.LayerNorm(width, eps=EPS)
        self.w_x_qkv = nn.Linear(width, 3 * width)
        self.fc_x = nn.Linear(width, width)
        self.w_h_kv = nn.Linear(memory, 2 * width)
        self.fc_h = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: BandCache, layer: int) -> Tensor:
        q, k, v = self.own(x)
        keys, values, bias = cache.own(layer, k, v)
        own = attend(q, keys, values, bias)
        keys, values, bias = cache.text(layer)
        ahead = attend(q, keys, values, bias)
        return self.fc_x(own.transpose(1, 2).flatten(2)) + self.fc_h(ahead.transpose(1, 2).flatten(2)) + x

    def own(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value (b, h, t, k) of inputs (b, t, d)."""
        q, k, v = (self.split(y) for y in self.w_x_qkv(self.layer_norm(x)).chunk(3, -1))
        return q, k, v

    def text(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (b, h, t, k) of memory (b, t, c)."""
        k, v = (self.split(y) for y in self.w_h_kv(memory).chunk(2, -1))
        return k, v

    def split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class PncaBlock(nn.Module):
    """Attention and feed-forward of one layer. forward(x (b, 1, d), cache, layer) -> (b, 1, d)."""

    def __init__(self, width: int, memory: int, heads: int, inner: int) -> None:
        super().__init__()
        self.pnca_attn = PncaAttention(width, memory, heads)
        self.pos_ffn = ConvFeedForward(width, inner, (1, 1))

    def forward(self, x: Tensor, cache: BandCache, layer: int) -> Tensor:
        return self.pos_ffn.step(self.pnca_attn(x, cache, layer))


class PncaStack(nn.Module):
    """The network around the layers: the last frame and the memory of a step -> its r frames."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        c, d = config, config.decoder_num_units
        self.width, self.heads, self.scale = d, c.decoder_num_heads, d**0.5
        self.prenet = Prenet(c.num_mels, c.decoder_prenet_units, d)
        self.dec_in_proj = nn.Linear(d + c.memory_units, d)
        self.pnca = nn.ModuleList(
            PncaBlock(d, c.memory_units, c.decoder_num_heads, c.decoder_ffn_inner_dim)
            for _ in range(c.decoder_num_layers)
        )
        self.ln = nn.LayerNorm(d, eps=EPS)
        self.dec_out_proj = nn.Linear(d, c.num_mels * c.outputs_per_step)

    def enter(self, before: Tensor, memory: Tensor) -> Tensor:
        """The last frame (b, 1, m) and the step's memory (b, 1, c) -> (b, 1, d)."""
        return self.dec_in_proj(torch.cat((memory, self.prenet(before)), -1)) * self.scale

    def text(self, memory: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For each layer, keys and values (b, h, t, k) of memory (b, t, c)."""
        for block in self.pnca:
            assert isinstance(block, PncaBlock)
            yield block.pnca_attn.text(memory)

    def forward(self, before: Tensor, memory: Tensor, cache: BandCache) -> Tensor:
        """One step: (b, 1, m), (b, 1, c) -> (b, 1, r m)."""
        x = self.enter(before, memory)
        for layer, block in enumerate(self.pnca):
            x = block(x, cache, layer)
        return self.dec_out_proj(self.ln(x))


class MelDecoder(nn.Module):
    """Writes mel frames block by block."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        self.r, self.mels = config.outputs_per_step, config.num_mels
        self.mel_dec = PncaStack(config)

    def blocks(self, frames: Frames, block: int = BLOCK, teacher: Tensor | None = None
               ) -> Iterator[tuple[int, Tensor]]:  # fmt: skip
        """Each block in turn: its first frame's number and its frames (b, t, m). The last one ends with a whole step.

        block: steps of a block, at least the widest band. teacher: (b, all frames, m) that the steps are told were
        written before them, in place of what was.
        """
        bands, steps = frames.plan.bands, frames.plan.steps(self.r)
        block = max(block, *bands, 1)
        like = frames.plan.text
        stack = self.mel_dec
        cache = BandCache(len(stack.pnca), stack.heads, stack.width // stack.heads, bands, steps, block, like)
        before = like.new_zeros(len(like), 1, self.mels)
        full, rest = divmod(max(steps), block)
        for number in alike(full):  # a memory trace leaves out blocks like the ones before
            made, before = self._block(frames, cache, number * block, block, before, teacher)
            yield number * block * self.r, made
            del made
        if rest:
            yield full * block * self.r, self._block(frames, cache, full * block, rest, before, teacher)[0]

    def cache_bytes(self, bands: Sequence[int], block: int = BLOCK, dtype: torch.dtype = torch.float32) -> int:
        """Bytes of the caches while items with these bands are written: the same for any length."""
        return cache_bytes(len(self.mel_dec.pnca), self.mel_dec.width, bands, max(block, *bands, 1), dtype)

    def _block(self, frames: Frames, cache: BandCache, first: int, count: int, before: Tensor, teacher: Tensor | None
               ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Frames (b, count r, m) of one block, and the last of them (b, 1, m)."""
        memory = frames.memory(first, count + cache.span)
        cache.begin(first, count, self.mel_dec.text(memory))
        made = memory.new_empty(len(memory), count * self.r, self.mels)
        for i in alike(count):
            cache.advance(i)
            if teacher is not None and first + i:
                before = teacher[:, (first + i) * self.r - 1][:, None]
            step = self.mel_dec(before, memory[:, i : i + 1], cache)
            made[:, i * self.r : (i + 1) * self.r] = step.view(len(step), self.r, self.mels)
            before = step[..., -self.mels :]
        return made, before
