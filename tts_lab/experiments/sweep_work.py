"""Doing one job of a sweep: load the system once, speak, measure. What every worker runs, wherever it is.

Axes: s samples.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from threading import Lock
from typing import Any

from torch import Tensor

from tts_lab.errors import LabError, WeightsError
from tts_lab.experiments.sweep_cell import Job, Outcome
from tts_lab.types import Speech, System

WARM_UP = "你好。"
_ONE_AT_A_TIME = Lock()  # a cluster's worker may run tasks in threads; stages, meters and memory are a process's own


def run_job(job: Job) -> Outcome:
    """Speak a cell and measure it. Never raises but for an interrupt: what goes wrong is part of the outcome."""
    with _ONE_AT_A_TIME:
        _use_threads(job.threads)
        try:
            system = _system(job)
        except Exception as error:
            return Outcome(fatal=_sentence(error))
        try:
            return _measured(job, system)
        except Exception as error:
            home = getattr(system, "home", None)
            if home is not None:  # the next cell must not find half of a stage on the card
                home.clear()
            return Outcome(failed=_sentence(error), environment=_environment(job, system))


def _measured(job: Job, system: System) -> Outcome:
    from tts_lab.experiments.distances import features
    from tts_lab.memory.meter import restart_peak_process_bytes
    from tts_lab.pipeline import say

    restart_peak_process_bytes()
    speech = say(system, job.cell.request(), job.cell.recipe)
    where = _environment(job, system)
    found = features(speech.samples, speech.sample_rate)
    if job.judges:
        from tts_lab.experiments.sweep_judges import judged, with_speaker

        found = with_speaker(found, speech.samples, speech.sample_rate)
    sound = _wav(speech.samples, speech.sample_rate) if job.sound else None
    if job.is_reference:
        return Outcome(environment=where, features=found, sound=sound)
    figures = {**_cost(speech), **_predicted(job, speech), **_distance(found, job)}
    if job.judges:
        figures |= judged(job.cell.text, speech.samples, speech.sample_rate, found, job.reference)
    return Outcome(figures, environment=where, sound=sound)


def _cost(speech: Speech) -> dict[str, Any]:
    """Columns that come from the receipt."""
    receipt = speech.receipt.to_dict()
    names = ("voice", "recipe_name", "chunks", "audio_seconds", "wall_seconds", "real_time_factor", "evaluations",
             "peak_process_bytes", "stages", "notes", "unknown")  # fmt: skip
    return {name: receipt[name] for name in names}


def _distance(found: Any, job: Job) -> dict[str, Any]:
    from tts_lab.experiments.distances import distance

    if job.reference is None:
        return {}
    apart = distance(found, job.reference)
    return {
        "mel_cepstral_distance": _rounded(apart.mel_cepstral, 4),
        "f0_error_cents": _rounded(apart.f0_cents, 2),
        "voicing_error": _rounded(apart.voicing, 4),
        "alignment": apart.alignment,
    }


def _predicted(job: Job, speech: Speech) -> dict[str, Any]:
    """Memory of the recipe on the grid's card, for speech of this length in steps of 5 s: each step is traced once."""
    if job.card is None:
        return {}
    from tts_lab.experiments.vram import vram

    seconds = 5.0 * math.ceil(max(speech.receipt.audio_seconds, 0.1) / 5)
    report = vram(job.cell.system, job.card, job.cell.recipe, seconds)
    return {
        "card": job.card,
        "predicted_allocated_bytes": report.peak_allocated,
        "predicted_reserved_bytes": report.peak_reserved,
        "predicted_for_seconds": seconds,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


def _system(job: Job) -> System:
    cell = job.cell
    return _loaded(cell.system, job.module, cell.device, job.weights, cell.weights)


@lru_cache(maxsize=1)
def _loaded(name: str, module: str, device: str, weights: str | None, digest: str) -> System:
    """The system, warmed up: dictionaries and kernels are made ready by its first words."""
    from tts_lab.pipeline import say
    from tts_lab.recipe import Recipe
    from tts_lab.systems import SYSTEMS, load_system
    from tts_lab.systems.digest import weights_digest

    SYSTEMS.setdefault(name, module)  # one that was registered where the sweep began
    found = weights_digest(name, weights)
    if found != digest:
        raise WeightsError(
            f"The weights of {name} here ({found}) are not those with which the sweep began ({digest}); bring the same "
            "files to every machine, and do not change them while a sweep runs."
        )
    system = load_system(name, device, weights)
    with suppress(LabError):
        say(system, WARM_UP, Recipe(steps=1))
    return system


def _use_threads(count: int | None) -> None:
    import torch

    if count is not None and torch.get_num_threads() != count:
        torch.set_num_threads(count)


def _environment(job: Job, system: System) -> Mapping[str, Any]:
    from tts_lab.experiments.machine import environment

    where = environment(str(getattr(system, "device", "cpu")))
    if job.judges:
        from tts_lab.experiments import judges

        where["judges"] = judges.versions()
    return where


def _wav(samples: Tensor, rate: int) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples.numpy(), rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


def _sentence(error: BaseException) -> str:
    """What went wrong, in one line; for what is not the input's fault, with the kind of error."""
    import torch

    words = " ".join(str(error).split())[:400]
    if isinstance(error, LabError):
        return words
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return f"Out of memory: {words or 'the machine had no more to give'}"
    return f"{type(error).__name__}: {words}"
