"""How far float16 moves each network of IndexTTS-2 from float32, with random weights at small widths, on the CPU.

    python benchmarks/half_precision.py

Each network gets float32's own input, so errors do not add up: root mean square of the difference, relative to the
value. Codec and speaker encoder stay in float32 in the lab; their rows say what that avoids. Random weights say nothing
of sound, and real ones may have a wider range. Prints a table and writes `data/measured/half_precision.json`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from environment import ROOT, command, environment, no_options, today, write_json
from tts_lab.experiments.quality_table import Table, markdown
from tts_lab.noise import noise
from tts_lab.systems.indextts2.cfm import generate
from tts_lab.systems.indextts2.parts import SMALL, Parts

RESULT = ROOT / "data" / "measured" / "half_precision.json"
STAY = ("codec", "campplus")  # in float32, whatever the recipe says


def main() -> None:
    result = {
        "date": today(), "command": command(), "environment": environment(), "weights": "random, small widths",
        "errors": errors(),
    }  # fmt: skip
    print(markdown(table(result)))
    write_json(RESULT, result)


@torch.inference_mode()
def errors() -> dict[str, float]:
    """Relative error of each network in float16."""
    full = Parts.build(SMALL)
    half = copy.deepcopy(full)
    for name in half.modules():
        getattr(half, name, half.s2mel).half()
    given = {name: noise(shape, seed) for seed, (name, shape) in enumerate(_shapes(full).items())}
    return {name: _error(run(half, given), run(full, given)) for name, run in RUNS.items()}


def _shapes(parts: Parts) -> dict[str, tuple[int, ...]]:
    dit, d = parts.s2mel.dit.sizes, parts.gpt.config.model_dim
    return {
        "filters": (1, 75, 160), "features": (1, 75, 1024), "bank": (1, 150, 80), "conditioning": (1, 34, d),
        "latent": (1, 25, d), "embedded": (1, 25, 1024), "noise": (1, dit.mels, 60), "content": (1, 60, dit.content),
        "style": (1, dit.style), "prompt": (1, dit.mels, 20), "mel": (1, dit.mels, 20),
    }  # fmt: skip


def _in(x: Tensor, part: torch.nn.Module) -> Tensor:
    return x.to(next(part.parameters()).dtype)


def _gpt(parts: Parts, x: dict[str, Tensor]) -> Tensor:
    text, codes = torch.arange(2, 12)[None], torch.arange(25)[None] % 60
    return parts.gpt(_in(x["conditioning"], parts.gpt), text, codes)


def _content(parts: Parts, x: dict[str, Tensor]) -> Tensor:
    return parts.s2mel.content(_in(x["embedded"], parts.s2mel), _in(x["latent"], parts.s2mel), 43)


def _flow(parts: Parts, x: dict[str, Tensor]) -> Tensor:
    return generate(parts.s2mel.dit, x["noise"], x["content"], x["style"], x["prompt"], steps=25)[0]


RUNS: dict[str, Callable[[Parts, dict[str, Tensor]], Tensor]] = {
    "features": lambda p, x: p.features(x["filters"]),
    "codec": lambda p, x: p.codec.latent(_in(x["features"], p.codec)),
    "campplus": lambda p, x: p.campplus(_in(x["bank"], p.campplus)),
    "conditioner: voice": lambda p, x: p.conditioner.speaker(x["features"]),
    "conditioner: emotion": lambda p, x: p.conditioner.emotion(x["features"]),
    "gpt: latents": _gpt,
    "content": _content,
    "flow matching, 25 steps": _flow,
    "vocoder": lambda p, x: p.vocoder(_in(x["mel"], p.vocoder)),
}


def _error(half: Tensor, full: Tensor) -> float:
    return float((half.float() - full).square().mean().sqrt() / full.square().mean().sqrt())


def table(result: dict[str, Any]) -> Table:
    """One row a network."""
    rows = [
        (name, f"{error:.1e}", "float32" if name in STAY else "float16") for name, error in result["errors"].items()
    ]  # fmt: skip
    return ("network", "error of float16", "in the lab's fp16"), rows


if __name__ == "__main__":
    no_options(__doc__)
    main()
