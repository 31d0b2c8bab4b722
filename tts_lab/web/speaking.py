"""A job that speaks: checked, loaded, planned where asked for, spoken into a folder that its caller removes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tts_lab.errors import LabError
from tts_lab.experiments.fitting import Fitted, fit
from tts_lab.pipeline import checked, speak_to_file
from tts_lab.receipt import Receipt
from tts_lab.show.plots import mel_figure, save
from tts_lab.types import Request, System, Wave
from tts_lab.web.asking import Asked
from tts_lab.web.jobs import Job, JobMeter
from tts_lab.web.limits import without_folder
from tts_lab.web.shelf import Shelf, leave_card

PICTURE_SECONDS = 60.0  # a picture of more sound than this shows nothing, and keeping it all would cost memory


@dataclass(frozen=True)
class Spoken:
    """What a visitor gets. sentence: in one line. sound, picture: files in the job's folder. planned: of a plan."""

    sentence: str
    sound: Path
    picture: Path
    receipt: Receipt
    planned: str = ""


def speak(job: Job[Any], shelf: Shelf, asked: Asked, folder: Path) -> Spoken:
    """Speak into files of `folder`. Raises LabError for what cannot be spoken, StoppedError."""
    job.tell(f"Loading {asked.system} …")
    system = shelf.use(asked.system)
    try:
        return _speak(job, system, asked, folder)
    except torch.OutOfMemoryError as error:
        leave_card(system)
        raise LabError(
            f"The card ran out of memory with the recipe {asked.recipe}; choose a smaller one, or a plan for the card."
        ) from error
    except LabError as error:
        leave_card(system)  # a job that ended half-way may have left a stage half-way
        raise type(error)(without_folder(str(error), asked.reference)) from None


def _speak(job: Job[Any], system: System, asked: Asked, folder: Path) -> Spoken:
    request = checked(system, asked.request())
    plan = _recipes(job, system, request, asked)
    sound, waves = folder / "speech.wav", list[Wave]()
    meter = JobMeter(job)
    job.tell("Listening to the clip …" if request.reference else "Speaking …")
    receipt = speak_to_file(
        system, request, sound, plan.recipes[0], meter, _Teller(job, request, waves), plan.recipes[1:]
    )
    job.tell("Drawing …", 1.0)
    save(mel_figure(waves, crossfade_ms=receipt.recipe.crossfade_ms), folder / "mel.png")
    return Spoken(_sentence(receipt), sound, folder / "mel.png", receipt, plan.sentence)


def _recipes(job: Job[Any], system: System, request: Request, asked: Asked) -> Fitted:
    chosen = asked.chosen()
    if chosen is not None:
        return Fitted((chosen,), "")
    job.tell(f"Planning for {asked.for_card().name}; the first time this takes up to some minutes …")
    return fit(system.name, request, str(getattr(system, "device", "cpu")), card=asked.for_card())


class _Teller:
    """Called with each piece: tells how much is spoken, and keeps the pieces of the picture."""

    def __init__(self, job: Job[Any], request: Request, kept: list[Wave]) -> None:
        self.job, self.kept, self.whole = job, kept, len(request.text)
        self.spoken, self.seconds = 0, 0.0

    def __call__(self, wave: Wave) -> None:
        self.spoken = min(self.whole, self.spoken + len(wave.mel.semantic.chunk.text))
        if self.seconds < PICTURE_SECONDS:
            self.kept.append(wave)
        self.seconds += wave.seconds
        said = f"{self.spoken} of {self.whole} characters, {self.seconds:.1f} s of speech so far"
        self.job.tell(said, self.spoken / self.whole)


def _sentence(receipt: Receipt) -> str:
    pieces = f" in {receipt.chunks} pieces" if receipt.chunks > 1 else ""
    return (
        f"{receipt.audio_seconds:.2f} s of speech{pieces} in {receipt.wall_seconds:.2f} s of work: real-time factor "
        f"{receipt.real_time_factor:.2f}, {receipt.evaluations} evaluations, voice {receipt.voice}."
    )
