"""Sizes of the networks from semantic tokens to sound, and of those that read a reference clip.

Defaults are the released ones (config_v2.yaml and the vocoder's and the speaker encoder's own configurations).
`SMALL` has every structural feature at a size that a test can run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tts_lab.nn.bigvgan import BigVGANSizes
from tts_lab.nn.campplus import CAMPPlusSizes
from tts_lab.nn.dit import DiTSizes


@dataclass(frozen=True)
class LengthRegulatorSizes:
    """content: width of its input; codebook: entries of an embedding that inference never reads."""

    content: int = 1024
    width: int = 512
    convolutions: int = 4
    codebook: int = 2048


DIT = DiTSizes(80, 512, 192, 512, 8, 13, 1536, prompt=True, final="wavenet", long_skip=True)


@dataclass(frozen=True)
class S2MelSizes:
    """latent: widths of the layers from the GPT's latents to the codec's features."""

    dit: DiTSizes = DIT
    regulator: LengthRegulatorSizes = LengthRegulatorSizes()
    latent: tuple[int, ...] = (1280, 256, 128, 1024)


@dataclass(frozen=True)
class CodecSizes:
    """RepCodec. features: width of what it quantises; entry: width of a codebook entry."""

    features: int = 1024
    codebook: int = 8192
    entry: int = 8
    width: int = 384
    inner: int = 2048
    layers: int = 12


@dataclass(frozen=True)
class Sizes:
    """All of them."""

    s2mel: S2MelSizes = field(default_factory=S2MelSizes)
    codec: CodecSizes = field(default_factory=CodecSizes)
    campplus: CAMPPlusSizes = field(default_factory=CAMPPlusSizes)
    bigvgan: BigVGANSizes = field(default_factory=BigVGANSizes)


SMALL = Sizes(
    S2MelSizes(
        DiTSizes(20, 48, 24, 64, 4, 5, 256, prompt=True, final="wavenet", long_skip=True, wavenet_layers=3),
        LengthRegulatorSizes(40, 48, codebook=20),
        (56, 16, 12, 40),
    ),
    CodecSizes(features=40, codebook=50, entry=8, width=24, inner=56, layers=3),
    CAMPPlusSizes(embedding=24, growth=6, width=24, blocks=(2, 3, 2)),
    BigVGANSizes(mels=20, channels=64),
)
