"""The decoder as the published code runs it, for comparison: the same layers, the same numbers, another cost.

Each step builds masks over all pairs of steps, appends to every cache by making a longer one, and keeps the maps of
both attentions of every layer until the end: 2 x layers x heads x (t / r)^2 numbers.

Axes: b batch, t mel frames, r frames of a step, s decoder steps, m mel bands, h heads, k width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tts_lab.loops import growing
from tts_lab.nn.cache import GrowingCache
from tts_lab.nn.lengthen import lengthen
from tts_lab.systems.sambert.acoustic import Sambert, Units
from tts_lab.systems.sambert.decoder import MelDecoder, PncaAttention, PncaBlock
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.parts import real


@dataclass
class Maps:
    """Attention maps, one tensor a layer: encoder (h b, n, n); own and text (h b, s, s)."""

    encoder: list[Tensor] = field(default_factory=list)
    own: list[Tensor] = field(default_factory=list)
    text: list[Tensor] = field(default_factory=list)


class NaiveCache:
    """Keys and values that grow, those of the text, and the maps so far: a list of steps for each layer."""

    def __init__(self, decoder: MelDecoder, memory: Tensor) -> None:
        self.steps = GrowingCache()
        self.text = [(k.contiguous(), v.contiguous()) for k, v in decoder.mel_dec.text(memory)]
        self.maps: list[list[list[Tensor]]] = [[[] for _ in self.text] for _ in ("own", "text")]
        self.written: list[Tensor] = []

    def skip(self, steps: int) -> None:
        """Leave everything as after so many more steps."""
        lengthen(self.steps, steps)
        for kept in (*self.maps[0], *self.maps[1], self.written):
            kept.extend(kept[-1].clone() for _ in range(steps))


def naive_mel(model: Sambert, plan: Plan, maps: Maps | None = None) -> Tensor:
    """The whole mel (b, m, t) of a plan. maps: gets the decoder's attention maps."""
    made = naive_decode(model, plan, maps)
    mask = real(plan.frames, made.shape[1], made.device)
    if mask is not None:
        made = made.masked_fill(~mask[..., None], 0)
    made = model.mel_postnet(made, mask) + made
    if mask is not None:
        made = made.masked_fill(~mask[..., None], 0)
    return made[:, : max(plan.frames)].transpose(1, 2)


def naive_decode(model: Sambert, plan: Plan, maps: Maps | None = None, teacher: Tensor | None = None) -> Tensor:
    """What the decoder writes, before the postnet: (b, t, m), t a multiple of r. teacher: as in `MelDecoder.blocks`."""
    decoder, total = model.mel_decoder, max(plan.steps(model.config.outputs_per_step))
    memory = model.frames(plan).memory(0, total)
    cache = NaiveCache(decoder, memory)
    before = memory.new_zeros(len(memory), 1, decoder.mels)
    for step in growing(total, cache.skip):
        if teacher is not None and step:
            before = teacher[:, step * decoder.r - 1][:, None]
        before = _step(decoder, step, before, memory, plan, cache)[..., -decoder.mels :]
    written = torch.cat(cache.written, 1).view(len(memory), -1, decoder.mels)
    for kind in cache.maps:
        for layer in range(len(kind)):
            kind[layer] = [torch.cat(kind[layer], 1)]
    if maps is not None:
        maps.own, maps.text = ([map_ for (map_,) in kind] for kind in cache.maps)
    return written


def _step(decoder: MelDecoder, step: int, before: Tensor, memory: Tensor, plan: Plan, cache: NaiveCache) -> Tensor:
    stack = decoder.mel_dec
    x = stack.enter(before, memory[:, step : step + 1])
    own, text = band_masks(plan, decoder.r, memory.shape[1], memory.device)
    own, text = own[:, step : step + 1, : step + 1], text[:, step : step + 1]
    for layer, block in enumerate(stack.pnca):
        assert isinstance(block, PncaBlock)
        x = block.pos_ffn(_attention(block.pnca_attn, x, layer, own, text, cache, memory.shape[1]))
    y = stack.dec_out_proj(stack.ln(x))
    cache.steps.advance(1)
    cache.written.append(y)
    return y


def band_masks(plan: Plan, r: int, total: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pairs of steps (b, s, s) that may not see each other: of a step and one before, of a step and the text ahead."""
    step = torch.arange(total, device=device)
    query, key = step[None, :, None], step[None, None, :]
    band = torch.tensor(plan.bands, device=device)[:, None, None]
    ends = torch.tensor(plan.steps(r), device=device)[:, None, None]
    own = (key >= query - band) & (key <= query)
    ahead = (key >= query) & (key <= query + band) & ((key < ends) | (key == query))
    return ~own, ~ahead


def _attention(attention: PncaAttention, x: Tensor, layer: int, own: Tensor, text: Tensor, cache: NaiveCache,
               total: int) -> Tensor:  # fmt: skip
    q, k, v = attention.own(x)
    k, v = cache.steps.update(layer, k, v)
    to_own, weights = _mapped(q, k, v, own)
    left = total - weights.shape[-1]
    if left:
        weights = torch.cat((weights, weights.new_zeros(*weights.shape[:2], left)), -1)
    cache.maps[0][layer].append(weights)
    to_text, weights = _mapped(q, *cache.text[layer], text)
    cache.maps[1][layer].append(weights)
    return attention.fc_x(to_own) + attention.fc_h(to_text) + x


def _mapped(q: Tensor, k: Tensor, v: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Attention with all pairs written out, and its map with heads before batch: (b, 1, d), (h b, 1, s)."""
    scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    weights = scores.masked_fill(hidden[:, None], -torch.inf).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(2), weights.transpose(0, 1).flatten(0, 1)


def naive_speak(
    model: Sambert, units: Units, durations: tuple[tuple[int, ...], ...] | None = None
) -> tuple[Tensor, Maps]:
    """Units -> mel (b, m, t) and all attention maps, as the published model returns them together."""
    maps = Maps()
    prosody = model.prosody(units, maps=maps.encoder)
    return naive_mel(model, Plan.of(prosody, model.config.outputs_per_step, durations), maps), maps
