"""Prosody codes: how long a phone lasts and how high it is spoken, as two small integers.

Duration code = mel frames, 1 to DURATIONS - 1 (0 is not used).
Pitch code 0 = unvoiced; 1 to PITCHES - 1 = equal steps of PITCH_STEP semitones around the voice's median.
"""

from __future__ import annotations

import torch
from torch import Tensor

DURATIONS = 64
PITCHES = 48
PITCH_STEP = 0.75  # semitones; a tone-3 dip spans about ten
VOICED_ENOUGH = 0.3  # fraction of a phone's frames that must have a pitch


def encode_pitch(log_f0: Tensor, voiced: Tensor, median_log_f0: Tensor) -> Tensor:
    """Natural-log Hz (nan allowed where unvoiced), voiced fraction and the voice's median -> code, int64."""
    semitones = 12 / torch.log(torch.tensor(2.0)) * (log_f0 - median_log_f0)
    code = (torch.nan_to_num(semitones) / PITCH_STEP).round() + PITCHES // 2
    return torch.where(voiced >= VOICED_ENOUGH, code.clamp(1, PITCHES - 1), 0).long()


def decode_pitch(code: Tensor) -> Tensor:
    """Code -> (..., 2): octaves from the voice's median (0 where unvoiced), and 1 where voiced."""
    voiced = (code > 0).float()
    octaves = (code.float() - PITCHES // 2) * PITCH_STEP / 12 * voiced
    return torch.stack((octaves, voiced), -1)


def encode_duration(frames: Tensor) -> Tensor:
    return frames.clamp(1, DURATIONS - 1).long()
