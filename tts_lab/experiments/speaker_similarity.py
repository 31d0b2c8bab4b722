"""How alike two voices are: the cosine of their embeddings by the GE2E speaker encoder (Wan et al. 2018).

The weights are those of the package resemblyzer 0.1.4 (Apache License 2.0), whose code is not imported and need not be
able to run: `pip install --no-deps resemblyzer==0.1.4`. Trained on English speakers; a similarity means something
beside that of other renderings, not by itself.

Axes: b windows, t frames, m mel bands, d embedding, s samples.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tts_lab.audio.resample import resample
from tts_lab.errors import LabError, WeightsError

PACKAGE, FILE = "resemblyzer", "resemblyzer/pretrained.pt"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.4"
RATE, BANDS, WIDTH = 16_000, 40, 256  # resemblyzer/hparams.py, as all that follows
WINDOW, HOP = 400, 160  # samples of a mel frame
FRAMES, STEP = 160, 77  # frames of a window that is embedded, and from one to the next (1.3 windows a second)
LOUDNESS_DBFS = -30.0


class SpeakerEncoder(nn.Module):
    """Three LSTM layers and a projection: mel (b, t, m) -> embeddings (b, d) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, num_layers=3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, mel: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(mel)
        return F.normalize(F.relu(self.linear(hidden[-1])), dim=1)


def is_here() -> bool:
    """Whether the weights are installed."""
    try:
        return _file().is_file()
    except LabError:
        return False


@torch.inference_mode()
def embedding(samples: Tensor, rate: int) -> Tensor:
    """Embedding (d,) of the voice in (s,) sound at `rate` Hz, of length 1: the mean over windows of 1.6 s.

    Raises LabError where the weights are not installed, WeightsError where they are damaged.
    """
    sound = resample(samples.detach().float().cpu(), rate, RATE)
    quiet = 10 ** (LOUDNESS_DBFS / 20) / sound.square().mean().sqrt().clamp(min=1e-9)
    mel = _mel(sound * quiet.clamp(min=1.0))
    mel = F.pad(mel, (0, 0, 0, max(0, FRAMES - mel.shape[0])))
    windows = mel.unfold(0, FRAMES, STEP).transpose(1, 2)
    return F.normalize(_encoder()(windows).mean(0), dim=0)


def similarity(one: Tensor, other: Tensor) -> float:
    """Cosine of two embeddings (d,): 1 for the same voice, about 0.5 to 0.6 for two of one sex."""
    return float(one @ other)


def _mel(sound: Tensor) -> Tensor:
    """Power mel (t, m) of sound at 16 kHz, as the encoder was taught."""
    import librosa

    values = librosa.feature.melspectrogram(y=sound.numpy(), sr=RATE, n_fft=WINDOW, hop_length=HOP, n_mels=BANDS)
    return torch.from_numpy(values).float().T


@lru_cache(maxsize=1)
def _encoder() -> SpeakerEncoder:
    path = _file()
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        model = SpeakerEncoder()
        model.load_state_dict({name: value for name, value in state.items() if not name.startswith("similarity_")})
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise WeightsError(f"The speaker encoder's weights {path} are missing or damaged: {INSTALL}") from error
    return model.eval().requires_grad_(False)


def _file() -> Path:
    try:
        return Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        raise LabError(f"Speaker similarity needs the weights of {PACKAGE}: {INSTALL}") from None
