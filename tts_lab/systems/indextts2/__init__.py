"""`indextts2`, IndexTTS-2 at its released size: with released weights from a folder, or with random ones for memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts_lab.memory.meter import DeviceMeter
    from tts_lab.recipe import Recipe
    from tts_lab.systems.indextts2.parts import Parts
    from tts_lab.types import System

RANDOM = "random"

LACKS = {"vocoder small": "IndexTTS-2 has one vocoder, BigVGAN v2"}


def load(device: str = "cpu", weights: Path | str | None = None) -> System:
    """The system. weights: folder of the released files, by default the one that `tts-lab fetch` fills, or `random`.

    Raises WeightsError where the folder or a file is missing or cannot be used.
    """
    parts = load_parts(weights)  # before all else: it says what is missing
    from tts_lab.systems.indextts2.stages import IndexTTS2
    from tts_lab.systems.indextts2.voices import stored

    system: System = IndexTTS2(parts, device, stored())
    return system


def load_parts(weights: Path | str | None = None) -> Parts:
    """The networks alone; see `load`."""
    from tts_lab.paths import weights_dir
    from tts_lab.systems.indextts2 import checkpoint
    from tts_lab.systems.indextts2.parts import Parts

    if weights is not None and str(weights) == RANDOM:
        return Parts.build()
    return checkpoint.load_parts(Path(weights) if weights is not None else weights_dir() / "indextts2")


def check_weights(weights: Path | str | None = None) -> None:
    """Raises the WeightsError that `load` would raise for a file that is missing; no weight is read."""
    from tts_lab.paths import weights_dir
    from tts_lab.systems.indextts2.located import locate

    if weights is None or str(weights) != RANDOM:
        locate(Path(weights).expanduser() if weights is not None else weights_dir() / "indextts2")


def run_lengths(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter) -> tuple[str, ...]:
    """Speech of `seconds` under a meter, with random weights; see `tts_lab.systems.run_lengths`."""
    from tts_lab.systems.indextts2.lengths import run

    notes: tuple[str, ...] = run(recipe, seconds, reference_seconds, meter)
    return notes
