"""Fundamental frequency, and how fast somebody speaks, from the sound alone.

Axes: s samples, t frames of 256 samples.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from tts_lab.audio.mel import MEL_22K, log_mel

LOWEST, HIGHEST = 65.0, 500.0  # Hz, between which a voice's fundamental frequency is sought
HIGHEST_LIVELY = 700.0  # Hz, of a voice that is moved up: a surprised one goes beyond what a neutral one reaches
OUTER = 0.05  # of a pitch track at either end, where octave errors lie
SPOKEN = (12, 60)  # mel bands, about 500 to 4,000 Hz: vowels are loud there
SMOOTH_SECONDS = 0.05
DIP_NEPERS = 0.23  # 2 dB: a shallower dip does not part two syllables
CLOSEST_SECONDS = 0.08
QUIET_NEPERS = 2.9  # 25 dB below the loudest: no syllable


def fundamental(samples: Tensor, highest: float = HIGHEST) -> Any:
    """Fundamental frequency of (s,) sound at 22,050 Hz by librosa's pYIN (Mauch and Dixon 2014): (1 + s // 256,) Hz,
    NaN where there is no voice."""
    import librosa

    f0, _, _ = librosa.pyin(
        samples.numpy(), fmin=LOWEST, fmax=highest, sr=MEL_22K.sample_rate, frame_length=MEL_22K.n_fft,
        hop_length=MEL_22K.hop_length,
    )  # fmt: skip
    return f0


def spread(semitones: Any) -> float:
    """Standard deviation of a pitch (t,) in semitones, all voiced, without its outermost values."""
    low, high = np.quantile(semitones, (OUTER, 1 - OUTER))
    return float(semitones[(semitones >= low) & (semitones <= high)].std())


def nuclei(samples: Tensor) -> tuple[int, float]:
    """Syllable nuclei of (s,) sound at 22,050 Hz, and the seconds from the first to the last.

    Peaks of the level of a vowel's bands with a dip of 2 dB between them, as de Jong and Wempe (2009) count syllables
    without knowing the words. A count for comparing: of quick speech it misses some.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    frame = MEL_22K.hop_length / MEL_22K.sample_rate
    level = log_mel(samples[None], MEL_22K)[0, SPOKEN[0] : SPOKEN[1]].exp().square().mean(0).sqrt().log().numpy()
    smooth = gaussian_filter1d(level.astype(np.float64), SMOOTH_SECONDS / 2 / frame)
    peaks, _ = find_peaks(
        smooth,
        height=smooth.max() - QUIET_NEPERS,
        prominence=DIP_NEPERS,
        distance=max(1, round(CLOSEST_SECONDS / frame)),
    )
    return len(peaks), float(peaks[-1] - peaks[0]) * frame if len(peaks) > 1 else 0.0
