"""Speech systems by name. Each is a package, imported when it is asked for, with two functions: `load(device, weights)`
to speak, and `run_lengths(recipe, seconds, reference_seconds, meter)` for studies of memory."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tts_lab.errors import LabError
from tts_lab.nearest import did_you_mean

if TYPE_CHECKING:
    from tts_lab.memory.meter import DeviceMeter
    from tts_lab.recipe import Recipe
    from tts_lab.types import System

SYSTEMS: dict[str, str] = {
    "mini": "tts_lab.systems.mini",
    "indextts2": "tts_lab.systems.indextts2",
    "sambert": "tts_lab.systems.sambert",
}
# Ways to hold a system's memory that are only for study: they run with lengths and cannot speak.
STUDIES: dict[str, str] = {
    "indextts2-public": "tts_lab.systems.indextts2.public",
    "sambert-public": "tts_lab.systems.sambert.public",
}
DEVICES = ("auto", "cpu", "cuda", "mps")


def load_system(name: str = "mini", device: str = "auto", weights: Path | str | None = None) -> System:
    """Load a speech system.

    name: of `SYSTEMS`. device: `auto` (a CUDA card if there is one, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`.
    weights: folder of released weights for a system that is not bundled, `random` for weights that mean nothing; None:
    the bundled ones, or those that `tts-lab fetch` downloaded. Raises LabError for an unknown name or a device that is
    not here, WeightsError where its weights cannot be loaded.
    """
    load, there = _package(name, SYSTEMS).load, resolve_device(device)
    system: System = load(there) if weights is None else load(there, weights)
    return system


def lacks(name: str) -> Mapping[str, str]:
    """Levers that a system does not have, and why. Keys: a lever ("beams") or one value of it ("offload voice").

    Raises LabError for an unknown system.
    """
    found: Mapping[str, str] = getattr(_package(name, {**SYSTEMS, **STUDIES}), "LACKS", {})
    return found


def run_lengths(
    name: str, recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter
) -> tuple[str, ...]:
    """A whole request of given lengths under a meter, with random weights: for memory and time, not for the ear.

    name: of `SYSTEMS` or `STUDIES`. seconds: of speech; reference_seconds: of the clip whose voice is imitated. Returns
    notes on what was run. Raises LabError for an unknown system or a length that cannot be.
    """
    for what, value in (("speech", seconds), ("reference clip", reference_seconds)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise LabError(f"The length of the {what} must be a number of seconds above 0, but is {value!r}.")
    notes: tuple[str, ...] = _package(name, {**SYSTEMS, **STUDIES}).run_lengths(
        recipe, seconds, reference_seconds, meter
    )
    return notes


def _package(name: str, known: Mapping[str, str]) -> ModuleType:
    if name not in known:
        raise LabError(f"There is no system {name!r}{did_you_mean(name, known)}; the lab has {', '.join(known)}.")
    return import_module(known[name])


def resolve_device(device: str = "auto") -> str:
    """The device to run on. Raises LabError where it does not exist here."""
    import torch

    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return "cuda" if cards else "cpu"
    kind, _, index = str(device).partition(":")
    if kind not in DEVICES[1:] or (index and not index.isdigit()):
        raise LabError(f"There is no device {device!r}; choose auto, cpu, cuda, cuda:1 or mps.")
    if kind == "cuda" and int(index or 0) >= cards:
        found = f"PyTorch sees {cards} CUDA cards here" if cards else "PyTorch sees no CUDA card here"
        raise LabError(f"Device {device} is not available: {found}; use --device cpu, or auto.")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise LabError("Device mps is not available: it needs a Mac with Apple silicon; use --device cpu, or auto.")
    return str(device)
