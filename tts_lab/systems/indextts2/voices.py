"""Reference clips that come with the lab: synthetic, one for each voice of the teacher (data/references/README.md)."""

from __future__ import annotations

from pathlib import Path

from tts_lab.errors import WeightsError
from tts_lab.paths import data_dir

# Name -> label, as honest as those of the bundled voices.
LABELS = {
    "xiaoxiao": "female, synthetic reference clip (Kokoro-82M)",
    "xiaobei": "female, synthetic reference clip (Kokoro-82M)",
    "yunjian": "male, synthetic reference clip (Kokoro-82M)",
    "yunxi": "male, synthetic reference clip (Kokoro-82M)",
}


def stored() -> dict[str, tuple[Path, str]]:
    """Name -> (clip, label); the first is the default voice. Raises WeightsError where a clip is missing."""
    folder = data_dir() / "references"
    found = {name: (folder / f"{name}.flac", label) for name, label in LABELS.items()}
    missing = [path.name for path, _ in found.values() if not path.is_file()]
    if missing:
        raise WeightsError(
            f"{folder} lacks {', '.join(missing)}: restore it with 'git checkout -- data/references', or give a clip "
            "with --reference."
        )
    return found
