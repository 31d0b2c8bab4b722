"""The networks of IndexTTS-2, each on its own, so that each can be on a card when it is needed and not otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tts_lab.nn.bigvgan import BigVGAN, BigVGANSizes
from tts_lab.nn.campplus import CAMPPlus, CAMPPlusSizes
from tts_lab.nn.dit import DiTSizes
from tts_lab.systems.indextts2 import config, features, sizes
from tts_lab.systems.indextts2.codec import RepCodec
from tts_lab.systems.indextts2.conditioner import Conditioner
from tts_lab.systems.indextts2.config import GPTConfig
from tts_lab.systems.indextts2.features import FeatureSizes, SemanticFeatures
from tts_lab.systems.indextts2.s2mel import S2Mel
from tts_lab.systems.indextts2.sizes import Sizes
from tts_lab.systems.indextts2.voice_model import VoiceModel

if TYPE_CHECKING:
    from tts_lab.systems.indextts2.emotion_text import EmotionText
    from tts_lab.systems.indextts2.tokens import Tokens

STORED_VOICES = 73


@dataclass(frozen=True)
class AllSizes:
    """Sizes of every network; the released ones by default."""

    gpt: GPTConfig = field(default_factory=GPTConfig)
    mel_side: Sizes = field(default_factory=Sizes)
    features: FeatureSizes = field(default_factory=FeatureSizes)


SMALL = AllSizes(
    config.SMALL,
    sizes.Sizes(
        sizes.S2MelSizes(
            DiTSizes(80, 48, 24, 64, 4, 5, 256, prompt=True, final="wavenet", long_skip=True, wavenet_layers=3),
            sizes.LengthRegulatorSizes(1024, 48, codebook=20), (48, 16, 12, 1024),
        ),
        sizes.CodecSizes(codebook=64, width=24, inner=56, layers=2),
        CAMPPlusSizes(embedding=24, growth=6, width=24, blocks=(2, 3, 2)),
        BigVGANSizes(channels=64),
    ),
    features.SMALL,
)  # fmt: skip
"""Networks that fit each other at a size for tests."""


@dataclass
class Parts:
    """The networks, in the computer's memory, and the tables beside them.

    speakers (73, 192), emotions (73, d): stored voices and their emotion vectors, feat1.pt and feat2.pt; groups: how
    many of them for each emotion. tokens: the text's tokenizer; emotion_text: the model that reads an emotion from a
    text; either is None where it was not loaded. random: whether the weights are random, which everything made with
    them must say.
    """

    features: SemanticFeatures
    codec: RepCodec
    campplus: CAMPPlus
    conditioner: Conditioner
    gpt: VoiceModel
    s2mel: S2Mel
    vocoder: BigVGAN
    speakers: Tensor
    emotions: Tensor
    groups: tuple[int, ...] = (3, 17, 2, 8, 4, 5, 10, 24)
    tokens: Tokens | None = None
    emotion_text: EmotionText | None = None
    random: bool = True

    @classmethod
    def build(cls, sizes: AllSizes | None = None, device: str | torch.device = "cpu", seed: int = 0) -> Parts:
        """Networks of these sizes with random weights. device: "meta" for sizes alone, which costs nothing."""
        sizes = sizes or AllSizes()
        mel = sizes.mel_side
        with torch.device(device), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(
                SemanticFeatures(sizes.features), RepCodec(mel.codec), CAMPPlus(mel.campplus), Conditioner(sizes.gpt),
                VoiceModel(sizes.gpt), S2Mel(mel.s2mel), BigVGAN(mel.bigvgan),
                torch.randn(STORED_VOICES, mel.campplus.embedding), torch.randn(STORED_VOICES, sizes.gpt.model_dim),
            )  # fmt: skip
        for module in made.modules().values():
            module.eval().requires_grad_(False)
        return made

    def modules(self) -> dict[str, nn.Module]:
        """Every network by its name in reports. s2mel's three are told apart, because they are used apart."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        whole = {k: v for k, v in found.items() if isinstance(v, nn.Module) and k != "s2mel"}
        s2mel = self.s2mel
        return whole | {"regulator": s2mel.length_regulator, "latent": s2mel.gpt_layer, "dit": s2mel.dit}
