"""Clicks where pieces of speech were joined: steps and spikes that a voice does not make.

Speech is predictable from one sample to the next, a click is not. Around each place a linear predictor is fitted to the
sound; what it leaves over (the residual) is near white, and a step or a spike stands out of it. Filtering the residual
once more, backwards, gathers what the predictor has smeared out: the matched detector of Vaseghi (Signal Processing for
the Restoration of Degraded Audio, 1988; Advanced Digital Signal Processing and Noise Reduction, ch. 13).

Axes: s samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from tts_lab.audio.join import concatenate, crossfade, overlap

AROUND = 0.04  # seconds on either side that a place is compared with: a predictor's sound must hold still
EDGE = 0.001  # seconds: how far a click reaches beyond the overlap that made it
FLOOR = 1e-4  # of full scale: residuals below -80 dBFS are not heard beside speech, however sudden
CLICK_DB = 22.0  # one in a thousand places of speech itself has more: bursts of b, d, g (docs/LOG.md)


def contrast(samples: Tensor, rate: int, start: int, width: int) -> float:
    """How far the sharpest moment of samples[start : start + width] stands out of the sound around it, in dB.

    samples: (s,) at `rate` Hz. The peak of the residual inside against its root mean square outside. A click that loud
    speech covers has little contrast: it is not heard either. -inf where there is too little sound to compare with.
    """
    edge, reach, order = round(EDGE * rate), round(AROUND * rate), _order(rate)
    first = max(0, start - reach)
    near = samples[first : start + width + reach].detach().double().cpu().numpy()
    if len(near) < 4 * order:
        return -math.inf
    left = _residual(near, order)
    inside = slice(max(0, start - first), start - first + width)
    outside = np.concatenate([left[: max(0, inside.start - edge)], left[inside.stop + edge :]])
    if not outside.size or not left[inside].size:
        return -math.inf
    level = math.sqrt(float(np.square(outside).mean()))
    return 20 * math.log10(max(float(np.abs(left[inside]).max()), FLOOR) / max(level, FLOOR))


def at_joints(pieces: Iterable[Tensor], fade: int, rate: int) -> Iterator[float]:
    """The contrast at every joint of `crossfade(pieces, fade)`, as a stream: holds the end of one piece at a time.

    pieces: (s_i,) tensors, taken one at a time; fade: samples; empty pieces are skipped.
    """
    before: Tensor | None = None
    for piece in pieces:
        if not len(piece):
            continue
        if before is not None:
            yield at_joint(before, piece, fade, rate)
        before = piece


def at_joint(left: Tensor, right: Tensor, fade: int, rate: int) -> float:
    """The contrast where two pieces (s,) meet that overlap by up to `fade` samples."""
    shared, edge = overlap(fade, len(left), len(right)), round(EDGE * rate)
    reach = max(round(AROUND * rate) + edge, shared)
    tail = left[-(shared + reach) :]
    near = concatenate(crossfade((tail, right[: shared + reach]), shared))
    return contrast(near, rate, max(0, len(tail) - shared - edge), shared + 2 * edge)


def elsewhere(piece: Tensor, fade: int, rate: int, every: float = 0.05) -> Iterator[float]:
    """The same measure every so many seconds inside a piece (s,), where nothing was joined: what speech itself does."""
    width, step, reach = fade + 2 * round(EDGE * rate), round(every * rate), round(AROUND * rate)
    for start in range(reach, len(piece) - width - reach, step):
        yield contrast(piece, rate, start, width)


def _order(rate: int) -> int:
    """Two coefficients for each resonance of a voice, one a kHz of bandwidth, and two for the source (Markel, 1976)."""
    return rate // 1000 + 2


def _residual(samples: Any, order: int) -> Any:
    """Prediction residual, filtered with the predictor backwards as well, at the scale of the former. (s,) -> (s,)"""
    from scipy.linalg import solve_toeplitz
    from scipy.signal import lfilter

    windowed = samples * np.hanning(len(samples))
    lags = np.correlate(windowed, windowed, "full")[len(samples) - 1 : len(samples) + order]
    lags[0] = lags[0] * (1 + 1e-6) + 1e-9  # solvable for silence too
    filtering = np.concatenate([[1.0], -solve_toeplitz(lags[:-1], lags[1:])])
    padded = np.pad(samples, order, mode="reflect")  # the filter starts in sound, not in silence
    forward = lfilter(filtering, 1, padded)
    both = lfilter(filtering, 1, forward[::-1])[::-1] / math.sqrt(float(np.square(filtering).sum()))
    return both[order : len(both) - order]
