"""Speech systems by name. Each is a package with `load(device) -> System`, imported when it is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from tts_lab.errors import LabError

if TYPE_CHECKING:
    from tts_lab.types import System

SYSTEMS: dict[str, str] = {"mini": "tts_lab.systems.mini"}
DEVICES = ("auto", "cpu", "cuda", "mps")


def load_system(name: str = "mini", device: str = "auto") -> System:
    """Load a speech system.

    name: of `SYSTEMS`. device: `auto` (a CUDA card if there is one, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`.
    Raises LabError for an unknown name or a device that is not here, WeightsError where its weights cannot be loaded.
    """
    if name not in SYSTEMS:
        close = difflib.get_close_matches(str(name).lower(), SYSTEMS, n=1)
        guess = f" (did you mean {close[0]!r}?)" if close else ""
        raise LabError(f"There is no system {name!r}{guess}; the lab has {', '.join(SYSTEMS)}.")
    system: System = import_module(SYSTEMS[name]).load(resolve_device(device))
    return system


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
