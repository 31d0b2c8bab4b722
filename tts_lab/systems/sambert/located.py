"""Where the files of released voices lie: in a folder or a zip archive that a user names, or below it.

A voice is a folder with `am/` and `voc/`, each with a `config.yaml` and `ckpt/checkpoint_N.pth`, of which the highest N
counts. It may be named itself, or its `voices/`, the model that ModelScope gives, a folder of such models, or
`voices.zip`. `resource.zip` is what the closed front end reads; the lab has its own and does not need it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tts_lab.errors import VoiceError, WeightsError
from tts_lab.systems.opened import Opener, Place
from tts_lab.systems.sambert.voices import VOICES, find_voice

FETCH = "tts-lab fetch sambert"
OPENER = Opener(f"download it again ('{FETCH}' says from where)")
DEPTH = 4  # .../damo/<model>/voices/<voice>
MOST_FOLDERS = 4000
CHECKPOINT = re.compile(r"checkpoint_(\d+)\.pth")
Part = tuple[str, str]
AM: Part = ("am", "sambert")  # as ModelScope names it, as KAN-TTS does
VOC: Part = ("voc", "hifigan")
WHAT = {AM: "the acoustic model", VOC: "the vocoder"}


@dataclass(frozen=True)
class VoiceFiles:
    """The files of one voice. name: the lab's where it is a released one (zhibei), else the folder's."""

    name: str
    folder: Place

    def config(self, part: Part) -> Place:
        """config.yaml of AM or VOC. Raises WeightsError where it is missing."""
        return self._needed(part, "config.yaml")

    def checkpoint(self, part: Part) -> Place:
        """The last checkpoint of AM or VOC. Raises WeightsError where there is none."""
        folder = self._part(part) / "ckpt"
        found = [(int(m[1]), p) for p in _listed(folder) if (m := CHECKPOINT.fullmatch(p.name))]
        if not found:
            raise WeightsError(
                f"The voice {self.name} lacks {WHAT[part]}'s weights: there is no {folder}/checkpoint_N.pth; "
                f"{OPENER.again}."
            )
        return max(found, key=lambda each: each[0])[1]

    def beside_am(self, name: str, what: str) -> Place:
        """Another file of the acoustic model. Raises WeightsError where it is missing."""
        path = self._part(AM) / name
        if not path.is_file():
            raise WeightsError(f"The voice {self.name} lacks {path} ({what}), which its model needs; {OPENER.again}.")
        return path

    def _needed(self, part: Part, name: str) -> Place:
        path = self._part(part) / name
        if not path.is_file():
            raise WeightsError(f"The voice {self.name} lacks {path}, the sizes of {WHAT[part]}; {OPENER.again}.")
        return path

    def _part(self, part: Part) -> Place:
        for name in part:
            if (self.folder / name).is_dir():
                return self.folder / name
        raise WeightsError(
            f"The voice {self.name} lacks {WHAT[part]}: there is no {self.folder / part[0]}; {OPENER.again}."
        )


def find_voices(root: Path) -> dict[str, VoiceFiles]:
    """The voices in a folder or a zip archive by name, in the order of the released ones, others after them.

    Nothing is read but names. Raises WeightsError where there is no such folder, or no voice in it.
    """
    place = _opened(root)
    found: dict[str, VoiceFiles] = {}
    for folder in _folders(place):
        name = _name(folder, root)
        found.setdefault(name, VoiceFiles(name, folder))
    if not found:
        raise WeightsError(_none(root, place))
    order = [voice.name for voice in VOICES]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _opened(root: Path) -> Place:
    if root.is_dir():
        return root
    if not root.exists():
        raise WeightsError(
            f"The folder of Sambert's voices {root} does not exist: '{FETCH}' says how to get them, --weights FOLDER "
            "names where they lie, and --weights random tries the system without a voice."
        )
    if not zipfile.is_zipfile(root):
        OPENER.check_start(root)
        raise WeightsError(
            f"{root} is neither a folder nor a whole zip archive: give the folder of a voice or voices.zip, or "
            f"{OPENER.again}."
        )
    return zipfile.Path(root)


def _folders(place: Place, depth: int = DEPTH) -> Iterator[Place]:
    """Folders of voices in a place, near ones first and archives last."""
    level, archives, seen = [place], [], 0
    while level and seen < MOST_FOLDERS:
        below: list[Place] = []
        for folder in level:
            seen += 1
            if _is_voice(folder):
                yield folder
                continue
            entries = _listed(folder)
            archives += [p for p in entries if p.name.endswith(".zip") and p.name != "resource.zip"]
            below += [p for p in entries if p.is_dir() and not p.name.startswith((".", "__"))]
        depth -= 1
        level = below if depth >= 0 else []
    for path in archives:
        if isinstance(path, Path) and zipfile.is_zipfile(path):
            yield from _folders(zipfile.Path(path))


def _is_voice(folder: Place) -> bool:
    parts = [[name for name in part if (folder / name).is_dir()] for part in (AM, VOC)]
    if not any(parts):
        return False
    return all(parts) or any((folder / name / "ckpt").is_dir() for part in parts for name in part)


def _listed(folder: Place) -> list[Place]:
    try:
        return sorted(folder.iterdir(), key=lambda path: path.name) if folder.is_dir() else []
    except OSError:
        return []


def _name(folder: Place, root: Path) -> str:
    plain = folder.name.removesuffix(".zip") or root.stem
    names = [plain, *(part for part in folder_parts(folder)[::-1] if part.startswith("speech_"))]
    for name in names:
        try:
            return find_voice(f"damo/{name}" if name.startswith("speech_") else name).name
        except VoiceError:
            continue
    return plain


def folder_parts(folder: Place) -> tuple[str, ...]:
    """Names on the way to a folder."""
    return tuple(str(folder).replace("\\", "/").strip("/").split("/"))


def _none(root: Path, place: Place) -> str:
    names = {path.name for path in _listed(place)}
    if names & {"resource.zip", "resource"} or root.name == "resource.zip":
        extra = " What lies there is the closed front end's, which the lab does not need; the voices are missing."
    elif any(name.endswith((".ckpt", ".index", ".meta")) for name in names):
        extra = " What lies there is TensorFlow's: an earlier release, which the lab cannot load; take the later one."
    else:
        extra = ""
    return (
        f"There is no voice in {root}.{extra} A voice is a folder with am/config.yaml, am/ckpt/checkpoint_N.pth, "
        f"voc/config.yaml and voc/ckpt/checkpoint_N.pth; '{FETCH}' says where to get one."
    )
