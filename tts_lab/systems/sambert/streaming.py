"""Speech in pieces: the decoder, the postnet and the vocoder follow each other, and of each only a piece is alive.

What can follow, and what cannot. The text encoder and the predictors of pitch and energy (a bidirectional LSTM) need
the whole text, and a duration needs those of all phones before it: so nothing sounds before the whole sentence has its
prosody, which is work on phones, not on frames. From there on everything runs forwards: the decoder sees a band of text
ahead, which is known; the postnet's LSTM runs forwards only (it is not bidirectional), and its filters look 3 frames a
layer ahead; the vocoder looks a few frames ahead, or none if it is causal. Pieces therefore come 12 + 18 frames (0.4 s)
behind the decoder in the released 16 kHz models, and together they are the sound of the whole.

Axes: b batch, m mel bands, t mel frames, u hop length, s = t u samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from tts_lab.errors import LabError
from tts_lab.systems.sambert.acoustic import Sambert
from tts_lab.systems.sambert.decoder import BLOCK
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.source import denormalised
from tts_lab.systems.sambert.vocoder import KanHiFiGAN


class VocoderStream:
    """A vocoder that follows: push(mel (b, m, t)) -> the samples (b, s) that are certain by now.

    Held between pieces: the frames that the next piece depends on. seed: of the source's noise, if there is one.
    """

    def __init__(self, model: KanHiFiGAN, seed: int = 0) -> None:
        self.model, self.seed = model, seed
        self.before, self.after = model.reach()
        self._started = False
        self._phase: Tensor | None = None
        self._held: Tensor | None = None
        self._done = 0  # frames held whose samples were given already

    def push(self, mel: Tensor, last: bool = False) -> Tensor:
        """Samples of the frames whose neighbours are known, or with `last` of all that are left."""
        if self._held is None and not mel.shape[2]:
            return mel.new_zeros(len(mel), 0)
        if not self._started:
            self._noise, self._started = self.model.noise(self.seed, len(mel), mel.device), True
        window = self._window(mel)
        hop, start = self.model.config.hop_length, self._done
        end = window.shape[2] - (0 if last else self.after)
        keep = max(max(end, start) - self.before, 0)
        self._held, self._done = window[:, :, keep:].clone(), max(end, start) - keep
        if end <= start:
            return window.new_zeros(len(window), 0)
        return self.model(window)[:, start * hop : end * hop]

    def _window(self, mel: Tensor) -> Tensor:
        """What is held, and the new frames with their excitation."""
        if self._held is not None and not mel.shape[2]:
            return self._held
        new, self._phase = self.model.excite(mel, self._noise, self._phase)
        return new if self._held is None else torch.cat((self._held, new), 2)


def sounds(pieces: Iterable[Tensor], model: KanHiFiGAN, seed: int = 0) -> Iterator[Tensor]:
    """Pieces of a mel (b, m, t) -> pieces of its sound (b, s), none of them empty."""
    stream = VocoderStream(model, seed)
    none: Tensor | None = None
    for mel in pieces:
        none = mel[:, :, :0]
        ready = stream.push(mel)
        if ready.shape[1]:
            yield ready
        del mel, ready
    if none is not None:
        rest = stream.push(none, last=True)
        if rest.shape[1]:
            yield rest


def spoken(acoustic: Sambert, plan: Plan, vocoder: KanHiFiGAN, *, block: int = BLOCK, seed: int = 0,
           statistics: Sequence[float] = ()) -> Iterator[Tensor]:  # fmt: skip
    """A plan's sound in pieces (b, s) of about `block` decoder steps; the first one is shorter by what is looked ahead.

    statistics: mean and deviation of the voice's F0, for a vocoder with pitch whose voice needs them. Raises LabError
    where items are not equally long: beyond a shorter one's end the vocoder would hear frames of silence where alone it
    hears nothing.
    """
    if plan.uneven:
        raise LabError("A stream speaks items of one length: give it one sentence at a time.")
    mels: Iterable[Tensor] = acoustic.mels(plan, block)
    if vocoder.config.nsf_params:
        mels = (denormalised(mel, acoustic.config, statistics) for mel in mels)
    yield from sounds(mels, vocoder, seed)
