"""Packed features -> batches. See features.py for what is stored.

Axes: b utterances, n phones, t mel frames, m mel bands.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tts_lab.systems.mini.codes import encode_duration, encode_pitch
from tts_lab.systems.mini.prosody import ENERGY_UNIT

SPOKEN_HOW = ("energy", "breath", "made", "moved")  # of what sounding.py makes: dB, 0 to 1, twice 0 or 1


@dataclass
class Batch:
    """Padded utterances. Phone-wise (b, n), frame-wise mel (b, m, t) normalised; masks True where real.

    manner: (b, 4), effort in units of 6 dB, breath, 1 where the sound was put together again (`manner.py`), and 1 where
    there was none (`endless.py`).
    """

    symbol: Tensor
    tone: Tensor
    place: Tensor
    duration: Tensor
    pitch: Tensor
    speaker: Tensor
    manner: Tensor
    phones: Tensor
    mel: Tensor
    frames: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(**{k: v.to(device) for k, v in vars(self).items()})


class Corpus:
    """All utterances in memory (mels as float16), with the statistics that normalise them."""

    def __init__(self, folder: Path) -> None:
        self._read(folder / "features.npz")
        if "mean" in self.raw:  # some of a corpus's rows, and what all of them come to
            self.mean, self.std, self.median_log_f0 = (
                torch.from_numpy(self.raw[k]) for k in ("mean", "std", "median_log_f0")
            )
            return
        train = [s for s, i in zip(self.frame_slices("train"), self.ids("train"), strict=True) if not self.manner[i, 2]]
        mel = np.concatenate([self.raw["mel"][s] for s in train]).astype(np.float32)
        self.mean, self.std = torch.from_numpy(mel.mean(0)), torch.from_numpy(mel.std(0))
        self.median_log_f0 = torch.tensor([self._median(i) for i in range(len(self.voices))])

    def _read(self, path: Path, voices: tuple[str, ...] = ()) -> None:
        """A file of features, its speakers numbered by their places among `voices`, or else in alphabetical order."""
        self.raw = dict(np.load(path))
        self.voices = voices or tuple(sorted(set(self.raw["speaker"].tolist())))
        self.speaker = np.array([self.voices.index(s) for s in self.raw["speaker"]])
        self.manner = self._manner()

    def ids(self, split: str) -> np.ndarray:
        return np.flatnonzero(self.raw["split"] == split)

    def frame_slices(self, split: str) -> list[slice]:
        starts = self.raw["frame_start"]
        return [slice(starts[i], starts[i + 1]) for i in self.ids(split)]

    def _manner(self) -> np.ndarray:
        """(utterances, 4) float32; nothing but zeros where no row was moved."""
        raw, none = self.raw, np.zeros(len(self.raw["id"]), dtype=np.float32)
        if "made" not in raw:
            return np.stack((none,) * 4, 1)
        return np.stack((raw["energy"] / ENERGY_UNIT, raw["breath"], raw["made"], none), 1)

    def _median(self, speaker: int) -> float:
        starts = self.raw["phone_start"]
        still = (self.speaker == speaker) & (self.manner[:, 2] == 0)  # moved rows are coded around the same median
        own = [self.raw["log_f0"][starts[i] : starts[i + 1]] for i in np.flatnonzero(still)]
        return float(np.nanmedian(np.concatenate(own)))

    def codes(self, i: int) -> dict[str, Tensor]:
        """Symbol, tone, place, duration (frames) and pitch code of one utterance, each (n,) int64."""
        p = slice(self.raw["phone_start"][i], self.raw["phone_start"][i + 1])
        get = {k: torch.from_numpy(self.raw[k][p]) for k in ("symbol", "tone", "place", "duration", "log_f0", "voiced")}
        pitch = encode_pitch(get["log_f0"], get["voiced"], self.median_log_f0[self.speaker[i]])
        whole = {k: get[k].long() for k in ("symbol", "tone", "place")}
        return whole | {"duration": encode_duration(get["duration"]), "pitch": pitch}

    def mel(self, i: int) -> Tensor:
        """(m, t) float32, normalised per band."""
        f = slice(self.raw["frame_start"][i], self.raw["frame_start"][i + 1])
        return ((torch.from_numpy(self.raw["mel"][f]).float() - self.mean) / self.std).T

    def batch(self, ids: list[int]) -> Batch:
        rows = [self.codes(i) for i in ids]
        mels = [self.mel(i) for i in ids]
        pad = {k: _pad([r[k] for r in rows]) for k in rows[0]}
        frames = max(m.shape[1] for m in mels)
        frames += frames % 2  # the diffusion model reads frames in pairs
        mel = torch.stack([torch.nn.functional.pad(m, (0, frames - m.shape[1])) for m in mels])
        phones = _pad([torch.ones(len(r["symbol"])) for r in rows]) > 0
        real = torch.arange(frames)[None] < torch.tensor([m.shape[1] for m in mels])[:, None]
        return Batch(**pad, speaker=torch.from_numpy(self.speaker[ids]),
                     manner=torch.from_numpy(self.manner[ids]), phones=phones, mel=mel, frames=real)  # fmt: skip

    def batches(self, split: str, budget: int, generator: np.random.Generator | None = None) -> Iterator[Batch]:
        """One pass in batches of about `budget` frames, similar lengths together; shuffled if a generator is given."""
        for ids in self.plan(split, budget, generator):
            yield self.batch(ids)

    def plan(self, split: str, budget: int, generator: np.random.Generator | None = None) -> list[list[int]]:
        ids = self.ids(split)
        lengths = np.diff(self.raw["frame_start"])[ids].astype(float)
        jitter = generator.uniform(0.9, 1.1, len(ids)) if generator is not None else 1.0
        ordered = ids[np.argsort(lengths * jitter)]
        plans: list[list[int]] = [[]]
        for i in ordered:
            longest = np.diff(self.raw["frame_start"])[[*plans[-1], i]].max()
            if plans[-1] and longest * (len(plans[-1]) + 1) > budget:
                plans.append([])
            plans[-1].append(int(i))
        if generator is not None:
            generator.shuffle(plans)
        return plans


class Part(Corpus):
    """A file of utterances without sound (`endless.py`), coded and scaled as another corpus is."""

    def __init__(self, path: Path, like: Corpus) -> None:
        self._read(path, like.voices)
        self.manner[:, 3] = 1
        self.mean, self.std, self.median_log_f0 = like.mean, like.std, like.median_log_f0


class Endless:
    """Batches of a folder's files, all for training; files that come later are seen in the next round.

    like: the corpus whose voices, scale and medians they are coded with (`endless.py` makes the same voices).
    """

    ROUND = 120  # batches drawn before the folder is looked at again

    def __init__(self, folder: Path, like: Corpus, generator: np.random.Generator) -> None:
        self.folder, self.like, self.generator = folder, like, generator
        self.parts: dict[Path, Corpus] = {}
        self.drawn: list[tuple[Path, list[int]]] = []

    def batch(self, budget: int) -> Batch:
        """The next one, of about `budget` frames. Raises FileNotFoundError where the folder holds no file."""
        if not self.drawn:
            for path in sorted(set(self.folder.glob("[!.]*.npz")) - set(self.parts)):
                self.parts[path] = Part(path, self.like)
            if not self.parts:
                raise FileNotFoundError(f"{self.folder} holds no speech yet; training/endless.py makes some.")
            every = [
                (path, ids) for path, part in self.parts.items() for ids in part.plan("train", budget, self.generator)
            ]
            self.generator.shuffle(every)
            self.drawn = every[: self.ROUND]
        path, ids = self.drawn.pop()
        return self.parts[path].batch(ids)


def _pad(rows: list[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
