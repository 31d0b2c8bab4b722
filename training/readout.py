"""The mel of the teacher's sound, read from what the teacher makes the sound of.

Nine tenths of the teacher's time go into its last part, which makes samples of 512 numbers for each eightieth of a
second. A small network reads the mel from these numbers, learnt from speech whose sound was made (`train_readout.py`).
So the bundled voice's encoder can be taught on as many sentences as one likes, ten hours of speech in an hour of a core
(`endless.py`). What it reads is an average where the teacher's sound is noise, and the diffusion model is told so.

Axes: b batch, k teacher's frames of 12.5 ms, t mel frames, c the teacher's 512 numbers, m mel bands.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from teacher import INNER_RATE, Inner
from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.nn.feedforward import ConvNeXt

LOWEST, HIGHEST, COMBS = 55.0, 520.0, 256  # Hz, and how many pitches between them have a comb of their own
CONTENT, WIDTH, LAYERS = 512, 256, 4
REFERENCE_HZ, ENERGY_UNIT = 200.0, 10.0  # bring pitch and energy to about one
FRAME_SECONDS = MEL_22K.hop_length / MEL_22K.sample_rate


def combs() -> Tensor:
    """(COMBS, m): the mel of a buzz at each pitch, less the mean and by the deviation over all: where harmonics lie."""
    time = torch.arange(MEL_22K.sample_rate // 4) / MEL_22K.sample_rate
    rows = []
    for hertz in np.geomspace(LOWEST, HIGHEST, COMBS):
        harmonics = torch.arange(1, int(MEL_22K.fmax / hertz) + 1)[:, None]
        phase = 2 * torch.pi * torch.rand(len(harmonics), 1, generator=torch.Generator().manual_seed(1))
        wave = torch.sin(2 * torch.pi * hertz * harmonics * time + phase) / harmonics**0.7
        rows.append(log_mel(0.05 * wave.sum(0)[None], MEL_22K)[0].mean(1))
    table = torch.stack(rows)
    return (table - table.mean(0)) / table.std(0)


class Readout(nn.Module):
    """forward -> (mel (b, t, m) normalised, voicing (b, t): above 0 where WORLD finds a pitch)."""

    combs: Tensor
    content_mean: Tensor
    content_std: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        mels = MEL_22K.n_mels
        self.register_buffer("combs", combs())
        for name, size in (("content_mean", CONTENT), ("mean", mels)):
            self.register_buffer(name, torch.zeros(size))
        for name, size in (("content_std", CONTENT), ("std", mels)):
            self.register_buffer(name, torch.ones(size))
        self.content = nn.Linear(CONTENT, WIDTH)
        self.source = nn.Linear(mels + 3, WIDTH)
        self.layers = nn.ModuleList(ConvNeXt(WIDTH, 2 * WIDTH) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.mel = nn.Linear(WIDTH, mels)
        self.voicing = nn.Linear(WIDTH, 1)

    def forward(self, content: Tensor, pitch: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
        """content: (b, t, c); pitch: (b, t) Hz; energy: (b, t); at the mel's frames, as `at_frames` gives them."""
        voiced = (pitch > LOWEST).float()
        hertz = pitch.clamp(LOWEST, HIGHEST)
        place = (hertz / LOWEST).log() / np.log(HIGHEST / LOWEST) * (COMBS - 1)
        about = torch.stack((voiced, (hertz / REFERENCE_HZ).log(), energy / ENERGY_UNIT), -1)
        source = torch.cat((self.combs[place.round().long()] * voiced[..., None], about), -1)
        x = self.content((content - self.content_mean) / self.content_std) + self.source(source)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x)
        return self.mel(x), self.voicing(x)[..., 0]

    @torch.inference_mode()
    def read(self, inner: Inner, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Natural-log mel (t, m) and pitch (t,) in Hz, 0 where unvoiced, at the middles (t,) of mel frames."""
        content, pitch, energy = (torch.from_numpy(a)[None] for a in at_frames(inner, middles))
        mel, voicing = self(content, pitch, energy)
        hertz = torch.where((voicing > 0) & (pitch > LOWEST), pitch, 0.0)
        return (mel[0] * self.std + self.mean).numpy(), hertz[0].numpy()


def at_frames(inner: Inner, middles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the teacher knows at the middles of mel frames: content (t, c), pitch (t,) and energy (t,), float32.

    middles: (t,) in mel frames from the beginning of the sound; the first frame's is 0.5. Pitch is the nearest one, so
    that its edges stay; the others are interpolated.
    """
    place = middles * FRAME_SECONDS * INNER_RATE - 0.5
    last = inner.content.shape[1] - 1
    before = np.clip(np.floor(place).astype(int), 0, last - 1)
    share = np.clip(place - before, 0, 1).astype(np.float32)

    def between(values: np.ndarray) -> np.ndarray:
        values = values.astype(np.float32)
        return values[..., before] * (1 - share) + values[..., before + 1] * share

    nearest = np.clip(np.round(place).astype(int), 0, last)
    content = np.ascontiguousarray(between(inner.content).T)
    return content, inner.pitch[nearest].astype(np.float32), between(inner.energy)


def load(path: Path) -> Readout:
    """The trained network of a run's folder."""
    readout = Readout().eval()
    readout.load_state_dict(torch.load(path / "state.pt", weights_only=True)["average"])
    return readout
