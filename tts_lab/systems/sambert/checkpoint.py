"""A released voice from its files into `VoiceParts`: strict in names, shapes and settings, unlike the public loader,
which leaves missing weights at random."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor, nn

from tts_lab.errors import WeightsError
from tts_lab.systems.opened import Place
from tts_lab.systems.sambert.acoustic import Sambert, acoustic_state, unit_sizes
from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
from tts_lab.systems.sambert.located import AM, OPENER, VOC, VoiceFiles
from tts_lab.systems.sambert.symbols import SPEAKERS, tables
from tts_lab.systems.sambert.vocoder import KanHiFiGAN, vocoder_state
from tts_lab.systems.sambert.voice_parts import VoiceParts

# Tables that follow from the sizes; some checkpoints leave them out.
COMPUTED = ("text_encoder.ling_enc.position_enc.position_enc", "variance_adaptor.dur_position_encoder.inv_timescales")
RATES = {200: 16_000, 240: 24_000, 600: 48_000}  # hop length -> sample rate, where no file says it
SHOWN = 3


def load_voice(files: VoiceFiles) -> VoiceParts:
    """The networks with their weights, on the CPU, ready to run.

    Raises WeightsError for files that are missing, damaged, unsafe, or of something else.
    """
    settings, sound = _yaml(files.config(AM)), _yaml(files.config(VOC))
    paths = {part: files.checkpoint(part) for part in (AM, VOC)}
    state, generator = _acoustic_state(paths[AM]), _generator(paths[VOC])
    speakers = _speakers(files, settings)
    acoustic = _said_of(files.config(AM), lambda: SambertConfig.read(settings, _rows(files, state, speakers)))
    vocoder = _said_of(files.config(VOC), lambda: VocoderConfig.read(sound))
    _check_pair(files, acoustic, vocoder)
    networks = Sambert(acoustic), KanHiFiGAN(vocoder)
    _fill(networks[0], state, paths[AM], COMPUTED)
    _fill(networks[1], generator, paths[VOC])
    return VoiceParts(
        *networks, _rate(files, settings, sound, vocoder), speakers, _statistics(files, acoustic),
        _embedding(files, acoustic), random=False,
    )  # fmt: skip


def _said_of(path: Place, read: Any) -> Any:
    try:
        return read()
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def _yaml(path: Place) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).split("\n")[0]
        raise WeightsError(f"{path} is no plain YAML ({first}); {OPENER.again}.") from None
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} holds no settings; {OPENER.again}.")
    return found


def _acoustic_state(path: Place) -> dict[str, Tensor]:
    return {name: value.float() for name, value in acoustic_state(_states(path, "model")).items()}


def _generator(path: Place) -> dict[str, Tensor]:
    folded = vocoder_state(_states(path, "model", "generator"))
    return {name: value.float() for name, value in folded.items()}


def _states(path: Place, *keys: str) -> dict[str, Tensor]:
    """The tensors under keys in a checkpoint."""
    found = OPENER.pickled(path)
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            where = " -> ".join(keys)
            raise WeightsError(f"{path} lacks the tensors under {where}: it is a checkpoint of something else.")
        found = found[key]
    named = found if isinstance(found, Mapping) else {}
    return {str(name).removeprefix("module."): x for name, x in named.items() if isinstance(x, Tensor)}


def _fill(module: nn.Module, state: Mapping[str, Tensor], path: Place, optional: Iterable[str] = ()) -> None:
    """Put a state into a network. Raises WeightsError that names how they differ."""
    expected = module.state_dict()
    missing = [name for name in expected if name not in state and name not in optional]
    unknown = [name for name in state if name not in expected]
    wrong = [
        f"{name} {tuple(state[name].shape)} in place of {tuple(x.shape)}"
        for name, x in expected.items()
        if name in state and state[name].shape != x.shape
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("of another shape", wrong))
    told = "; ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds if names)
    if told:
        raise WeightsError(
            f"The tensors of {path} are not those of its configuration: {told}. Give files of one release."
        )
    module.load_state_dict({**expected, **state})
    module.eval().requires_grad_(False)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _speakers(files: VoiceFiles, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The checkpoint's own list, which goes before the lab's. Raises WeightsError for another language."""
    unit = settings.get("linguistic_unit")
    unit = unit if isinstance(unit, Mapping) else {}
    language = unit.get("language", "PinYin")
    if language != "PinYin":
        raise WeightsError(
            f"The voice {files.name} reads {language}; the lab reads Mandarin (PinYin) and cannot speak with it."
        )
    listed = unit.get("speaker_list")
    parts = listed.split(",") if isinstance(listed, str) else listed or SPEAKERS
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _rows(files: VoiceFiles, state: Mapping[str, Tensor], speakers: tuple[str, ...]) -> dict[str, int]:
    """Sizes of the unit tables. Raises WeightsError where they are not those of the symbols that the lab knows."""
    rows = unit_sizes(state)
    for field, symbols in tables(speakers).items():
        # The public loader leaves out the last row, the mask, which training alone uses.
        if rows[field] not in (len(symbols), len(symbols) - 1) and (field, rows[field]) != ("speaker", 0):
            raise WeightsError(
                f"The voice {files.name} knows {rows[field]} symbols of {field} where {len(symbols)} are expected: it "
                "was taught with other symbols, whose names its files do not hold."
            )
    return rows


