"""`sambert`, Sambert-HiFiGAN: weight-compatible acoustic model and vocoder, with a front end of the lab's own."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts_lab.memory.meter import DeviceMeter
    from tts_lab.recipe import Recipe
    from tts_lab.types import System

RANDOM = "random"
_ONE_PASS = "sambert writes its mel in one pass, without diffusion or guidance"
_NO_DRAWS = "sambert decides durations and pitch without draws or a search"
_SMALL = "sambert's stages are too small to come in layers, and leave whole"
LACKS = {
    **dict.fromkeys(("steps", "solver", "schedule", "guidance", "guidance_mode"), _ONE_PASS),
    **dict.fromkeys(("temperature", "beams"), _NO_DRAWS),
    "cache": "sambert's caches are as long as a band, whatever the text",
    "vocoder small": "each of sambert's voices has one vocoder",
    "offload voice": "sambert has no part that only a reference clip needs",
    "offload layers": _SMALL,
    "offload disk": _SMALL,
}


def load(device: str = "cpu", weights: Path | str | None = None) -> System:
    """The system. weights: a folder or zip archive with released voices (see `located`), by default the folder that
    `tts-lab fetch sambert` names, or `random` for released sizes without a voice.

    Raises WeightsError where there is no voice or the first one cannot be used.
    """
    from tts_lab.paths import weights_dir
    from tts_lab.systems.sambert.checkpoint import load_voice
    from tts_lab.systems.sambert.located import find_voices
    from tts_lab.systems.sambert.stages import SambertHiFiGAN
    from tts_lab.systems.sambert.voice_parts import VoiceParts

    if weights is not None and str(weights) == RANDOM:
        return SambertHiFiGAN({RANDOM: VoiceParts.build}, device)
    folder = Path(weights).expanduser() if weights is not None else weights_dir() / "sambert"
    return SambertHiFiGAN({name: partial(load_voice, files) for name, files in find_voices(folder).items()}, device)


def check_weights(weights: Path | str | None = None) -> None:
    """Raises the WeightsError that `load` would raise where there is no voice; no weight is read."""
    from tts_lab.paths import weights_dir
    from tts_lab.systems.sambert.located import find_voices

    if weights is None or str(weights) != RANDOM:
        find_voices(Path(weights).expanduser() if weights is not None else weights_dir() / "sambert")


def run_lengths(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter) -> tuple[str, ...]:
    """Speech of `seconds` under a meter, with random weights; see `tts_lab.systems.run_lengths`."""
    from tts_lab.systems.sambert.lengths import run

    notes: tuple[str, ...] = run(recipe, seconds, meter)
    return notes
