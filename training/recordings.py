"""What the small vocoder hears while it is trained: recordings, mels that mini writes for them, and moved pitches.

Everything is kept in memory, flat over all utterances: `sound.npz` and `moved.npz` hold samples (s,) int16 at the
common loudness, f0 (t,) in Hz for each frame, start (u+1,) in frames, id and split of each utterance.

Axes: b stretches, m mel bands, t mel frames, s samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor

import features
import manner
from tts_lab.audio.mel import MEL_22K, log_mel

HOP = MEL_22K.hop_length
FRAMES = 64  # of a stretch that is trained on
BATCH = 12
MOVED = 3  # of so many utterances one is moved

Entry = tuple[dict, Path]  # a line of the manifest and its corpus's folder
Job = tuple[dict, str, float]  # a line of the manifest, its corpus's folder, its voice's gain
Sound = tuple[np.ndarray, np.ndarray]  # samples of whole frames, and the pitch of each frame in Hz
Stretch = tuple[Tensor, Tensor, Tensor, Tensor]  # samples, log-mel, its pitch, the pitch of the samples


def drawn_through(f0: np.ndarray) -> np.ndarray:
    """Pitch (t,) in Hz with 0 where unvoiced -> a pitch everywhere, straight in octaves between voiced frames."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.full(len(f0), 150.0, np.float32)
    return np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)


def sound(job: Job, moved: bool = False) -> Sound:
    """Samples of whole frames as int16, at the common loudness, and the pitch of each frame.

    moved: at the level and range that are drawn for this utterance (`manner.py`).
    """
    entry, root, gain = job
    samples, rate = soundfile.read(Path(root) / entry["file"], dtype="float32")
    samples = samples[: len(samples) // HOP * HOP] * np.float32(gain)
    if moved:
        pitch_alone = replace(manner.drawn(entry["id"]), energy=0.0, breath=0.0)
        samples = manner.moved(samples, rate, pitch_alone).astype(np.float32)
    f0 = drawn_through(features.pitch(samples, rate, len(samples) // HOP, HOP))
    return np.clip(samples * 32767, -32767, 32767).astype(np.int16), f0


def collected(corpora: list[Path], packed: Path, out: Path, moved: bool = False) -> None:
    """`sound.npz` and, if asked for, `moved.npz` in the output folder, made if they are not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    gains = features.known_gains(packed)
    entries = features.manifest(corpora)
    if not (out / "sound.npz").exists():
        _collect(out / "sound.npz", sound, entries, gains)
    if moved and not (out / "moved.npz").exists():
        own = [(e, root) for e, root in entries if e["split"] == "train" and manner.drawn(e["id"]) != manner.Manner()]
        _collect(out / "moved.npz", partial(sound, moved=True), own[::MOVED], gains)


def _collect(path: Path, take: Callable[[Job], Sound], entries: list[Entry], gains: dict[str, float]) -> None:
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(take, [(e, str(root), gains[e["speaker"]]) for e, root in entries], chunksize=16))
    np.savez(path, id=np.array([e["id"] for e, _ in entries]), split=np.array([e["split"] for e, _ in entries]),
             samples=np.concatenate([x for x, _ in rows]), f0=np.concatenate([f for _, f in rows]),
             start=np.cumsum([0] + [len(f) for _, f in rows]))  # fmt: skip


class Sounds:
    """Stretches of the corpus's sound: samples (b, s), log-mel (b, m, t), its pitch and the samples' (b, t) in Hz.

    written: mels that mini writes for some of it (see written.py); moved: sound of some of it at another pitch, whose
    mel is the recording's. The kinds that there are take turns.
    """

    def __init__(self, path: Path, split: str, written: Path | None = None, moved: Path | None = None) -> None:
        self.raw = dict(np.load(path))
        lengths = np.diff(self.raw["start"])
        self.ids = np.flatnonzero((self.raw["split"] == split) & (lengths >= FRAMES))
        self.row = dict(zip(self.raw["id"][self.ids].tolist(), self.ids.tolist(), strict=True))
        self.mels: dict[int, Tensor] = {}
        self.written = self._written(dict(np.load(written))) if written else []
        self.other = dict(np.load(moved)) if moved else {}
        self.moved = [(k, self.row[name]) for k, name in enumerate(self.other.get("id", ())) if name in self.row]
        self.kinds = [self._recorded, *[self._read] * bool(self.written), *[self._sung] * bool(self.moved)]

    def _written(self, raw: dict[str, np.ndarray]) -> list[tuple[int, int, np.ndarray]]:
        """Of each mel of this split: its utterance, the first frame of it, and the mel (t, m) itself."""
        spans = zip(raw["id"].tolist(), raw["first"].tolist(), pairwise(raw["start"].tolist()), strict=True)
        found = [(self.row[name], first, raw["mel"][a:b]) for name, first, (a, b) in spans if name in self.row]
        return [(i, k, mel[: self._length(i) - k]) for i, k, mel in found if len(mel) > FRAMES]

    def _length(self, i: int) -> int:
        return int(self.raw["start"][i + 1] - self.raw["start"][i])

    def whole(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of one utterance: (s,), (m, t), (t,). Its mel is kept."""
        samples, f0 = _piece_of(self.raw, i)
        if i not in self.mels:
            self.mels[i] = log_mel(samples, MEL_22K)[0].half()
        return samples, self.mels[i].float(), f0

    def stretches(self, random: np.random.Generator, count: int = BATCH) -> Stretch:
        rows = [self.kinds[n % len(self.kinds)](random) for n in range(count)]
        samples, mels, f0s, voices = (torch.stack(column) for column in zip(*rows, strict=True))
        return samples, mels, f0s, voices

    def _recorded(self, random: np.random.Generator) -> Stretch:
        samples, mel, f0 = self.whole(int(random.choice(self.ids)))
        k = int(random.integers(0, len(f0) - FRAMES + 1))
        return samples[k * HOP : (k + FRAMES) * HOP], mel[:, k : k + FRAMES], *[f0[k : k + FRAMES]] * 2

    def _read(self, random: np.random.Generator) -> Stretch:
        """A stretch with the mel that was written for it."""
        i, first, mel = self.written[int(random.integers(len(self.written)))]
        samples, _, f0 = self.whole(i)
        k = int(random.integers(0, len(mel) - FRAMES + 1))
        part = torch.from_numpy(mel[k : k + FRAMES].astype(np.float32)).T
        k += first
        return samples[k * HOP : (k + FRAMES) * HOP], part, *[f0[k : k + FRAMES]] * 2

    def _sung(self, random: np.random.Generator) -> Stretch:
        """A stretch to be spoken at another pitch than its mel's."""
        other, i = self.moved[int(random.integers(len(self.moved)))]
        _, mel, f0 = self.whole(i)
        samples, voice = _piece_of(self.other, other)
        k = int(random.integers(0, len(f0) - FRAMES + 1))
        here = slice(k, k + FRAMES)
        return samples[k * HOP : (k + FRAMES) * HOP], mel[:, here], f0[here], voice[here]

    def batches(self, random: np.random.Generator) -> Iterator[Stretch]:
        while True:
            yield self.stretches(random)


def _piece_of(raw: dict[str, np.ndarray], i: int) -> tuple[Tensor, Tensor]:
    """Samples (s,) and pitch (t,) of one utterance."""
    a, b = int(raw["start"][i]), int(raw["start"][i + 1])
    samples = torch.from_numpy(raw["samples"][a * HOP : b * HOP].astype(np.float32) / 32767)
    return samples, torch.from_numpy(raw["f0"][a:b])