def _check_pair(files: VoiceFiles, acoustic: SambertConfig, vocoder: VocoderConfig) -> None:
    if acoustic.sound_bands != vocoder.in_channels or (vocoder.nsf_params is not None) != acoustic.NSF:
        ways = {True: "with pitch", False: "without pitch"}
        raise WeightsError(
            f"The parts of the voice {files.name} do not fit: its acoustic model writes {acoustic.sound_bands} bands "
            f"{ways[acoustic.NSF]}, its vocoder reads {vocoder.in_channels} {ways[vocoder.nsf_params is not None]}."
        )


def _rate(files: VoiceFiles, settings: Mapping[str, Any], sound: Mapping[str, Any], vocoder: VocoderConfig) -> int:
    """Sample rate: as the files say it, else as the hop length tells."""
    beside = files.folder / "audio_config.yaml"
    for found in (sound, settings, _yaml(beside) if beside.is_file() else {}):
        audio = found.get("audio_config")
        if isinstance(audio, Mapping) and isinstance(audio.get("sampling_rate"), int):
            return int(audio["sampling_rate"])
    if vocoder.nsf_params:
        return vocoder.nsf_params.sampling_rate
    if vocoder.hop_length not in RATES:
        raise WeightsError(
            f"The files of the voice {files.name} do not say its sample rate: add 'audio_config: {{sampling_rate: "
            f"16000}}' to {files.config(VOC)}."
        )
    return RATES[vocoder.hop_length]


def _statistics(files: VoiceFiles, config: SambertConfig) -> tuple[float, ...]:
    """Mean and deviation of F0."""
    if not config.NSF or config.nsf_norm_type != "mean_std":
        return ()
    path = files.beside_am("mvn.npy", "mean and deviation of its pitch")
    values = _array(path).reshape(-1)
    if values.size != 2:
        raise WeightsError(f"{path} holds {values.size} numbers where mean and deviation of F0 are expected.")
    return float(values[0]), float(values[1])


def _embedding(files: VoiceFiles, config: SambertConfig) -> Tensor | None:
    """The vector of its speaker, (1, s)."""
    if not config.SE:
        return None
    path = files.beside_am("se.npy", "the vector of its speaker")
    values = _array(path).reshape(-1)
    if values.size != config.speaker_units:
        raise WeightsError(
            f"{path} holds {values.size} numbers where {config.speaker_units} of a speaker are expected."
        )
    return torch.from_numpy(values).float()[None]


def _array(path: Place) -> np.ndarray:
    """An array of numbers; what is pickled in it is not run."""
    try:
        return np.asarray(np.load(io.BytesIO(path.read_bytes()), allow_pickle=False), dtype=np.float64)
    except (ValueError, EOFError, OSError) as error:
        raise WeightsError(f"{path} is no array of numbers ({error}); {OPENER.again}.") from None
