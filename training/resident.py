"""Batches of speech that lies on the device where it is learned from, whole: a card is not kept waiting.

Axes as in batches.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from batches import Batch, Corpus
from tts_lab.systems.mini.codes import encode_duration, encode_pitch

WHOLE = 1, 2  # phones and frames come in multiples of these: the diffusion model reads frames in pairs
FEW_WHOLE = 32, 64  # where shapes are to be few: a card prepares for each new one, which takes longer than the work
PHONES = ("symbol", "tone", "place", "duration", "pitch")


class Heard(Corpus):
    """A file of utterances with sound (`sounding.py`), coded and scaled as another corpus is."""

    def __init__(self, path: Path, like: Corpus) -> None:
        self._read(path, like.voices)
        self.mean, self.std, self.median_log_f0 = like.mean, like.std, like.median_log_f0


@dataclass(frozen=True)
class Plan:
    """Which utterances come together: ids (b,) on the device, padded to so many phones and frames."""

    ids: Tensor
    phones: int
    frames: int


class Resident:
    """Batches of a folder's files; files that come later are seen in the next round, of all that there is.

    like: the corpus whose voices, scale and medians they are coded with. still: only those that the teacher spoke as it
    would, whose pitch was not moved. few_shapes: one shape for each length in frames, a multiple of 64; batches are
    then filled up with utterances that come a second time (without it, each comes once a round). Raises
    FileNotFoundError where there is none.
    """

    def __init__(
        self, folder: Path, like: Corpus, generator: np.random.Generator, device: torch.device, *,
        still: bool = False, few_shapes: bool = False,
    ) -> None:  # fmt: skip
        self.still, self.rows = still, np.zeros(0, np.int64)
        self.folder, self.like, self.generator, self.device = folder, like, generator, device
        self.known: set[Path] = set()
        self.plan: list[Plan] = []
        self.frames, self.phones = np.zeros(1, np.int64), np.zeros(1, np.int64)  # where each utterance begins
        self.starts: dict[str, Tensor] = {}  # the same, on the device
        self.store: dict[str, Tensor] = {}
        self.mean, self.std = like.mean.to(device), like.std.to(device)
        self.few_shapes = few_shapes
        self.whole = FEW_WHOLE if few_shapes else WHOLE
        self.look()

    def look(self) -> None:
        """Read the files that have come."""
        for path in sorted(set(self.folder.glob("[!.]*.npz")) - self.known):
            self.known.add(path)
            self._add(Heard(path, self.like))
        if not self.known:
            raise FileNotFoundError(f"{self.folder} holds no speech yet; training/sounding.py makes some.")
        both = {"frames": self.frames, "phones": self.phones}
        self.starts = {name: torch.from_numpy(value).to(self.device) for name, value in both.items()}

    def _add(self, part: Corpus) -> None:
        raw = {name: torch.from_numpy(value) for name, value in part.raw.items() if value.dtype.kind in "if"}
        per_phone = torch.from_numpy(np.repeat(part.speaker, np.diff(part.raw["phone_start"])))
        pitch = encode_pitch(raw["log_f0"], raw["voiced"], part.median_log_f0[per_phone])
        new = {name: raw[name].to(torch.int16) for name in ("symbol", "tone", "place")}
        new |= {"duration": encode_duration(raw["duration"]).to(torch.int16), "pitch": pitch.to(torch.int16)}
        new |= {"mel": raw["mel"], "speaker": torch.from_numpy(part.speaker), "manner": torch.from_numpy(part.manner)}
        for name, value in new.items():
            there = [self.store[name]] if name in self.store else []
            self.store[name] = torch.cat([*there, value.to(self.device)])
        kept = np.flatnonzero(part.raw["moved"] == 0) if self.still else np.arange(len(part.speaker))
        self.rows = np.concatenate([self.rows, len(self.frames) - 1 + kept])
        self.frames = np.concatenate([self.frames, self.frames[-1] + part.raw["frame_start"][1:]])
        self.phones = np.concatenate([self.phones, self.phones[-1] + part.raw["phone_start"][1:]])

    def batch(self, budget: int) -> Batch:
        """The next one, of about `budget` frames."""
        if not self.plan:
            self.look()
            self.plan = self._planned(budget)
        return self._taken(self.plan.pop())

    def _planned(self, budget: int) -> list[Plan]:
        """One pass over all, similar lengths together."""
        plan = list(self._filled(budget) if self.few_shapes else self._tight(budget))
        self.generator.shuffle(plan)
        return plan

    def _tight(self, budget: int) -> Iterator[Plan]:
        """Each row once, in batches as wide as their longest."""
        lengths = self._padded(self.frames, self.whole[1])
        order = self.rows[np.argsort(lengths[self.rows] * self.generator.uniform(0.9, 1.1, len(self.rows)))]
        first = 0
        for k in range(1, len(order) + 1):
            if k == len(order) or lengths[order[first : k + 1]].max() * (k + 1 - first) > budget:
                yield self._together(order[first:k], order[first:k])
                first = k

    def _filled(self, budget: int) -> Iterator[Plan]:
        """Each row at least once, in batches of as many rows as others of their length have."""
        lengths = self._padded(self.frames, self.whole[1])
        for length in np.unique(lengths[self.rows]):
            alike = self.generator.permutation(self.rows[lengths[self.rows] == length])
            count = max(1, budget // int(length))
            order = np.concatenate([alike, self.generator.choice(alike, -len(alike) % count)])
            for ids in order.reshape(-1, count):
                yield self._together(ids, alike)

    def _together(self, ids: np.ndarray, alike: np.ndarray) -> Plan:
        """A plan for some rows, wide enough for all that are alike."""
        phones, frames = (
            int(self._padded(starts, whole)[alike].max())
            for starts, whole in zip((self.phones, self.frames), self.whole, strict=True)
        )
        return Plan(torch.from_numpy(ids).to(self.device), phones, frames)

    @staticmethod
    def _padded(starts: np.ndarray, whole: int) -> np.ndarray:
        """Length of every utterance, to a multiple of `whole`."""
        lengths = np.diff(starts)
        return lengths + -lengths % whole

    def _taken(self, plan: Plan) -> Batch:
        phones, real = self._index("phones", plan.ids, plan.phones)
        frames, sounding = self._index("frames", plan.ids, plan.frames)
        mel = ((self.store["mel"][frames].float() - self.mean) / self.std) * sounding[..., None]
        codes = {name: self.store[name][phones].long() * real for name in PHONES}
        speaker, manner = self.store["speaker"][plan.ids], self.store["manner"][plan.ids]
        return Batch(**codes, speaker=speaker, manner=manner, phones=real, mel=mel.transpose(1, 2), frames=sounding)

    def _index(self, name: str, ids: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Places (b, width) of these utterances in a flat store, and which of them are theirs."""
        first = self.starts[name][ids][:, None]
        steps = torch.arange(width, device=self.device)
        real = steps < self.starts[name][ids + 1][:, None] - first
        return (first + steps) * real, real
