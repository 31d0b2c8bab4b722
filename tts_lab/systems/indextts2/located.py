"""Where the released files lie in a folder that a user names.

Three layouts are known: everything in the one folder; the folder of the public program, with or without its
`checkpoints/` and with an `hf_cache/`, which may be flat or a cache of the hub (`models--.../snapshots/...`); and what
`tts-lab fetch` writes, which is the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tts_lab.errors import WeightsError
from tts_lab.systems.indextts2.released_files import EMOTION, FILES, Released, repository

FETCH = "tts-lab fetch indextts2"
SUBFOLDERS = ("", "checkpoints", "checkpoints_2")
CACHES = ("", "hf_cache", "hub")
_NEEDED = {file.what: file for file in FILES if file.what}
_EMOTION = next(file for file in FILES if file.group == EMOTION)


@dataclass(frozen=True)
class Located:
    """Paths of what is loaded. emotion: folder of the model that reads emotions from a text, None if there is none."""

    config: Path
    gpt: Path
    s2mel: Path
    tokenizer: Path
    statistics: Path
    speakers: Path
    emotions: Path
    codec: Path
    campplus: Path
    vocoder: Path
    features: Path
    emotion: Path | None = None


# Field of Located -> what the table calls it.
_ROLES = {
    "config": "the configuration", "gpt": "the language model", "s2mel": "the diffusion transformer",
    "tokenizer": "the tokenizer", "statistics": "mean and variance of the features", "speakers": "the stored voices",
    "emotions": "the stored emotions", "codec": "the semantic codec", "campplus": "the speaker encoder",
    "vocoder": "the vocoder", "features": "the speech features",
}  # fmt: skip


def locate(folder: Path, names: Mapping[str, str] | None = None) -> Located:
    """Find every file. names: field of Located -> another file name, as the configuration may give.

    Raises WeightsError that lists all missing files at once, with what they are and where they come from.
    """
    check_folder(folder)
    found: dict[str, Path] = {}
    missing: list[Released] = []
    for role, what in _ROLES.items():
        path = find(folder, _NEEDED[what], (names or {}).get(role))
        if path is None:
            missing.append(_NEEDED[what])
        else:
            found[role] = path
    if missing:
        raise WeightsError(_all_missing(folder, missing))
    return Located(**found, emotion=_emotion(folder, (names or {}).get("emotion")))


def check_folder(folder: Path) -> None:
    """Raises WeightsError where there is no such folder."""
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise WeightsError(
            f"The folder of IndexTTS-2's weights {folder} {what}: download them with '{FETCH}', give the folder where "
            "they lie with --weights FOLDER, or try the system without a voice with --weights random."
        )


def find(folder: Path, file: Released, name: str | None = None) -> Path | None:
    """The file in one of the places where it may lie, None where it is in none. name: what it is called instead."""
    places = [name] if name else [file.place, *file.also]
    for root in _roots(folder):
        for path in [root / place for place in places] + list(_snapshots(root, file)):
            if path.is_file():
                return path
    return None


def _roots(folder: Path) -> list[Path]:
    roots = [folder / sub for sub in SUBFOLDERS]
    if folder.parent.name == "snapshots":  # a snapshot inside the hub's cache: the others lie beside it
        roots.append(folder.parents[2])
    return roots


def _snapshots(root: Path, file: Released) -> Iterator[Path]:
    """The file in caches of the hub under `root`, the known revision before others."""
    for cache in CACHES:
        model = root / cache / f"models--{repository(file).name.replace('/', '--')}" / "snapshots"
        if model.is_dir():
            known = model / repository(file).revision
            others = sorted(path for path in model.iterdir() if path != known)
            yield from (snapshot / file.remote for snapshot in (known, *others))


def _emotion(folder: Path, name: str | None) -> Path | None:
    weights = find(folder, _EMOTION, f"{name.rstrip('/')}/model.safetensors" if name else None)
    return None if weights is None else weights.parent


def _all_missing(folder: Path, files: list[Released]) -> str:
    rows = [f"{file.place.rpartition('/')[2]} ({file.what}, {repository(file).name}: {file.remote})" for file in files]
    return (
        f"The folder {folder} lacks {len(files)} of the {len(_ROLES)} files that IndexTTS-2 needs: {'; '.join(rows)}. "
        f"Run '{FETCH} --to {folder}' to get what is missing, or name another folder with --weights."
    )
