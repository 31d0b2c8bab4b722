"""The system of sine tones, whose process is killed by one text."""

from __future__ import annotations

import os
import signal
from typing import Any

from fake_system import ToneSystem


class Mortal(ToneSystem):
    name = "mortal"

    def split(self, request: Any, recipe: Any) -> Any:
        if "死" in request.text:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().split(request, recipe)


def load(device: str) -> Mortal:
    return Mortal()
