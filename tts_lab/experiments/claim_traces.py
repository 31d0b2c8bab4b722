"""What the experiments on the article's statements run: each traced once and kept.

The article names no code. Two programs stand for it: the public program of IndexTTS-2, which its baseline resembles,
and the lab's own, which holds what speech needs. Lengths: its test sentence is three seconds of speech, its rows of
configurations speak three sentences, and its reference clip is three seconds long.

Axes: t mel frames, those of the clip first.
"""

from __future__ import annotations

import json
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from tts_lab.audio.mel import MEL_22K_FULL
from tts_lab.experiments.vram import vram
from tts_lab.levers.residency import PRECISIONS
from tts_lab.memory.cards import find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.roofline import estimate
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.dit import DiT
from tts_lab.paths import data_dir
from tts_lab.recipe import Recipe
from tts_lab.systems.indextts2 import cfm
from tts_lab.systems.indextts2.parts import Parts
from tts_lab.systems.indextts2.sizes import DIT

CARD = "rtx3070"  # the article's
SENTENCE, THREE_SENTENCES, CLIP = 3.0, 9.0, 3.0  # seconds
PUBLIC, OURS = "indextts2-public", "indextts2"
GUIDANCE = 0.7  # as released
FRAMES_PER_SECOND = MEL_22K_FULL.sample_rate / MEL_22K_FULL.hop_length


@lru_cache(maxsize=64)
def request(program: str, recipe: Recipe, seconds: float, reference_seconds: float = CLIP) -> MemoryReport:
    """The report of a whole request on the article's card."""
    return vram(program, CARD, recipe, seconds, reference_seconds)


def article(name: str, **levers: Any) -> Recipe:
    """One of the article's rows, as a recipe."""
    return Recipe.named(name).replace(**levers)


def released(**levers: Any) -> Recipe:
    """The public program's settings."""
    return Recipe.named("as-released").replace(**levers)


def stage(report: MemoryReport, name: str) -> Any:
    return next(each for each in report.stages if each.name == name)


def activations(report: MemoryReport, name: str) -> int:
    """Bytes that are neither weights nor a library's workspace, at the stage's own peak."""
    kinds = stage(report, name).by_category
    return sum(size for kind, size in kinds.items() if kind in ("activation", "cache"))


@lru_cache(maxsize=32)
def solver(seconds: float, steps: int, grad: bool = False, checkpointed: bool = False, backward: bool = False,
           guidance: float = GUIDANCE, precision: str = "fp32", attention: str = "auto") -> EventLog:  # fmt: skip
    """The diffusion stage alone at full size, every step of it, with autograd off or left on.

    checkpointed: every layer of the transformer keeps its input only. backward: a backward pass follows.
    """
    return _solver(seconds, steps, grad, checkpointed, backward, guidance, precision, attention)[0]


def _solver(seconds: float, steps: int, grad: bool, checkpointed: bool = False, backward: bool = False,
            guidance: float = GUIDANCE, precision: str = "fp32", attention: str = "auto",
            ) -> tuple[EventLog, list[int]]:  # fmt: skip
    """The log, and the number of its events at the end of each step."""
    frames, clip = round(seconds * FRAMES_PER_SECOND), round(CLIP * FRAMES_PER_SECOND)
    with torch.device("meta"):
        dit = DiT(DIT).eval().requires_grad_(grad).to(PRECISIONS[precision])
        set_attention_kernel(dit, attention)
        given = (torch.zeros(1, 80, clip + frames), torch.zeros(1, clip + frames, 512), torch.zeros(1, 192))
        prompt = torch.zeros(1, 80, clip)
    if checkpointed:
        for layer in dit.layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
    ends: list[int] = []
    tracer = Tracer(grad=grad, shorten=False)  # with autograd no step is like the one before: all are taken
    with tracer:
        tracer.place(dit, "dit")
        for tensor in (*given, prompt):
            tracer.place(tensor)
        mel, _ = cfm.generate(
            dit, *given, prompt, steps=steps, guidance=guidance, callback=lambda _: ends.append(len(tracer.ledger))
        )
        if backward:
            mel.sum().backward()
    return tracer.log, [tracer.ledger.shift(end) for end in ends]


@lru_cache(maxsize=4)
def peaks(seconds: float, grad: bool, most: int = 100) -> tuple[int, ...]:
    """Bytes at the solver's peak after 1, 2, ..., `most` steps: a run of fewer steps begins as one of more does."""
    log, ends = _solver(seconds, most, grad)
    highest = np.maximum.accumulate(log.live_bytes())
    return tuple(int(highest[end - 1]) for end in ends)


def seconds_of(log: EventLog) -> float:
    """Estimated, on the article's card."""
    return estimate(log.work, find_card(CARD)).seconds


def total_frames(seconds: float) -> int:
    """Mel frames of clip and speech."""
    return round(seconds * FRAMES_PER_SECOND) + round(CLIP * FRAMES_PER_SECOND)


@lru_cache(maxsize=1)
def weights() -> dict[str, int]:
    """Bytes of each network's weights in float32, at full size."""
    modules = Parts.build(device="meta").modules()
    return {name: 4 * sum(p.numel() for p in module.parameters()) for name, module in modules.items()}


@lru_cache(maxsize=1)
def sambert_weights() -> int:
    """Bytes of the weights of Sambert-HiFiGAN in float32, at the released sizes of its 16 kHz voices."""
    from tts_lab.systems.sambert.acoustic import Sambert
    from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
    from tts_lab.systems.sambert.vocoder import KanHiFiGAN

    sizes = SambertConfig(sy=147, tone=10, syllable_flag=8, word_segment=8, emotion=36, speaker=4)
    with torch.device("meta"):
        models = (Sambert(sizes), KanHiFiGAN(VocoderConfig()))
    return 4 * sum(p.numel() for model in models for p in model.parameters())


@lru_cache(maxsize=8)
def measured(name: str) -> Any:
    """A result of the lab, from `data/measured`."""
    return json.loads((data_dir() / "measured" / f"{name}.json").read_text(encoding="utf-8"))
