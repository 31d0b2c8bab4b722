"""`mini`, the bundled system: it speaks Mandarin on any CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts_lab.systems.mini.stages import Mini


def load(device: str = "cpu") -> Mini:
    """The bundled system with its weights. Raises WeightsError where a file is missing or damaged."""
    from tts_lab.paths import voices_dir
    from tts_lab.systems.mini.checkpoint import load_model, load_vocoder
    from tts_lab.systems.mini.stages import Mini

    model, _, voices = load_model(voices_dir())
    return Mini(model, load_vocoder(), voices, device)
