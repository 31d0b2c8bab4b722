"""Weights and inputs made from their names, the same on every machine; and what the public modules made of them.

tests/data/indextts2/gpt/README.md says how the recordings came about.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from tts_lab.systems.indextts2.checkpoint import fill
from tts_lab.systems.indextts2.conditioner import Conditioner
from tts_lab.systems.indextts2.config import SMALL
from tts_lab.systems.indextts2.voice_model import VoiceModel

FOLDER = Path(__file__).resolve().parents[2] / "data" / "indextts2" / "gpt"
INPUTS = {"speaker": (1, 33, 1024), "emotion": (1, 26, 1024), "batch": (2, 21, 1024)}
LENGTHS = (21, 14)
TEXT = [17, 5, 33, 59, 8, 21, 44, 12]
TEXTS, TEXT_LENGTHS = [[9, 30, 2, 51, 7, 0], [40, 3, 11, 0, 0, 0]], (6, 3)
CODES = [3, 60, 60, 12, 41, 7, 33, 0, 1]
CODE_BATCH, CODE_LENGTHS = [[5, 63, 2, 2, 19], [44, 8, 31, 0, 0]], (5, 3)


def even(name: str, shape: tuple[int, ...]) -> Tensor:
    """Numbers spread evenly over -1 .. 1, from the name alone."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    return torch.from_numpy((raw >> 40).astype(np.float32) / 2**23 - 1).view(shape)


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """A parameter that keeps the size of what goes through it, biases and gains not left at 0 and 1."""
    values = even(name, shape)
    if len(shape) == 1:
        gain = name.endswith("gamma") or (name.endswith("weight") and "embed" not in name)
        return 1 + 0.2 * values if gain else 0.1 * values
    fan_in = shape[0] if name.startswith("gpt.h") else int(np.prod(shape[1:]))
    return values * (3 / fan_in) ** 0.5 * (3 if name == "mel_head.weight" else 1)


def inputs() -> dict[str, Tensor]:
    """Features with the spread of normalised ones, ids, codes, lengths."""
    features = {name: 1.7 * even(f"in.{name}", shape) for name, shape in INPUTS.items()}
    ids = {"text": [TEXT], "texts": TEXTS, "codes": [CODES], "code_batch": CODE_BATCH, "lengths": LENGTHS,
           "text_lengths": TEXT_LENGTHS, "code_lengths": CODE_LENGTHS}  # fmt: skip
    return features | {name: torch.tensor(value) for name, value in ids.items()}


def models() -> tuple[Conditioner, VoiceModel]:
    """The small model with its recorded weights."""
    with torch.device("meta"):
        conditioner, model = Conditioner(SMALL), VoiceModel(SMALL)
    for part in (conditioner, model):
        fill(part, {name: weight(name, tuple(x.shape)) for name, x in part.state_dict().items()})
    return conditioner, model


def outputs() -> dict[str, Tensor]:
    return load_file(FOLDER / "recorded.safetensors")


def relative(found: Tensor, expected: Tensor, name: str = "") -> float:
    """Largest difference over largest value; shown with `pytest -s`."""
    assert found.shape == expected.shape
    error = float((found.float() - expected).abs().max() / expected.abs().max())
    print(f"{name} {error:.1e}")
    return error
