"""Voices in the layout in which ModelScope releases them, narrow and with random values, as folders and as archives.

They have what the released files have: pairs of weight norm, an alignment that training alone uses, the state of an
optimizer, an older checkpoint beside the last one, and settings of training that speaking does not read.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from sambert_recorded import by_recipe, recorded
from torch import Tensor

from tts_lab.systems.sambert.acoustic import Sambert
from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
from tts_lab.systems.sambert.symbols import SPEAKERS, tables
from tts_lab.systems.sambert.vocoder import KanHiFiGAN

RATE, SCALES = 16_000, (10, 5, 2, 2)


def write(folder: Path, voices: Sequence[str] = ("zhibei_emo",), pitch: bool = False, embedded: bool = False,
          speakers: tuple[str, ...] = SPEAKERS, mask: bool = True) -> Path:  # fmt: skip
    """A model as it is downloaded: `voices/<voice>/am`, `voc`, and the front end's resources. Returns the folder.

    pitch: of the variant with a harmonic source; embedded: whose speaker is a vector; mask: whether its tables have the
    row that training masks with.
    """
    for number, voice in enumerate(voices):
        write_voice(folder / "voices" / voice, pitch, embedded, speakers, mask, seed=number)
    (folder / "voices" / "voices.json").write_text(json.dumps({"voices": list(voices)}), encoding="utf-8")
    with zipfile.ZipFile(folder / "resource.zip", "w") as archive:
        archive.writestr("resource/README", "what the closed front end reads")
    return folder


def write_voice(folder: Path, pitch: bool = False, embedded: bool = False, speakers: tuple[str, ...] = SPEAKERS,
                mask: bool = True, seed: int = 0) -> None:  # fmt: skip
    am, voc = folder / "am", folder / "voc"
    for part in (am, voc):
        (part / "ckpt").mkdir(parents=True)
    params = acoustic_params(pitch, embedded)
    state = acoustic_state(params, speakers, mask, seed)
    save(am / "ckpt" / "checkpoint_90.pth", {"model": {}})
    save(am / "ckpt" / "checkpoint_1000.pth", {"model": state, "optimizer": {"state": {}}, "steps": 1000})
    save(voc / "ckpt" / "checkpoint_7.pth", {"model": {"generator": generator_state(pitch), "discriminator": {}}})
    dump(am / "config.yaml", {
        "model_type": "sambert", "Model": {"KanTtsSAMBERT": {"params": params, "optimizer": {"type": "Adam"}}},
        "linguistic_unit": {"cleaners": "english_cleaners", "speaker_list": ",".join(speakers),
                            "lfeat_type_list": "sy,tone,syllable_flag,word_segment,emo_category,speaker_category"},
        "audio_config": {"sampling_rate": RATE, "hop_length": 200, "n_mels": 10}, "train_max_steps": 1000,
    })  # fmt: skip
    dump(voc / "config.yaml", {"model_type": "hifigan", "Model": {"Generator": {"params": vocoder_params(pitch)}}})
    if pitch:
        np.save(am / "mvn.npy", np.array([[200.0], [40.0]]))
    if embedded:
        np.save(am / "se.npy", np.linspace(-1, 1, params["speaker_units"], dtype=np.float32)[None])


def acoustic_params(pitch: bool, embedded: bool) -> dict[str, Any]:
    """Narrow, without the sizes of tables, which the files do not hold; 10 bands, 12 with pitch."""
    params = {k: v for k, v in recorded("acoustic_small")[1]["config"].items() if k not in tables()}
    params |= {"num_mels": 12 if pitch else 10, "MAS": True, "NSF": pitch, "SE": embedded, "max_len": 800}
    return params


def acoustic_state(params: dict[str, Any], speakers: tuple[str, ...], mask: bool, seed: int) -> dict[str, Tensor]:
    rows = {field: len(symbols) - (not mask) for field, symbols in tables(speakers).items()}
    model = Sambert(SambertConfig.read({"Model": {"KanTtsSAMBERT": {"params": params}}}, rows))
    state = {
        name: value if "position_enc" in name or "inv_timescales" in name else by_recipe(f"{seed}{name}", value.shape)
        for name, value in model.state_dict().items()
    }
    last = "variance_adaptor.duration_predictor.fc"
    state[f"{last}.bias"] = torch.full((1,), math.log(1 + 6.0))
    state["align_attention.attn_proj.weight"] = torch.ones(3, 3)
    return state


def vocoder_params(pitch: bool) -> dict[str, Any]:
    params: dict[str, Any] = {
        "in_channels": 10, "out_channels": 1, "channels": 32, "kernel_size": 7, "upsample_scales": list(SCALES),
        "upsample_kernal_sizes": [20, 11, 4, 4], "resblock_kernel_sizes": [3, 7, 11], "bias": True, "causal": False,
        "resblock_dilations": [[1, 3, 5, 7]] * 3, "nonlinear_activation": "LeakyReLU", "use_weight_norm": True,
        "nonlinear_activation_params": {"negative_slope": 0.1}, "repeat_upsample": True,
    }  # fmt: skip
    return params | {"nsf_params": {"nb_harmonics": 7, "sampling_rate": RATE}} if pitch else params


def generator_state(pitch: bool) -> dict[str, Tensor]:
    """Every weight of a convolution as a pair of weight norm."""
    config = VocoderConfig.read({"Model": {"Generator": {"params": vocoder_params(pitch)}}})
    state: dict[str, Tensor] = {}
    for name, value in KanHiFiGAN(config).state_dict().items():
        made = by_recipe(name, value.shape)
        if name.endswith(".weight") and "source_module" not in name:
            state[f"{name}_v"], state[f"{name}_g"] = made, made.flatten(1).norm(dim=1).view(-1, 1, 1)
        else:
            state[name] = made
    return state


def pack(folder: Path, archive: Path) -> Path:
    """A folder's contents as a zip archive."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder))
    return archive


def save(path: Path, what: Any) -> None:
    torch.save(what, path)


def dump(path: Path, what: Any) -> None:
    path.write_text(yaml.safe_dump(what), encoding="utf-8")
