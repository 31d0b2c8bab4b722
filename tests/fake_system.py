"""A system of sine tones that keeps the protocol: one tone per character, its pitch the character's own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tts_lab.errors import TextError
from tts_lab.noise import noise
from tts_lab.recipe import Recipe
from tts_lab.types import Chunk, Mel, Prompt, Request, Semantic, Wave

HOP, BANDS, FRAMES = 256, 80, 6  # mel frames of each of a syllable's two units


def is_han(character: str) -> bool:
    return "\u4e00" <= character <= "\u9fff"


class ToneSystem:
    name = "fake"
    sample_rate = 22_050
    voices = ("low", "high")
    emotions = ("neutral",)
    device = "cpu"

    def about_voices(self) -> dict[str, str]:
        return dict.fromkeys(self.voices, "a sine tone")

    def split(self, request: Request, recipe: Recipe) -> Iterator[Chunk]:
        if not any(is_han(c) for c in request.text):
            raise TextError("The text holds no character that can be spoken; give some Chinese text.")
        for index, start in enumerate(range(0, len(request.text), recipe.max_chars)):
            piece = request.text[start : start + recipe.max_chars]
            if any(is_han(c) for c in piece):
                yield Chunk(piece, index, request.seed + index, request.speed)

    def speaker(self, request: Request, recipe: Recipe) -> Prompt:
        if request.reference is not None:
            return Prompt(f"like {request.reference.name}", torch.ones(1, 4), {"notes": ("The clip was shortened.",)})
        return Prompt(str(request.voice), torch.full((1, 4), 2.0 if request.voice == "high" else 1.0))

    def semantic(self, chunk: Chunk, prompt: Prompt, recipe: Recipe) -> Semantic:
        characters = [c for c in chunk.text if is_han(c)]
        units = tuple(unit for _ in characters for unit in ("t", "a"))
        durations = tuple(max(1, round(FRAMES / chunk.speed)) for _ in units)
        pitch = torch.tensor([[110.0 + ord(c) % 200 for c in characters for _ in range(2)]])
        syllable = torch.tensor([[i // 2 for i in range(len(units))]])
        codes = {"pitch": pitch, "syllable": syllable, "tone": torch.ones_like(syllable)}
        unknown = tuple(c for c in chunk.text if not is_han(c) and c not in "，。！？ \n")
        return Semantic(chunk, units, durations, sum(durations), codes, unknown)

    def acoustic(self, tokens: Semantic, prompt: Prompt, recipe: Recipe) -> Mel:
        values = noise((1, BANDS, tokens.frames), tokens.chunk.seed) * 0.2
        values = values - 6 + 0.05 * torch.arange(BANDS)[None, :, None] / recipe.steps
        return Mel(values, self.sample_rate, HOP, recipe.evaluations_per_chunk, tokens)

    def vocoder(self, mel: Mel, recipe: Recipe) -> Wave:
        tokens = mel.semantic
        hertz = tokens.codes["pitch"].repeat_interleave(torch.tensor(tokens.durations) * HOP, dim=1)
        hiss = noise(tuple(hertz.shape), tokens.chunk.seed) * 0.01
        return Wave(0.3 * torch.sin(2 * math.pi * (hertz / self.sample_rate).cumsum(1)) + hiss, self.sample_rate, mel)


def load(device: str) -> ToneSystem:
    return ToneSystem()


def run_lengths(recipe, seconds, reference_seconds, meter):
    """What a trace runs: the bundled system's sizes, for tones need no memory worth a picture."""
    from tts_lab.systems import mini

    return mini.run_lengths(recipe, seconds, reference_seconds, meter)
