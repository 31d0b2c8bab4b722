"""`mini`, the bundled system: it speaks Mandarin on any CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tts_lab.errors import WeightsError

if TYPE_CHECKING:
    from tts_lab.memory.meter import DeviceMeter
    from tts_lab.recipe import Recipe
    from tts_lab.systems.mini.stages import Mini

LACKS = {
    "beams": "mini writes one code after the other, without a search",
    "offload voice": "nothing in mini serves a reference clip alone",
}


def load(device: str = "cpu", weights: Path | str | None = None) -> Mini:
    """The bundled system with its weights. Raises WeightsError where a file is missing or damaged, or others are
    named."""
    from tts_lab.paths import voices_dir
    from tts_lab.systems.mini.checkpoint import load_model, load_small_vocoder, load_vocoder
    from tts_lab.systems.mini.stages import Mini

    if weights is not None:
        raise WeightsError(
            f"The system mini has its own weights and cannot take {weights}: leave --weights out, or choose a system "
            "of released size with --system indextts2."
        )
    model, _, voices = load_model(voices_dir())
    return Mini(model, load_small_vocoder(voices_dir()), load_vocoder(), voices, device)


def weights_files() -> tuple[Path, ...]:
    """The files that `load` reads weights from. Raises WeightsError where the vocoder's package is missing."""
    from tts_lab.paths import voices_dir
    from tts_lab.systems.mini.checkpoint import FILE, VOCODER, vocoder_file

    return (voices_dir() / FILE, voices_dir() / VOCODER, vocoder_file())


def run_lengths(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter) -> tuple[str, ...]:
    """Speech of `seconds` under a meter, with random weights; see `tts_lab.systems.run_lengths`."""
    from tts_lab.systems.mini.lengths import REFERENCE_NOTE, Lengths, run_mini

    run_mini(recipe, Lengths.of(seconds, recipe), meter)
    return (REFERENCE_NOTE,)
