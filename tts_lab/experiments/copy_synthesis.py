"""Copy synthesis: a sound's own mel, made into sound again. What is lost is the front end's and the vocoder's doing.

Axes: b batch, s samples, m mel bands, t mel frames.
"""

from __future__ import annotations

import torch

from tts_lab.audio.mel import MEL_22K, MelSpec, log_mel
from tts_lab.audio.resample import resample
from tts_lab.errors import LabError
from tts_lab.recipe import Recipe
from tts_lab.types import Chunk, Mel, Semantic, Speech, System, Wave


def copy_synthesis(system: System, sound: Speech | Wave, spec: MelSpec = MEL_22K, shift: float = 0.0) -> Wave:
    """A sound's mel through a system's vocoder, in float32.

    spec: the front end; another than the vocoder was taught shows what a wrong one sounds like. shift: added to the
    mel, in natural logarithms. Raises LabError where the front end has other bands or frames than the vocoder takes.
    """
    if (spec.n_mels, spec.sample_rate, spec.hop_length) != (MEL_22K.n_mels, system.sample_rate, MEL_22K.hop_length):
        raise LabError(f"The vocoder of {system.name} takes {MEL_22K.n_mels} bands, a frame each {MEL_22K.hop_length} "
                       f"samples at {system.sample_rate} Hz; this front end gives others.")  # fmt: skip
    samples = sound.samples[0] if isinstance(sound, Wave) else sound.samples
    values = log_mel(resample(samples.detach().float().cpu(), sound.sample_rate, spec.sample_rate), spec) + shift
    semantic = Semantic(Chunk("", 0, 0), (), (), values.shape[-1])
    with torch.inference_mode():
        return system.vocoder(Mel(values, spec.sample_rate, spec.hop_length, 0, semantic), Recipe())
