"""Batches of speech that lies on the device where it is learned from, whole: a card is not kept waiting.

Axes as in batches.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from batches import Batch, Corpus
from tts_lab.systems.mini.codes import encode_duration, encode_pitch

WHOLE = 1, 2  # phones and frames come in multiples of these: the diffusion model reads frames in pairs
CARD_WHOLE = 16, 64  # few shapes: for each new one cuDNN chooses its ways anew, which takes longer than the work
PHONES = ("symbol", "tone", "place", "duration", "pitch")


class Heard(Corpus):
    """A file of utterances with sound (`sounding.py`), coded and scaled as another corpus is."""

    def __init__(self, path: Path, like: Corpus) -> None:
        self._read(path, like.voices)
        self.mean, self.std, self.median_log_f0 = like.mean, like.std, like.median_log_f0


class Resident:
    """Batches of a folder's files; files that come later are seen in the next round, of all that there is.

    like: the corpus whose voices, scale and medians they are coded with. still: only those that the teacher spoke as it
    would, whose pitch was not moved. Raises FileNotFoundError where there is none.
    """

    def __init__(
        self, folder: Path, like: Corpus, generator: np.random.Generator, device: torch.device, *, still: bool = False
    ) -> None:
        self.still, self.rows = still, np.zeros(0, np.int64)
        self.folder, self.like, self.generator, self.device = folder, like, generator, device
        self.known: set[Path] = set()
        self.plan: list[np.ndarray] = []
        self.frames, self.phones = np.zeros(1, np.int64), np.zeros(1, np.int64)  # where each utterance begins
        self.store: dict[str, Tensor] = {}
        self.mean, self.std = like.mean.to(device), like.std.to(device)
        self.whole = CARD_WHOLE if device.type == "cuda" else WHOLE
        self.look()

    def look(self) -> None:
        """Read the files that have come."""
        for path in sorted(set(self.folder.glob("[!.]*.npz")) - self.known):
            self.known.add(path)
            self._add(Heard(path, self.like))
        if not self.known:
            raise FileNotFoundError(f"{self.folder} holds no speech yet; training/sounding.py makes some.")

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

    def _planned(self, budget: int) -> list[np.ndarray]:
        """One pass over all, similar lengths together."""
        lengths = np.diff(self.frames)
        lengths = lengths + -lengths % self.whole[1]
        order = self.rows[np.argsort(lengths[self.rows] * self.generator.uniform(0.9, 1.1, len(self.rows)))]
        plan, first = [], 0
        for k in range(1, len(order) + 1):
            if k == len(order) or lengths[order[first : k + 1]].max() * (k + 1 - first) > budget:
                plan.append(order[first:k])
                first = k
        self.generator.shuffle(plan)
        return plan

    def _taken(self, ids: np.ndarray) -> Batch:
        phones, real = self._index(self.phones, ids, self.whole[0])
        frames, sounding = self._index(self.frames, ids, self.whole[1])
        mel = ((self.store["mel"][frames].float() - self.mean) / self.std) * sounding[..., None]
        codes = {name: self.store[name][phones].long() * real for name in PHONES}
        rows = torch.from_numpy(ids).to(self.device)
        return Batch(**codes, speaker=self.store["speaker"][rows], manner=self.store["manner"][rows], phones=real,
                     mel=mel.transpose(1, 2), frames=sounding)  # fmt: skip

    def _index(self, starts: np.ndarray, ids: np.ndarray, whole: int) -> tuple[Tensor, Tensor]:
        """Places (b, longest) of these utterances in a flat store, and which of them are theirs."""
        first, lengths = starts[ids], starts[ids + 1] - starts[ids]
        longest = int(lengths.max())
        longest += -longest % whole
        both = torch.from_numpy(np.stack([first, lengths])).to(self.device)[..., None]
        steps = torch.arange(longest, device=self.device)
        real = steps < both[1]
        return (both[0] + steps) * real, real
