"""IndexTTS-2 as the public program holds it in memory: the baseline of a study, not a way to speak.

Read off index-tts/index-tts, `indextts/infer_v2.py`: everything is loaded at the start and stays. Beside what speech
needs, the card holds seven unused layers of w2v-bert, the codec's decoder, the GPT's head for text and its causal
masks, a mask of 8192 x 8192 of the DiT, weights of the WaveNet twice (weight norm is never folded there), and the model
that reads emotions from texts. What a reference clip gives is computed with autograd on, and kept with its graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.memory.meter import DeviceMeter
from tts_lab.pipeline import speak
from tts_lab.recipe import Recipe
from tts_lab.systems.indextts2 import codec, s2mel
from tts_lab.systems.indextts2.features import RELEASED_LAYERS, FeatureSizes, SemanticFeatures
from tts_lab.systems.indextts2.gpt_checkpoint import as_released
from tts_lab.systems.indextts2.lengths import Lengths, MeasuredIndexTTS2
from tts_lab.systems.indextts2.parts import AllSizes, Parts
from tts_lab.systems.indextts2.released import Layout
from tts_lab.types import Prompt, Request

MASK = 8192  # positions of the DiT's causal mask, which nothing reads
EMOTION_MODEL_BYTES = 2 * 596_049_920  # Qwen3-0.6B in float16
NOTE = (
    "As the public program holds it: everything stays on the card, unused parts too, and the reference clip's autograd "
    "graph is kept."
)


@dataclass(frozen=True)
class Held:
    """What the public program holds that speech does not need. emotion_model: the one that reads texts; unread: parts
    that nothing reads; graph: of autograd, for what a reference clip gives."""

    emotion_model: bool = True
    unread: bool = True
    graph: bool = True


class Unread(nn.Module):
    """Tensors that are on the card and that nothing reads."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        for i, shape in enumerate(shapes.values()):
            self.register_buffer(f"unread{i}", torch.empty(shape, dtype=dtype))


class PublicIndexTTS2(MeasuredIndexTTS2):
    """Every network is on the device from the start and is used where it is."""

    def __init__(
        self, meter: DeviceMeter, parts: Parts, lengths: Lengths, unread: Mapping[str, nn.Module], graph: bool = True
    ) -> None:  # fmt: skip
        self.unread, self.graph = dict(unread), graph
        self.kept: list[Any] = []
        super().__init__(meter, parts, lengths)

    def _settle(self, meter: DeviceMeter) -> None:
        for name, module in {**self._modules, **self.unread}.items():
            meter.place(module.to(meter.device), name)

    @contextmanager
    def _use(self, part: str, recipe: Recipe) -> Iterator[Any]:
        yield self._modules[part]

    def _listen(self, request: Request, path: Any, recipe: Recipe) -> Prompt:
        """As the parent, but codec, speaker encoder and length regulator run with autograd, and their graphs stay."""
        heard = self._hear(path)
        with torch.inference_mode(False):
            features = self._features(heard, recipe)
            with torch.set_grad_enabled(self.graph):
                _, embedded = self._modules["codec"](features)
                style = self._modules["campplus"](heard.bank.to(self.device))
                content = self._modules["regulator"](embedded, heard.mel.shape[2])
            mel = heard.mel.to(self.device)
        conditioner: Any = self._modules["conditioner"]
        latents, own = conditioner.speaker(features), conditioner.emotion(self._features(heard, recipe))
        self.kept = [embedded, style, content, mel, features]
        extra = {"conditioning": conditioner.conditioning(latents, own), "content": content.detach(), "mel": mel}
        return Prompt("made-up", style.detach(), {**extra, "notes": ()})


def run_lengths(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter,
                sizes: AllSizes | None = None, held: Held | None = None) -> tuple[str, ...]:  # fmt: skip
    """A request as the public program runs it, under a meter, in float32 whatever the recipe says. Returns notes."""
    sizes, held = sizes or AllSizes(), held or Held()
    device = "meta" if meter.device == "meta" else "cpu"
    parts = _parts(sizes, device, held)
    with torch.device(device):
        unread = _unread(sizes) if held.unread else {}
        if held.emotion_model:
            unread["emotion_model"] = Unread({"weights": (EMOTION_MODEL_BYTES // 2,)}, torch.float16)
    system = PublicIndexTTS2(meter, parts, Lengths.of(seconds, reference_seconds, recipe), unread, held.graph)
    with meter:
        for wave in speak(system, Request("。"), recipe, meter):
            wave.samples.cpu()
        del wave
    return (NOTE,)


def _parts(sizes: AllSizes, device: str, held: Held) -> Parts:
    """The networks with all their layers; those that run under autograd have weights that ask for gradients."""
    parts = Parts.build(sizes, device)
    released = FeatureSizes(sizes.features.width, RELEASED_LAYERS, sizes.features.heads, sizes.features.inner)
    if held.unread:
        with torch.device(device):
            parts.features = SemanticFeatures(released).eval().requires_grad_(False)
            parts.conditioner, parts.gpt = as_released(sizes.gpt)
    for frozen in (parts.conditioner, parts.gpt):
        frozen.eval().requires_grad_(False)
    for graphed in (parts.codec, parts.campplus, parts.s2mel.length_regulator):
        graphed.requires_grad_(True)
    return parts


def _unread(sizes: AllSizes) -> dict[str, nn.Module]:
    mel_side = sizes.mel_side
    s2mel_layout, codec_layout = s2mel.layout(mel_side.s2mel), codec.layout(mel_side.codec)
    with torch.device("meta"):
        twice = _normed(s2mel.S2Mel(mel_side.s2mel), s2mel_layout)
    return {
        "codec_decoder": Unread(codec_layout.unused), "s2mel_unused": Unread(s2mel_layout.unused),
        "s2mel_weight_norm": Unread(twice), "dit_causal_mask": Unread({"mask": (MASK, MASK)}, torch.bool),
    }  # fmt: skip


def _normed(module: nn.Module, layout: Layout) -> dict[str, tuple[int, ...]]:
    """Shapes of the weights that weight norm keeps beside their direction, in the order of the module."""
    state: Mapping[str, Tensor] = module.state_dict()
    return {name: tuple(state[own].shape) for name, own in layout.names.items() if name in layout.normed}
