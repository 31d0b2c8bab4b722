"""What prosody does to a sound, measured from the sound alone: pitch, liveliness, tempo, level, effort, breath.

Nothing here knows what was asked for. Pitch is pYIN's (the voice was taught with WORLD's), level and balance are of the
frames that speak, breath is the cepstral peak prominence of voiced frames (Hillenbrand, Cleveland and Erickson 1994):
the lower, the breathier.

Axes: s samples, t frames, k bins of a spectrum.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tts_lab.audio.mel import MEL_22K
from tts_lab.audio.pitch import HIGHEST_LIVELY, fundamental, spread
from tts_lab.audio.resample import resample

QUIET_DB = 30.0  # below the loudest frame: no speech
LOW_HZ, HIGH_HZ, TOP_HZ = 500.0, 2000.0, 8000.0  # balance: what lies above HIGH against what lies below LOW
WINDOW = 1024  # samples, 46 ms


@dataclass(frozen=True)
class Measures:
    """pitch: median, in semitones above 1 Hz. deviation: of the pitch, semitones. seconds: of the sound. level: RMS of
    the frames that speak, dB below full scale. balance: of the spectrum, dB. prominence: of the cepstral peak, dB."""

    pitch: float
    deviation: float
    seconds: float
    level: float
    balance: float
    prominence: float


@dataclass(frozen=True)
class Moved:
    """From one way of saying a text to another. level_semitones: of the pitch. range, tempo: factors. The rest: dB."""

    level_semitones: float
    range: float
    tempo: float
    loudness: float
    balance: float
    prominence: float


def measures(samples: Tensor, rate: int) -> Measures:
    """Of (s,) sound. Raises ValueError where nothing in it is voiced."""
    sound = resample(samples.detach().float().cpu(), rate, MEL_22K.sample_rate)
    f0 = fundamental(sound, HIGHEST_LIVELY)
    frames = _frames(sound)
    count = min(len(f0), len(frames))
    f0, frames = f0[:count], frames[:count]
    power = frames.square().mean(1)
    speaks = power > power.max() * 10 ** (-QUIET_DB / 10)
    voiced = torch.from_numpy(~np.isnan(f0)) & speaks
    if not voiced.any():
        raise ValueError("nothing in the sound is voiced")
    semitones = 12 * np.log2(f0[voiced.numpy()])
    return Measures(
        float(np.median(semitones)), spread(semitones), sound.shape[-1] / MEL_22K.sample_rate,
        10 * math.log10(float(power[speaks].mean())), _balance(frames[speaks]), prominence(frames[voiced]),
    )  # fmt: skip


def moved(here: Measures, there: Measures) -> Moved:
    """From `here` to `there`, which say the same text."""
    return Moved(
        there.pitch - here.pitch, there.deviation / here.deviation, here.seconds / there.seconds,
        there.level - here.level, there.balance - here.balance, there.prominence - here.prominence,
    )  # fmt: skip


def averaged(rows: list[Moved]) -> dict[str, float]:
    """Means over sentences; of factors the geometric one."""
    out: dict[str, float] = {}
    for field in fields(Moved):
        values = [asdict(row)[field.name] for row in rows]
        factor = field.name in ("range", "tempo")
        mean: Any = math.exp(fmean(map(math.log, values))) if factor else fmean(values)
        out[field.name] = round(mean, 3)
    return out


def prominence(frames: Tensor) -> float:
    """Cepstral peak prominence in dB of voiced frames (t, WINDOW) at 22,050 Hz, their median.

    The cepstrum is that of the spectrum in dB; its highest value between 65 and 500 Hz stands above a straight line
    through the cepstrum there.
    """
    rate = MEL_22K.sample_rate
    spectrum = 20 * (torch.fft.rfft(frames * torch.hann_window(frames.shape[1])).abs() + 1e-9).log10()
    cepstrum = torch.fft.irfft(spectrum).abs() * 2
    cepstrum = 20 * (cepstrum + 1e-9).log10()
    first, last = int(rate / 500), min(int(rate / 65), cepstrum.shape[1] // 2)
    x = torch.arange(first, last, dtype=torch.float32)
    y = cepstrum[:, first:last]
    x = x - x.mean()
    slope = (y * x).sum(1, keepdim=True) / x.square().sum()
    line = y.mean(1, keepdim=True) + slope * x
    best = y.argmax(1, keepdim=True)
    return float((y - line).gather(1, best).median())


def _frames(sound: Tensor) -> Tensor:
    """(t, WINDOW), frame i centred on sample 256 i, as pYIN's are."""
    half = WINDOW // 2
    return torch.nn.functional.pad(sound[None], (half, half))[0].unfold(0, WINDOW, MEL_22K.hop_length)


def _balance(frames: Tensor) -> float:
    power = torch.fft.rfft(frames * torch.hann_window(WINDOW)).abs().square().mean(0)
    hertz = torch.fft.rfftfreq(WINDOW, 1 / MEL_22K.sample_rate)
    high = power[(hertz >= HIGH_HZ) & (hertz <= TOP_HZ)].sum()
    return 10 * math.log10(float(high / power[hertz <= LOW_HZ].sum()))
