"""What one voice is made of: two networks, and the little that stands beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts_lab.systems.sambert.acoustic import Sambert
from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
from tts_lab.systems.sambert.symbols import SPEAKERS, tables
from tts_lab.systems.sambert.vocoder import KanHiFiGAN

RATE = 16_000
MADE_UP_FRAMES = 7.0  # of a unit, where weights are random and would say that nothing lasts


@dataclass
class VoiceParts:
    """A voice's networks, in the computer's memory.

    sample_rate: of its sound, in Hz; speakers: names of the rows of the speaker table; statistics: mean and deviation
    of its F0, for a vocoder with pitch that needs them; embedding: (1, s) of its speaker, for a model that has no table
    of speakers. random: whether the weights are random, which everything made with them must say.
    """

    acoustic: Sambert
    vocoder: KanHiFiGAN
    sample_rate: int = RATE
    speakers: tuple[str, ...] = SPEAKERS
    statistics: tuple[float, ...] = ()
    embedding: Tensor | None = None
    random: bool = True

    @classmethod
    def build(
        cls, acoustic: SambertConfig | None = None, vocoder: VocoderConfig | None = None, *,
        device: str | torch.device = "cpu", seed: int = 0, speakers: tuple[str, ...] = SPEAKERS,
    ) -> VoiceParts:  # fmt: skip
        """Random weights at these sizes, by default those of the 16 kHz voices. device: "meta" for sizes alone."""
        with torch.device(device), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = cls(Sambert(acoustic or released_sizes(speakers)), KanHiFiGAN(vocoder or VocoderConfig()),
                       speakers=speakers)  # fmt: skip
            last = made.acoustic.variance_adaptor.duration_predictor.fc
            with torch.no_grad():
                last.bias.fill_(math.log(1 + MADE_UP_FRAMES))
                last.weight.mul_(25)  # so that phones differ in length
        for module in made.modules().values():
            module.eval().requires_grad_(False)
        return made

    def modules(self) -> dict[str, nn.Module]:
        """The networks by their names in reports."""
        return {"sambert": self.acoustic, "hifigan": self.vocoder}


def released_sizes(speakers: tuple[str, ...] = SPEAKERS) -> SambertConfig:
    """The 16 kHz model's sizes, for the tables of the released voices."""
    sy, tone, flag, word, emotion, speaker = (len(symbols) for symbols in tables(speakers).values())
    return SambertConfig(sy, tone, flag, word, emotion, speaker)
