"""IndexTTS-2 under its released parameter names: at full size with weights that the user has, or with random ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts_lab.memory.meter import DeviceMeter
    from tts_lab.recipe import Recipe


def run_lengths(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter) -> tuple[str, ...]:
    """Speech of `seconds` in a clip's voice under a meter, with random weights; see `tts_lab.systems.run_lengths`."""
    from tts_lab.systems.indextts2.lengths import run

    return run(recipe, seconds, reference_seconds, meter)
