"""What w2v-bert-2.0 hears in a clip: the semantic features that the codec and both conditioners read.

The network is the one of the library `transformers`, cut after the layer whose states are used: 17 of 24.

Axes: b batch, t positions (50 a second), f features (1024), s samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.audio.backend import torchaudio
from tts_lab.errors import LabError

RATE = 16_000
POSITIONS_PER_SECOND = 50
FILTERS = 160  # two frames of 80 filters, side by side
USED_LAYERS, RELEASED_LAYERS = 17, 24


@dataclass(frozen=True)
class FeatureSizes:
    """w2v-bert-2.0 by default. layers: that are kept; `RELEASED_LAYERS` to measure what the rest would cost."""

    width: int = 1024
    layers: int = USED_LAYERS
    heads: int = 16
    inner: int = 4096


SMALL = FeatureSizes(width=1024, layers=1, heads=4, inner=64)
"""For tests; the width is what the conditioners expect."""


class SemanticFeatures(nn.Module):
    """forward(filters (b, t, 160)) -> normalised features (b, t, f).

    mean, deviation: (f,), of the released statistics; 0 and 1 until they are loaded. Raises LabError where transformers
    is not installed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, sizes: FeatureSizes = FeatureSizes()) -> None:
        super().__init__()
        self.sizes = sizes
        self.model = _library().Wav2Vec2BertModel(_config(sizes))
        self.register_buffer("mean", torch.zeros(sizes.width))
        self.register_buffer("deviation", torch.ones(sizes.width))

    def forward(self, filters: Tensor) -> Tensor:
        states: Tensor = self.model(filters.to(self.mean.dtype)).last_hidden_state
        return (states - self.mean) / self.deviation


def filters(samples: Tensor) -> Tensor:
    """What the network reads of (s,) sound at 16 kHz: (1, t, 160) float32, computed in the computer's memory."""
    extract = _library().SeamlessM4TFeatureExtractor()
    found: Tensor = extract(samples.numpy(), sampling_rate=RATE, return_tensors="pt")["input_features"]
    return found


def _config(sizes: FeatureSizes) -> Any:
    return _library().Wav2Vec2BertConfig(
        hidden_size=sizes.width, num_hidden_layers=sizes.layers, num_attention_heads=sizes.heads,
        intermediate_size=sizes.inner, feature_projection_input_dim=FILTERS,
    )  # fmt: skip


def _library() -> Any:
    torchaudio()  # transformers imports it, which fails on a CPU build of torch unless it was prepared
    try:
        with torch.device("cpu"):  # whatever device the caller builds on: modules keep tensors from their import
            import transformers
    except ModuleNotFoundError:
        raise LabError(
            "IndexTTS-2 needs the library transformers, which is not installed; run ./lab install."
        ) from None
    return transformers
