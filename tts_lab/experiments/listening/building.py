"""Listening tests: ABX, preference and MUSHRA of given sounds, and a file in which a test travels to colleagues.

    test = abx(sounds({"你好。": {"2 steps": few, "16 steps": many}}), trials=16)
    test.save("steps.zip")

A colleague who makes the sounds anew gets other last bits, and so another test: send the file.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tts_lab.errors import LabError
from tts_lab.experiments.listening.anchors import LOW, MID
from tts_lab.experiments.listening.definition import ABX, MUSHRA, PREFERENCE, Definition
from tts_lab.experiments.listening.prepared import STEPS, Sounds
from tts_lab.experiments.listening.sequential import Sprt
from tts_lab.whole import whole

SHORT = {"low": LOW, "mid": MID}


@dataclass(frozen=True, repr=False)
class ListeningTest:
    """A definition, and the sounds that it names."""

    definition: Definition
    sounds: Sounds

    def save(self, path: str | Path) -> Path:
        """Write the test into one .zip file; it appears when it is complete. Raises OutputError."""
        path = Path(path)
        with whole(path, "test") as part, zipfile.ZipFile(part, "w") as archive:
            archive.writestr("test.json", json.dumps(self.definition.to_dict(), ensure_ascii=False))
            for n, given in enumerate(self.sounds.of.values()):
                for m, samples in enumerate(given.values()):
                    archive.writestr(f"sounds/{n}-{m}.flac", _flac(samples, self.sounds.rate))
        return path

    @classmethod
    def load(cls, path: str | Path) -> ListeningTest:
        """A test that `save` wrote. Raises LabError where it is none, or is damaged."""
        try:
            with zipfile.ZipFile(path) as archive:
                definition = Definition.from_dict(json.loads(archive.read("test.json")))
                conditions = list(enumerate(definition.conditions))
                of = {
                    item: {name: _read(archive.read(f"sounds/{n}-{m}.flac")) for m, name in conditions}
                    for n, item in enumerate(definition.items)
                }
        except FileNotFoundError:
            raise LabError(f"There is no listening test {path}; check the name and the folder.") from None
        except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError, OSError):
            raise LabError(f"{path} is no listening test, or is damaged; ask for the file again.") from None
        found = Sounds(of, definition.rate)
        if found.digests() != definition.digests:
            raise LabError(f"The sounds of {path} are not those that the test was made of; ask for the file again.")
        return cls(definition, found)

    def __repr__(self) -> str:
        d = self.definition
        kind = "sequential abx" if d.sequential else d.kind
        most = "at most " if d.sequential else ""
        return f"ListeningTest({kind}: {', '.join(d.conditions)}; {len(d.items)} items, {most}{d.trials} trials)"


def abx(given: Sounds, trials: int = 16, *, seed: int = 0, sequential: Sprt | None = None, question: str = "") -> (
    ListeningTest
):  # fmt: skip
    """Blind ABX of two conditions: X is one of them, and the listener says which.

    trials: in all; every item is heard about equally often. sequential: stop as soon as this knows, after `trials` at
    the latest. Raises LabError unless there are two conditions.
    """
    return _made(ABX, given, trials, seed=seed, sequential=sequential, question=question)


def preference(
    given: Sounds, rounds: int = 2, *, tie: bool = False, seed: int = 0, question: str = ""
) -> ListeningTest:
    """Blind preference: every two conditions of every item, once a round; over two rounds in either order.

    tie: whether "no difference" is an answer.
    """
    pairs = len(given.conditions) * (len(given.conditions) - 1) // 2
    return _made(PREFERENCE, given, _count(rounds) * len(given.items) * pairs, tie=tie, seed=seed, question=question)


def mushra(
    given: Sounds, reference: str, *, anchors: bool = True, rounds: int = 1, seed: int = 0, question: str = ""
) -> ListeningTest:
    """MUSHRA after ITU-R BS.1534-3: an open reference, and in random order its hidden copy, two low-pass anchors and
    the other conditions, each to be scored from 0 to 100.

    reference: the condition that the others are measured by. Where it is speech of the same system with more work
    ("most steps, fp32"), scores say how much others fall short of it: degradation, not naturalness. anchors: without
    them scores of different listeners and tests share no scale. Raises LabError for more than 12 sounds a trial.
    """
    if reference not in given.conditions:
        raise LabError(f"There is no condition {reference!r}; there are {', '.join(given.conditions)}.")
    if taken := set(given.conditions) & {LOW, MID}:
        raise LabError(f"{taken.pop()!r} is the name of an anchor; call the condition something else.")
    found = given.with_anchors(reference) if anchors else given
    named = {short: name for short, name in SHORT.items() if anchors}
    trials = _count(rounds) * len(given.items)
    return _made(MUSHRA, found, trials, reference=reference, seed=seed, question=question, **named)


def _made(kind: str, given: Sounds, trials: int, **more: Any) -> ListeningTest:
    definition = Definition(kind, given.items, given.conditions, given.digests(), given.rate, trials, **more)
    return ListeningTest(definition, given)


def _count(rounds: int) -> int:
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise LabError(f"rounds must be a whole number of at least 1, but is {rounds!r}.")
    return rounds


def _flac(samples: Tensor, rate: int) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, (samples * STEPS).short().numpy(), rate, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def _read(data: bytes) -> Tensor:
    import soundfile

    values, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    return torch.from_numpy(values).float() / STEPS
