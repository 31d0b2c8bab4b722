"""The networks of the earlier figures, as they are commonly written, and not as the lab writes its own.

What a name or a caller keeps alive is part of a figure. Attention and feed-forward stand in one function here, so the
projection of queries, keys and values is alive until its end.

Axes: b batch, t positions, d model width, m mel bands, c content width, s samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tts_lab.nn.hifigan import LAST_SLOPE, SLOPE, HiFiGAN, HiFiGANSizes

V1 = HiFiGANSizes()
Kept = tuple[Tensor, Tensor]  # keys and values of one layer, (b, heads, t, d / heads)


class Block(nn.Module):
    """What a block of both transformers is made of; 4 d inside."""

    def __init__(self, d: int, heads: int, affine: bool) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(d, elementwise_affine=affine)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.norm2 = nn.LayerNorm(d, elementwise_affine=affine)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def split(self, qkv: Tensor) -> list[Tensor]:
        return [y.unflatten(-1, (self.heads, -1)).transpose(1, 2) for y in qkv.chunk(3, -1)]


class DiTBlock(Block):
    """Scale, shift and gate of both halves come from a condition (adaLN-Zero, Peebles and Xie 2023)."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__(d, heads, affine=False)
        self.modulation = nn.Linear(d, 6 * d)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale1, shift1, gate1, scale2, shift2, gate2 = self.modulation(F.silu(condition))[:, None].chunk(6, -1)
        y = self.norm1(x) * (1 + scale1) + shift1
        q, k, v = self.split(self.qkv(y))
        x = x + gate1 * self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        y = self.norm2(x) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.gelu(self.up(y)))


class AdaLNZeroDiT(nn.Module):
    """Velocity of a noisy mel: (b, t, m), time (b,), content (b, t, c), prompt (b, t, m) -> (b, t, m)."""

    def __init__(self, d: int = 512, heads: int = 8, layers: int = 13, mels: int = 80, content: int = 512) -> None:
        super().__init__()
        self.enter = nn.Linear(2 * mels + content, d)
        self.time = nn.Sequential(nn.Linear(256, d), nn.SiLU(), nn.Linear(d, d))
        self.layers = nn.ModuleList(DiTBlock(d, heads) for _ in range(layers))
        self.leave = nn.Linear(d, mels)

    def forward(self, x: Tensor, time: Tensor, content: Tensor, prompt: Tensor) -> Tensor:
        angle = time[:, None] * torch.ones(128, dtype=x.dtype, device=x.device)
        condition = self.time(torch.cat((angle.cos(), angle.sin()), -1))
        y = self.enter(torch.cat((x, prompt, content), -1))
        for layer in self.layers:
            y = layer(y, condition)
        return self.leave(y)


def euler(content: Tensor, prompt: Tensor, model: AdaLNZeroDiT, mode: str, steps: int) -> Tensor:
    """A mel from noise. mode: guidance "batched", "sequential" or "none"."""
    x = torch.randn_like(prompt)
    if mode == "batched":
        content, prompt = (torch.cat((y, torch.zeros_like(y))) for y in (content, prompt))
    elif mode == "sequential":
        null = torch.zeros_like(content), torch.zeros_like(prompt)
    for i in range(steps):
        t = x.new_full((1,), i / steps)
        if mode == "none":
            v = model(x, t, content, prompt)
        else:
            if mode == "batched":
                c, u = model(torch.cat((x, x)), torch.cat((t, t)), content, prompt).chunk(2)
            else:
                c, u = model(x, t, content, prompt), model(x, t, *null)
            v = c + 0.7 * (c - u)
        x = x + v / steps
    return x


class GPTBlock(Block):
    """Returns with its result what the cache keeps: in the first pass views of the whole projection."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__(d, heads, affine=True)

    def forward(self, x: Tensor, kept: Kept | None) -> tuple[Tensor, Kept]:
        y = self.norm1(x)
        q, k, v = self.split(self.qkv(y))
        if kept is not None:
            k, v = torch.cat((kept[0], k), 2), torch.cat((kept[1], v), 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=kept is None).transpose(1, 2).flatten(2)
        x = x + self.out(y)
        y = self.norm2(x)
        return x + self.down(F.gelu(self.up(y))), (k, v)


class GPT2(nn.Module):
    """Tokens (b, t) -> logits of the last (b, 1, tokens). Learned places; IndexTTS-2's 8,194 tokens of speech."""

    def __init__(
        self, d: int = 1280, heads: int = 20, layers: int = 24, tokens: int = 8194, places: int = 1024
    ) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(tokens, d), nn.Embedding(places, d)
        self.layers = nn.ModuleList(GPTBlock(d, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, tokens, bias=False)

    def forward(self, ids: Tensor, start: int, cache: list[Kept | None]) -> Tensor:
        y = self.tokens(ids) + self.places(torch.arange(start, start + ids.shape[1], device=ids.device))
        for i, layer in enumerate(self.layers):
            y, cache[i] = layer(y, cache[i])
        return self.head(self.norm(y)[:, -1:])


def greedy(ids: Tensor, model: GPT2, steps: int) -> None:
    """A prefix (b, t), then `steps` tokens one at a time."""
    cache: list[Kept | None] = [None] * len(model.layers)
    length = ids.shape[1]
    new = model(ids, 0, cache).argmax(-1)
    for i in range(steps):
        new = model(new, length + i, cache).argmax(-1)


class WeightNormHiFiGAN(HiFiGAN):
    """Weight norm stays in place, so that a convolution's weight is there while it runs (and, for autograd, longer)."""

    def __init__(self, sizes: HiFiGANSizes = V1) -> None:
        super().__init__(sizes)
        for part in [m for m in self.modules() if isinstance(m, nn.Conv1d | nn.ConvTranspose1d)]:
            weight_norm(part)

    def forward(self, mel: Tensor) -> Tensor:
        """(b, m, t) -> (b, 1, s). The name of a block's result outlives the addition."""
        x = self.conv_pre(mel)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            total = None
            for block in self.resblocks[3 * i : 3 * i + 3]:
                y = block(x)
                total = y if total is None else total + y
            x = total / 3
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))


def tiled(mel: Tensor, vocoder: HiFiGAN, chunk: int = 256, halo: int = 16) -> Tensor:
    """The vocoder in pieces of `chunk` mel frames, with `halo` frames of their neighbours: (b, m, t) -> (b, 1, s)."""
    hop, end = vocoder.sizes.hop_length, mel.shape[-1]
    out = mel.new_empty(len(mel), 1, end * hop)
    for start in range(0, end, chunk):
        stop, first = min(start + chunk, end), max(start - halo, 0)
        piece = vocoder(mel[..., first : stop + halo])
        out[..., start * hop : stop * hop] = piece[..., (start - first) * hop : (stop - first) * hop]
    return out
