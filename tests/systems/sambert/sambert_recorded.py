"""Recordings of the public modules, and models that carry their weights."""

from __future__ import annotations

import gzip
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from tts_lab.systems.sambert.acoustic import Sambert
from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
from tts_lab.systems.sambert.vocoder import KanHiFiGAN, vocoder_state

DATA = Path(__file__).resolve().parents[2] / "data" / "sambert"
FIXED = ("text_encoder.ling_enc.position_enc.position_enc", "variance_adaptor.dur_position_encoder.inv_timescales")


@cache
def recorded(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and what they are."""
    with safe_open(DATA / f"{name}.safetensors", "pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["about"])  # noqa: SIM118


@cache
def released() -> dict[str, dict[str, Any]]:
    """Released configurations: names and shapes of their parameters."""
    return json.loads(gzip.decompress((DATA / "names.json.gz").read_bytes()))


def close(what: str, ours: Tensor, theirs: Tensor, limit: float = 1e-4) -> None:
    """Largest difference, relative to the largest value; printed."""
    assert ours.shape == theirs.shape, f"{what}: {tuple(ours.shape)}, recorded {tuple(theirs.shape)}"
    error = float((ours.double() - theirs.double()).abs().max() / theirs.double().abs().max())
    print(f"{what}: max relative error {error:.1e}")
    assert error <= limit


def state(name: str) -> dict[str, Tensor]:
    tensors, _ = recorded(name)
    return {k.removeprefix("state."): v for k, v in tensors.items() if k.startswith("state.")}


def acoustic_config(params: dict[str, Any]) -> SambertConfig:
    return SambertConfig.read({"Model": {"KanTtsSAMBERT": {"params": params}}})


def vocoder_config(params: dict[str, Any]) -> VocoderConfig:
    return VocoderConfig.read({"Model": {"Generator": {"params": params}}})


@cache
def small() -> Sambert:
    """The narrow SAM-BERT of the recording."""
    model = Sambert(acoustic_config(recorded("acoustic_small")[1]["config"]))
    model.load_state_dict(state("acoustic_small"))
    return model.eval().requires_grad_(False)


@cache
def full_size() -> Sambert:
    """SAM-BERT at its true size, with the weights of the recipe."""
    model = Sambert(acoustic_config(recorded("acoustic_16k")[1]["config"]))
    made = {k: v if k in FIXED else by_recipe(k, v.shape) for k, v in model.state_dict().items()}
    made["variance_adaptor.duration_predictor.fc.bias"].fill_(1.5)
    made["variance_adaptor.duration_predictor.fc.weight"].mul_(8)
    model.load_state_dict(made)
    return model.eval().requires_grad_(False)


def by_recipe(key: str, shape: torch.Size) -> Tensor:
    u = np.random.RandomState((zlib.crc32(key.encode()) ^ 2468) & 0xFFFFFFFF).uniform(-1, 1, size=tuple(shape))
    if len(shape) > 1:
        scale = 0.5 if "_emb." in key or "tokenizer" in key else 1.5 / np.sqrt(np.prod(shape[1:]))
        return torch.from_numpy(u * scale).float()
    norm = (".ln." in key or "layer_norm" in key) and key.endswith("weight")
    return torch.from_numpy(0.1 * u + (1 if norm else 0)).float()


@cache
def vocoder(kind: str) -> KanHiFiGAN:
    """A narrow vocoder of the recordings: noncausal, causal or nsf."""
    model = KanHiFiGAN(vocoder_config(recorded(f"vocoder_{kind}")[1]["config"]))
    model.load_state_dict(vocoder_state(state(f"vocoder_{kind}")))
    return model.eval().requires_grad_(False)
