"""Sambert-HiFiGAN as the public program runs it: the baseline of a study, not a way to speak.

Read off KAN-TTS, `kantts/models/sambert/`, and ModelScope, `modelscope/models/audio/tts/voice.py`: everything is on the
card from the start, every attention map of a sentence is kept until its mel is done, each step builds masks over all
pairs of steps and makes every cache anew, and the vocoder hears the whole sentence at once. A text without an end of a
sentence is one sentence, however long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tts_lab.recipe import Recipe
from tts_lab.systems.sambert.acoustic import Units
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.lengths import Lengths, MeasuredSambert, run_pieces
from tts_lab.systems.sambert.naive import Maps, naive_mel
from tts_lab.types import Mel, Prompt, Semantic, Wave

if TYPE_CHECKING:
    from tts_lab.memory.meter import DeviceMeter
    from tts_lab.systems.sambert.adaptor import Prosody
    from tts_lab.systems.sambert.voice_parts import VoiceParts

NOTE = (
    "As the public program runs it: one sentence whatever the text, attention maps kept, caches made anew at each "
    "step, the vocoder untiled, float32; the recipe changes nothing."
)


class PublicSambert(MeasuredSambert):
    """Every network is on the device from the start; a sentence's maps live until its mel is done."""

    def _settle(self, meter: DeviceMeter) -> None:
        self.maps = Maps()
        for name, module in self.parts("random").modules().items():
            meter.place(module.to(meter.device), name)

    @contextmanager
    def _use(self, voice: str, part: str, recipe: Recipe) -> Iterator[Any]:
        yield self.parts(voice).modules()[part]

    def _prosody(self, model: Any, units: Units) -> Prosody:
        self.maps = Maps()
        prosody: Prosody = model.prosody(units, maps=self.maps.encoder)
        return prosody

    def _write(self, model: Any, plan: Plan) -> Tensor:
        return naive_mel(model, plan, self.maps)

    def acoustic(self, tokens: Semantic, prompt: Prompt, recipe: Recipe) -> Mel:
        mel = super().acoustic(tokens, prompt, recipe)
        self.maps = Maps()
        return mel

    def vocoder(self, mel: Mel, recipe: Recipe) -> Wave:
        return super().vocoder(mel, recipe.replace(tile=0))


def run_lengths(recipe: Recipe, seconds: float, reference_seconds: float, meter: DeviceMeter,
                parts: VoiceParts | None = None) -> tuple[str, ...]:  # fmt: skip
    """One sentence of `seconds` as the public program speaks it, under a meter. Returns notes."""
    run_pieces(recipe, Lengths.whole(seconds), meter, parts, PublicSambert)
    return (NOTE,)
