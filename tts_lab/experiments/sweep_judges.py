"""What the judges say of a cell: a recogniser, a rating, and the likeness of the voice to the reference's.

Axes: s samples.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from tts_lab.errors import LabError
from tts_lab.experiments import judges, scoring, speaker_similarity
from tts_lab.experiments.distances import Features


def judged(text: str, samples: Tensor, rate: int, found: Features, reference: Features | None) -> dict[str, Any]:
    """Columns for (s,) sound that was to say the text. What a judge cannot hear is None, and `not_judged` says why."""
    columns: dict[str, Any] = {"mos": None, "toneless_error": None, "speaker_similarity": _alike(found, reference)}
    try:
        recogniser, rating = _judges()
        columns["mos"] = round(rating.rate(samples, rate), 3)
        heard = recogniser.transcribe(samples, rate)
        errors = scoring.compare(text, heard)
        columns |= {"toneless_error": round(errors.toneless / errors.syllables, 4), "heard": heard}
    except LabError as error:
        columns["not_judged"] = str(error)
    return columns


def with_speaker(found: Features, samples: Tensor, rate: int) -> Features:
    """The features with the voice's embedding, where the encoder is installed."""
    if not speaker_similarity.is_here():
        return found
    return dataclasses.replace(found, speaker=speaker_similarity.embedding(samples, rate).numpy())


def _alike(found: Features, reference: Features | None) -> float | None:
    if found.speaker is None or reference is None or reference.speaker is None:
        return None
    one, other = (torch.from_numpy(each.speaker) for each in (found, reference))
    return round(speaker_similarity.similarity(one, other), 4)


@lru_cache(maxsize=1)
def _judges() -> tuple[judges.Recogniser, judges.Rating]:
    return judges.Recogniser(torch.get_num_threads()), judges.Rating()
