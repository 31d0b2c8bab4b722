"""The voice and the emotion to speak with, from w2v-bert features of reference clips, as GPT conditioning.

336 million parameters, needed once per voice: what they give is 34 vectors, which can be kept while they leave memory.

Axes: b batch, t frames of features (50 a second), f features (1024), n latents (32), d width of the GPT.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tts_lab.nn.conformer import Conformer
from tts_lab.nn.perceiver import Perceiver
from tts_lab.systems.indextts2.config import EMOTION_WIDTH, FEATURES, ConditionConfig, GPTConfig
from tts_lab.systems.indextts2.emotion import blend


class Conditioner(nn.Module):
    """Parameter names are those of the released `gpt.pth`. Its methods keep no autograd graph: results are stored."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        d, speaker, emotion = config.model_dim, config.condition_module, config.emo_condition_module
        self.conditioning_encoder = _conformer(speaker)
        self.perceiver_encoder = Perceiver(
            d, speaker.output_size, config.latents, speaker.attention_heads, speaker.perceiver_mult
        )
        self.emo_conditioning_encoder = _conformer(emotion)
        self.emo_perceiver_encoder = Perceiver(
            EMOTION_WIDTH, emotion.output_size, 1, emotion.attention_heads, emotion.perceiver_mult
        )
        self.emovec_layer = nn.Linear(EMOTION_WIDTH, d)
        self.emo_layer = nn.Linear(d, d)
        self.speed_emb = nn.Embedding(2, d)

    @torch.no_grad()
    def speaker(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalised features (b, t, f) of the voice's clip -> latents (b, n, d). lengths: (b,) frames; see `real`."""
        features = features.to(self.speed_emb.weight.dtype)
        return self.perceiver_encoder(*self.conditioning_encoder(features, real(features, lengths)))

    @torch.no_grad()
    def emotion_latent(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features (b, t, f) of the emotion's clip -> (b, 1024)."""
        features = features.to(self.speed_emb.weight.dtype)
        return self.emo_perceiver_encoder(*self.emo_conditioning_encoder(features, real(features, lengths)))[:, 0]

    @torch.no_grad()
    def emotion(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features (b, t, f) of the emotion's clip -> emotion vector (b, d). How to mix several: `emotion.py`."""
        return self.emo_layer(self.emovec_layer(self.emotion_latent(features, lengths)))

    @torch.no_grad()
    def conditioning(self, speaker: Tensor, emotion: Tensor) -> Tensor:
        """What the GPT reads first: latents (b, n, d) with the emotion vector (b, d) added to each, then two constant
        vectors, the released model's speed rows 1 and 0. Returns (b, n + 2, d)."""
        speed = self.speed_emb.weight.flip(0).expand(len(speaker), -1, -1)
        return torch.cat((speaker + emotion.to(speaker.dtype)[:, None], speed), 1)

    def forward(self, speaker_features: Tensor, emotion_features: Tensor | None = None, alpha: float = 1.0) -> Tensor:
        """Everything in one go: conditioning (b, n + 2, d) from clips of a voice and of an emotion.

        Without an emotion's clip the voice's own emotion is taken; alpha 0 takes it too, 1 the other's.
        """
        vector = self.emotion(speaker_features)
        if emotion_features is not None:
            vector = blend(vector, self.emotion(emotion_features), alpha)
        return self.conditioning(self.speaker(speaker_features), vector)

    def tile(self, frames: int) -> None:
        """Subsample so many output frames (25 a second) at a time, 0 all: the lever `tiling` of this stage.

        At the released size 64 frames take 131 MiB instead of 750 for a clip of 15 s, in float32.
        """
        for encoder in (self.conditioning_encoder, self.emo_conditioning_encoder):
            encoder.embed.piece = frames


def real(features: Tensor, lengths: Tensor | None = None) -> Tensor | None:
    """Mask (b, t) of the frames that are no padding; None: all.

    Public code gives the number of features, 1024, for the length, so that frames after the 1024th count as padding
    (20.5 s; clips are cut to 15 s). Without `lengths` this does the same.
    """
    t = features.shape[1]
    if lengths is None and t <= features.shape[2]:
        return None
    limit = features.shape[2] if lengths is None else lengths[:, None]
    return (torch.arange(t, device=features.device)[None] < limit).expand(len(features), -1)


def _conformer(sizes: ConditionConfig) -> Conformer:
    return Conformer(FEATURES, sizes.output_size, sizes.attention_heads, sizes.num_blocks, sizes.linear_units)
