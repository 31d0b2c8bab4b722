"""The systems of a page: each is loaded once, when it is first asked for, and shared by all visitors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tts_lab.errors import LabError
from tts_lab.nearest import did_you_mean
from tts_lab.systems import SYSTEMS, check_weights, load_system, resolve_device

if TYPE_CHECKING:
    from tts_lab.types import System

RANDOM = "random"
RANDOM_LABEL = "random weights, the sound means nothing"


class Shelf:
    """One copy of each system in memory, however many ask for it.

    device: as for `load_system`. weights: name of a system -> folder of its weights, or `random`. Raises LabError for
    an unknown system or device.
    """

    def __init__(self, device: str = "auto", weights: Mapping[str, str] | None = None) -> None:
        self.weights = dict(weights or {})
        for name in self.weights:
            self._check(name)
        self.device = resolve_device(device)
        self._loaded: dict[str, System] = {}
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(SYSTEMS)

    def get(self, name: str) -> System:
        """The system, loaded if it was not. Raises LabError for an unknown name, WeightsError where it cannot be."""
        self._check(name)
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = load_system(name, self.device, self.weights.get(name))
            return self._loaded[name]

    def use(self, name: str) -> System:
        """The same, for a job that is alone on the card: what other systems had there leaves, both need not fit."""
        system = self.get(name)
        for other in self._loaded.values():
            if other is not system:
                leave_card(other)
        return system

    def label(self, name: str) -> str:
        """The name, and what a visitor must know before choosing it."""
        if self.weights.get(name) == RANDOM:
            return f"{name} ({RANDOM_LABEL})"
        return name if self.why_not(name) is None else f"{name} (no weights here: memory only)"

    def why_not(self, name: str) -> str | None:
        """Why the system cannot speak here; None where nothing speaks against it."""
        self._check(name)
        try:
            check_weights(name, self.weights.get(name))
        except LabError as error:
            return str(error)
        return None

    def _check(self, name: str) -> None:
        if name not in SYSTEMS:
            raise LabError(
                f"There is no system {name!r}{did_you_mean(name, SYSTEMS)}; the lab has {', '.join(SYSTEMS)}."
            )


def leave_card(system: System) -> None:
    """Let a system's copies leave the device; its originals stay in the computer's memory."""
    home = getattr(system, "home", None)
    if home is not None and home.resident():
        home.clear()
