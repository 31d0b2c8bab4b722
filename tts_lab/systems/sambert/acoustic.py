"""SAM-BERT, the acoustic model: units -> prosody -> mel. Parameter names are the published ones.

In order: `prosody` says how each phone is spoken, `Plan.of` how long, and `mel` or `mels` writes the frames. The first
two belong to the stage `semantic`, the last to the stage `acoustic`.

Axes: b batch, n phones, m mel bands (with F0 and voicing in the last two, if the model has them), t mel frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tts_lab.errors import WeightsError
from tts_lab.systems.sambert.adaptor import Prosody, VarianceAdaptor
from tts_lab.systems.sambert.config import UNIT_SIZES, SambertConfig
from tts_lab.systems.sambert.decoder import BLOCK, MelDecoder
from tts_lab.systems.sambert.encoder import TextEncoder
from tts_lab.systems.sambert.frames import Frames, Plan
from tts_lab.systems.sambert.parts import real
from tts_lab.systems.sambert.postnet import PostNet, PostNetStream


@dataclass(frozen=True)
class Units:
    """What is to be said, without the end mark `~`.

    ling: (b, n, 4) int64: phone, tone, place in the syllable, place in the word.
    emotion: (b, n) int64 rows of the table, or (b, n, e) vectors, such as a mixture of rows.
    speaker: (b, n) int64 rows of the table, or (b, n, s) vectors; a model with SE takes vectors alone.
    lengths: phones of each item; None: all n.
    """

    ling: Tensor
    emotion: Tensor
    speaker: Tensor
    lengths: tuple[int, ...] | None = None

    @classmethod
    def of(cls, linguistic: Sequence[Sequence[int]], emotion: Sequence[int], speaker: Sequence[int],
           device: torch.device | str = "cpu") -> Units:  # fmt: skip
        """One sentence from ids: for each phone its four linguistic ones, its emotion's and its speaker's."""
        ling, emotions, speakers = (torch.tensor([list(x)], device=device) for x in (linguistic, emotion, speaker))
        return cls(ling, emotions, speakers)

    @property
    def counts(self) -> tuple[int, ...]:
        """Phones of each item."""
        return self.lengths or (self.ling.shape[1],) * self.ling.shape[0]


class Sambert(nn.Module):
    """The acoustic model of one voice."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = TextEncoder(config)
        if not config.SE:
            self.spk_tokenizer = nn.Embedding(config.speaker, config.speaker_units)
        self.emo_tokenizer = nn.Embedding(config.emotion, config.emotion_units)
        self.variance_adaptor = VarianceAdaptor(config)
        self.mel_decoder = MelDecoder(config)
        self.mel_postnet = PostNet(config)

    def prosody(self, units: Units, *, pitch: Tensor | None = None, energy: Tensor | None = None,
                durations_before: Tensor | None = None, maps: list[Tensor] | None = None) -> Prosody:  # fmt: skip
        """How units are spoken. The options are those of `VarianceAdaptor` and `TextEncoder`."""
        mask = real(units.counts, units.ling.shape[1], units.ling.device)
        text = self.text_encoder(units.ling, mask, maps)
        return self.variance_adaptor(
            text, self.speaker(units.speaker), self.emotion(units.emotion), units.counts, pitch=pitch, energy=energy,
            durations_before=durations_before,
        )  # fmt: skip

    def speaker(self, given: Tensor) -> Tensor:
        """Rows (b, n) or vectors (b, n, s) -> vectors."""
        return given if given.is_floating_point() else self.spk_tokenizer(given)

    def emotion(self, given: Tensor) -> Tensor:
        """Rows (b, n) or vectors (b, n, e) -> vectors."""
        return given if given.is_floating_point() else self.emo_tokenizer(given)

    def frames(self, plan: Plan) -> Frames:
        """The decoder's memory of a plan."""
        return Frames(plan, self.config.outputs_per_step, self.variance_adaptor.dur_position_encoder)

    def written(self, plan: Plan, block: int = BLOCK, teacher: Tensor | None = None) -> Iterator[Tensor]:
        """What the decoder writes, before the postnet, block by block: (b, t, m), zero beyond each item's end."""
        for first, made in self.mel_decoder.blocks(self.frames(plan), block, teacher):
            made = _ended(made[:, : max(plan.frames) - first], first, plan)
            yield made
            del made

    def mels(self, plan: Plan, block: int = BLOCK) -> Iterator[Tensor]:
        """Finished mel (b, m, t) in pieces of at most `block` steps, for streaming; zero beyond each item's end.

        A piece comes when the postnet has seen as far ahead as it looks, 12 frames in the released models.
        """
        post, at = PostNetStream(self.mel_postnet, plan.frames if plan.uneven else None), 0
        for made in self.written(plan, block):
            ready = post.push(made)
            del made
            if ready.shape[1]:
                yield _ended(ready, at, plan).transpose(1, 2)
            at += ready.shape[1]
            del ready
        nothing = plan.text.new_zeros(len(plan.text), 0, self.config.num_mels)
        yield _ended(post.push(nothing, last=True), at, plan).transpose(1, 2)

    def mel(self, plan: Plan, block: int = BLOCK, out: Tensor | None = None) -> Tensor:
        """The whole mel (b, m, t), t the longest item's; zero beyond an item's end. out: where to put it."""
        b, longest = len(plan.frames), max(plan.frames)
        out = plan.text.new_empty(b, self.config.num_mels, longest) if out is None else out
        at = 0
        for piece in self.mels(plan, block):
            out[:, :, at : at + piece.shape[2]] = piece
            at += piece.shape[2]
            del piece
        return out

    def forward(self, units: Units, durations: tuple[tuple[int, ...], ...] | None = None) -> Tensor:
        """Units -> mel (b, m, t). durations: to be used in place of the predicted ones."""
        return self.mel(Plan.of(self.prosody(units), self.config.outputs_per_step, durations))


def _ended(x: Tensor, first: int, plan: Plan) -> Tensor:
    """Frames (b, t, m) from `first` on, zero beyond each item's end."""
    if not plan.uneven:
        return x
    clock = torch.arange(first, first + x.shape[1], device=x.device)[None]
    return x * (clock < torch.tensor(plan.frames, device=x.device)[:, None])[..., None]


def acoustic_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters that speaking needs: without those of the alignment, which training alone uses."""
    return {name: value for name, value in state.items() if not name.startswith("align_attention.")}


def unit_sizes(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Sizes of the unit tables, read off a checkpoint. A model with SE has no table of speakers: 0."""
    tables = ("text_encoder.sy_emb", "text_encoder.tone_emb", "text_encoder.syllable_flag_emb", "text_encoder.ws_emb",
              "emo_tokenizer", "spk_tokenizer")  # fmt: skip
    rows = {}
    for unit, table in zip(UNIT_SIZES, tables, strict=True):
        weight = state.get(f"{table}.weight")
        if weight is None and unit != "speaker":
            raise WeightsError(f"The weights lack {table}.weight; they are those of another kind of model.")
        rows[unit] = 0 if weight is None else weight.shape[0]
    return rows
