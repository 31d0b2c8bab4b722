"""Sounds made ready for a comparison by ear: one sample rate, one loudness and one length within an item.

Axes: s samples.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts_lab.audio import files, loudness
from tts_lab.audio.resample import resample
from tts_lab.errors import AudioError, LabError
from tts_lab.experiments.listening.anchors import CUTOFF_HZ, lowpass
from tts_lab.experiments.sweep import Sweep
from tts_lab.types import Speech, Wave

REFERENCE = "reference"  # what a sweep's reference is called
PEAK = 0.99
STEPS = 2**15  # of 16-bit sound: what is sent to colleagues is what was heard here, bit for bit
Raw = tuple[Tensor, int]


@dataclass(frozen=True, repr=False)
class Sounds:
    """What is compared. of: item -> condition -> (s,) float32, every item with the same conditions. rate: in Hz.

    left_out: sentences on what could not take part.
    """

    of: Mapping[str, Mapping[str, Tensor]]
    rate: int
    left_out: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[str, ...]:
        return tuple(self.of)

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(next(iter(self.of.values())))

    def digests(self) -> tuple[tuple[str, ...], ...]:
        """A short hash of each sound, items by conditions: whether two people heard the same."""
        return tuple(tuple(map(_digest, sounds.values())) for sounds in self.of.values())

    def with_anchors(self, reference: str) -> Sounds:
        """Two more conditions, made of a reference; the loudness is matched again."""
        added = {
            item: {**sounds, **{name: lowpass(sounds[reference], self.rate, hz) for name, hz in CUTOFF_HZ.items()}}
            for item, sounds in self.of.items()
        }
        return Sounds({item: _levelled(item, s, self.rate) for item, s in added.items()}, self.rate, self.left_out)

    def only(self, *conditions: str) -> Sounds:
        """Some of the conditions, in this order. Raises LabError for one that there is not."""
        for name in conditions:
            if name not in self.conditions:
                raise LabError(f"There is no condition {name!r}; there are {', '.join(self.conditions)}.")
        kept = {item: {name: sounds[name] for name in conditions} for item, sounds in self.of.items()}
        return Sounds(kept, self.rate, self.left_out)

    def __repr__(self) -> str:
        return f"Sounds({len(self.items)} items, {', '.join(self.conditions)}, {self.rate} Hz)"


def sounds(of: Mapping[str, Mapping[str, Any]], left_out: tuple[str, ...] = ()) -> Sounds:
    """Sounds to compare, made ready.

    of: item -> condition -> a Speech, a Wave, or a pair of (s,) samples and a rate in Hz. Rates are raised to the
    highest, loudness is brought to -23 LUFS (for an item with high peaks to what all its sounds can reach), and shorter
    sounds get silence at their end, so that neither tells which is which.
    Raises LabError where conditions are missing, AudioError for what is no sound.
    """
    _check(of)
    raw = {item: {name: _raw(item, name, sound) for name, sound in given.items()} for item, given in of.items()}
    rate = max(hertz for given in raw.values() for _, hertz in given.values())
    first = tuple(next(iter(raw.values())))
    ready = {
        item: _levelled(item, _padded({name: resample(*given[name], rate) for name in first}), rate)
        for item, given in raw.items()
    }
    return Sounds(ready, rate, left_out)


def sounds_of(sweep: Sweep) -> Sounds:
    """The sounds that a sweep kept: an item for each text, voice and seed, a condition for each recipe, and the
    sweep's `reference`.

    Items that lack a sound are left out, and `left_out` says so. Raises LabError where none is left.
    """
    found: dict[str, dict[str, Path]] = {}
    rows, folder = sweep.results().rows, sweep.file.folder
    for row in rows:
        paths = found.setdefault(_item(row, rows), {})
        paths[row["recipe"]] = folder / str(row.get("sound"))
        if row.get("reference"):
            paths[REFERENCE] = folder / "references" / f"{row['reference']}.wav"
    wanted = {name: None for paths in found.values() for name in paths}
    whole = {item: p for item, p in found.items() if set(p) == set(wanted) and all(map(Path.is_file, p.values()))}
    if not whole:
        raise LabError(
            f"{sweep.file.path} has no item with all its sounds; run the sweep with keep_sound=True (--keep-sound)."
        )
    left_out = tuple(f"{item} lacks a sound and is left out." for item in found if item not in whole)
    return sounds({item: {name: files.read(p[name]) for name in wanted} for item, p in whole.items()}, left_out)


def _item(row: Mapping[str, Any], rows: tuple[dict[str, Any], ...]) -> str:
    """A row's text, with voice and seed where these differ within the sweep."""
    also = [f"{row[name]}" for name in ("voice", "seed") if len({each[name] for each in rows}) > 1]
    return " · ".join([row["text"], *also])


def _check(of: Mapping[str, Mapping[str, Any]]) -> None:
    if not of:
        raise LabError("There is no sound to compare; give {item: {condition: sound}}.")
    wanted = set(next(iter(of.values())))
    for item, given in of.items():
        if set(given) != wanted:
            odd = ", ".join(sorted(map(str, set(given) ^ wanted)))
            raise LabError(f"Every item needs the same conditions, but {item!r} differs from the first in {odd}.")
    for name in [*of, *wanted]:
        if not isinstance(name, str) or not name.strip():
            raise LabError(f"Items and conditions need names, but one is {name!r}.")


def _raw(item: str, name: str, sound: Any) -> Raw:
    """(s,) float32 samples and a rate. Raises AudioError for what is no sound."""
    if isinstance(sound, Speech):
        samples, rate = sound.samples, sound.sample_rate
    elif isinstance(sound, Wave):
        samples, rate = sound.samples[0], sound.sample_rate
    else:
        try:
            samples, rate = torch.as_tensor(sound[0]), int(sound[1])
        except (TypeError, ValueError, IndexError, KeyError):
            raise AudioError(
                f"{name} of {item!r} must be a Speech, a Wave or (samples, rate), but is {type(sound).__name__}."
            ) from None
    samples = samples.detach().float().cpu()
    if samples.ndim != 1 or not samples.numel() or not bool(samples.isfinite().all()):
        raise AudioError(f"{name} of {item!r} must hold numbers along one axis, but has shape {tuple(samples.shape)}.")
    return samples, rate


def _padded(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    longest = max(samples.shape[0] for samples in given.values())
    return {name: torch.nn.functional.pad(s, (0, longest - s.shape[0])) for name, s in given.items()}


def _levelled(item: str, given: Mapping[str, Tensor], rate: int) -> dict[str, Tensor]:
    """All sounds of an item at one loudness, on the steps of 16 bits."""
    measured = {name: loudness.measure(samples, rate) for name, samples in given.items()}
    for name, lufs in measured.items():
        if not math.isfinite(lufs):
            raise AudioError(f"{name} of {item!r} is silent or too short to be compared.")
    room = {name: lufs + 20 * math.log10(PEAK / float(given[name].abs().max())) for name, lufs in measured.items()}
    target = min(loudness.TARGET_LUFS, *room.values())
    return {name: _stepped(samples * 10 ** ((target - measured[name]) / 20)) for name, samples in given.items()}


def _stepped(samples: Tensor) -> Tensor:
    return (samples * STEPS).round().clamp(-STEPS, STEPS - 1) / STEPS


def _digest(samples: Tensor) -> str:
    return hashlib.sha256((samples * STEPS).short().numpy().astype("<i2").tobytes()).hexdigest()[:16]
