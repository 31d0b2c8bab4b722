"""RepCodec: speech features of w2v-bert -> semantic tokens, and tokens -> features (as in MaskGCT, Wang et al. 2024).

The released decoder, from features back to w2v-bert's, is used by no version of the pipeline and left out.

Axes: b batch, n positions (50 a second), f features, d width, e width of a codebook entry, k codebook entries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from tts_lab.nn.feedforward import ConvNeXt
from tts_lab.systems.indextts2.released import Layout, Shape, renamed
from tts_lab.systems.indextts2.sizes import CodecSizes

EPS = 1e-6  # of every layer norm (Vocos)
KERNEL = 7


class CodecEncoder(nn.Module):
    """Vocos' backbone and a projection: (b, n, f) -> (b, n, f)."""

    def __init__(self, sizes: CodecSizes) -> None:
        super().__init__()
        d = sizes.width
        self.embed = nn.Conv1d(sizes.features, d, KERNEL, padding=KERNEL // 2)
        self.norm = nn.LayerNorm(d, EPS)
        self.layers = nn.ModuleList(ConvNeXt(d, sizes.inner, KERNEL, eps=EPS, scaled=True) for _ in range(sizes.layers))
        self.final_norm = nn.LayerNorm(d, EPS)
        self.project = nn.Linear(d, sizes.features)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.embed(x.transpose(1, 2)).transpose(1, 2))
        for layer in self.layers:
            y = layer(y)
        return self.project(self.final_norm(y))


class RepCodec(nn.Module):
    """forward(features (b, n, f)) -> tokens (b, n) int64 and their embeddings (b, n, f)."""

    def __init__(self, sizes: CodecSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = CodecEncoder(sizes)
        self.in_project = nn.Conv1d(sizes.features, sizes.entry, 1)
        self.out_project = nn.Conv1d(sizes.entry, sizes.features, 1)
        self.codebook = nn.Parameter(torch.randn(sizes.codebook, sizes.entry))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.nearest(self.latent(features))
        return tokens, self.embed(tokens)

    def latent(self, features: Tensor) -> Tensor:
        """(b, n, f) -> what the codebook is searched for (b, n, e)."""
        return self.in_project(self.encoder(features).transpose(1, 2)).transpose(1, 2)

    def nearest(self, latent: Tensor) -> Tensor:
        """Entries (b, n) that lie nearest to (b, n, e) by direction; in float32, for near ties decide a token."""
        directions = normalize(self.codebook.float(), dim=-1)
        return (normalize(latent.float(), dim=-1) @ directions.T).argmax(-1)

    def embed(self, tokens: Tensor) -> Tensor:
        """Tokens (b, n) -> features (b, n, f): raw entries, not their directions, through the projection.

        Tokens may wait in the computer's memory while the codec is on a card.
        """
        if tokens.device != self.codebook.device:
            tokens = tokens.to(self.codebook.device)
        return self.out_project(embedding(tokens, self.codebook).transpose(1, 2)).transpose(1, 2)


CONVNEXT = (("dwconv", "depthwise"), ("norm", "norm"), ("pwconv1", "expand"), ("pwconv2", "contract"))
QUANTISER = "quantizer.quantizers.0."


def layout(sizes: CodecSizes) -> Layout:
    """Of the semantic codec's model.safetensors, whose decoder mirrors its encoder."""
    rows = [("0.embed", "embed"), ("0.norm", "norm"), ("0.final_layer_norm", "final_norm"), ("1", "project")]
    rows += [(f"0.convnext.{i}.{a}", f"layers.{i}.{b}") for i in range(sizes.layers) for a, b in CONVNEXT]
    encoder = renamed(rows) | {f"0.convnext.{i}.gamma": f"layers.{i}.gain" for i in range(sizes.layers)}
    projections = renamed((QUANTISER + name, name) for name in ("in_project", "out_project"))
    names = {"encoder." + a: "encoder." + b for a, b in encoder.items()} | projections
    names[QUANTISER + "codebook.weight"] = "codebook"
    with torch.device("meta"):
        state = CodecEncoder(sizes).state_dict()
    unused: dict[str, Shape] = {"decoder." + a: tuple(state[b].shape) for a, b in encoder.items()}
    return Layout(names, frozenset(name for name in projections if name.endswith("weight")), unused)
