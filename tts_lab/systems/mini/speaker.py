"""How near a reference clip is to each of the bundled voices: an embedding of the voice in it, and centroids.

The bundled system was taught four voices and cannot copy a fifth. So a clip is compared with the four: the encoder was
taught to tell many voices apart, most of which mini does not speak, with an additive margin on the cosine (Wang et al.
2018, "Additive margin softmax for face verification"; `training/train_speaker.py`), so that a voice it has never heard
lands away from the four. Statistics pooling as in x-vectors (Snyder et al. 2018). `likeness.py` judges the distances.

Axes: s samples, b batch, m mel bands, t mel frames, d embedding, v voices.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts_lab.audio.mel import MEL_22K, log_mel

WIDTH = 96
EMBEDDING = 64
CLIP_DBFS = -23.0  # of the clips' sound, lest a quiet one sink below the mel's floor
SILENCE_NATS = 4.6  # a frame this far (40 dB) below a clip's loud ones holds no voice
LOUD = 0.95  # share of a clip's frames that are quieter than a loud one


class SpeakerEncoder(nn.Module):
    """forward(natural-log mel (b, m, t)) -> embedding (b, d) of length 1.

    Mean and standard deviation over time are pooled, so that the clip's length does not matter, and the clip's level
    is taken off, so that neither does the microphone's. mean, std: (m,) of log-mel without its level. centroids:
    (v, d) of the bundled voices. limits: (2,) distances, see `likeness.Likeness`.
    """

    mean: Tensor
    std: Tensor
    centroids: Tensor
    limits: Tensor

    def __init__(self, mels: int, voices: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(mels, WIDTH, 5, padding=2), nn.GELU(), nn.GroupNorm(1, WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=2, dilation=2), nn.GELU(), nn.GroupNorm(1, WIDTH),
            nn.Conv1d(WIDTH, WIDTH, 3, padding=4, dilation=4), nn.GELU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(2 * WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, EMBEDDING))
        for name, shape in (("mean", mels), ("std", mels), ("limits", 2)):
            self.register_buffer(name, torch.ones(shape))
        self.register_buffer("centroids", torch.zeros(voices, EMBEDDING))

    def forward(self, mel: Tensor) -> Tensor:
        x = self.convs((levelled(mel) - self.mean[:, None]) / self.std[:, None])
        spread = (x.var(-1, correction=0) + 1e-6).sqrt()  # a root of nought has no gradient
        return F.normalize(self.head(torch.cat((x.mean(-1), spread), -1)), dim=-1)

    def distances(self, mel: Tensor) -> Tensor:
        """Cosine distances (b, v), 0 to 2, of clips (b, m, t) from the bundled voices."""
        return 1 - self(mel) @ self.centroids.T


def clip_mel(samples: Tensor) -> Tensor:
    """Sound (s,) at 22,050 Hz -> natural-log mel (m, t) of what is heard in it, as the encoder was taught."""
    loud = samples * 10 ** (CLIP_DBFS / 20) / samples.square().mean().sqrt().clamp(min=1e-9)
    return without_silence(log_mel(loud[None], MEL_22K)[0])


def without_silence(mel: Tensor) -> Tensor:
    """The frames of a clip (m, t) in which something is heard: (m, t') with t' at least a twentieth of t."""
    level = mel.mean(0)
    return mel[:, level >= level.quantile(LOUD) - SILENCE_NATS]


def levelled(mel: Tensor) -> Tensor:
    """Log-mel (b, m, t) without its level, that of the mean power of all its values."""
    power = (2 * mel).flatten(1).logsumexp(1) - math.log(mel[0].numel())
    return mel - power[:, None, None] / 2
