"""How far what the encoder gives its decoder is from what the teacher gave it. Axes: see `batches.Told`."""

from __future__ import annotations

import torch
from torch import Tensor

from batches import Batch
from tts_lab.systems.mini.encoder import Curves
from tts_lab.systems.mini.readout import ENERGY_UNIT, REFERENCE_HZ

WEIGHTS = {"share": 0.5, "pitch": 2.0, "energy": 2.0}


def told_losses(said: Curves, batch: Batch) -> dict[str, Tensor]:
    """Mean distances of share, pitch (in 200 Hz) and energy (in 10)."""
    told, phones = batch.told, batch.phones
    both = phones & told.share.isfinite()
    share = (said.share[both] - told.share[both]).abs().mean()
    count = min(said.pitch.shape[1], told.halves.shape[1])
    real = told.halves[:, :count]
    pitch = (said.pitch[:, :count] - told.curves[:, :count, 0].clamp(min=0)).abs()[real].mean() / REFERENCE_HZ
    energy = (said.energy[:, :count] - told.curves[:, :count, 1]).abs()[real].mean() / ENERGY_UNIT
    return {"share": share, "pitch": pitch, "energy": energy}


def told_loss(said: Curves, batch: Batch) -> Tensor:
    """Their weighted sum."""
    return torch.stack([WEIGHTS[name] * loss for name, loss in told_losses(said, batch).items()]).sum()
