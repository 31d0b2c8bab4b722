"""The teacher's own recordings of the sentences that a voice is judged by, and how far a voice is from them.

A voice that was distilled from a teacher times its syllables in its own way, so frames are paired by dynamic time
warping of the cepstra (mel-cepstral distance after warping, MCD-DTW in the field). The teacher's durations are not
forced upon it: what is judged is the voice as it speaks. Pauses of the teacher do not count.

Axes: s samples.
"""

from __future__ import annotations

import json
from itertools import accumulate
from pathlib import Path
from typing import Any

from torch import Tensor

from tts_lab.audio import files
from tts_lab.errors import LabError
from tts_lab.experiments.distances import Features, distance, features
from tts_lab.experiments.quality import Sentence, load_sentences
from tts_lab.experiments.tones import Timed, judged

LEAD_SECONDS = 0.05  # the teacher's sound runs ahead of its own alignment by this (training/README.md)
MEASURES = ("mel_cepstral_db", "f0_cents", "f0_correlation")


class Teacher:
    """A corpus with a recording of each sentence. Raises LabError where it cannot be read."""

    def __init__(self, corpus: Path) -> None:
        self._corpus = corpus
        self._folder = corpus if corpus.is_dir() else corpus.parent
        self._files = {s.id: s.file for s in load_sentences(corpus, None)}
        self._features: dict[str, Features] = {}
        self._timed: dict[str, tuple[Timed, ...]] | None = None

    def recording(self, sentence: Sentence) -> tuple[Tensor, int]:
        """(s,) samples and their rate. Raises LabError where the corpus has none."""
        file = self._files.get(sentence.id)
        if not file:
            raise LabError(
                f"{self._corpus} has no recording of sentence {sentence.id}; name the corpus the voice learnt from."
            )
        return files.read(self._folder / file)

    def apart(self, sentence: Sentence, samples: Tensor, rate: int) -> dict[str, float]:
        """How far (s,) sound at `rate` Hz is from the recording: those of MEASURES that can be told."""
        if sentence.id not in self._features:
            self._features[sentence.id] = features(*self.recording(sentence))
        found = distance(features(samples, rate), self._features[sentence.id])
        values = zip(MEASURES, (found.mel_cepstral, found.f0_cents, found.f0_correlation), strict=True)
        return {name: round(value, 3) for name, value in values if value is not None}

    def tones(self, sentence: Sentence, samples: Tensor, rate: int) -> dict[str, int]:
        """Of (s,) sound at `rate` Hz with the recording's timing: syllables whose tone can be told from their pitch,
        and how many of them were wrong. Empty where the corpus does not say when each syllable is spoken."""
        if self._timed is None:
            manifest = self._folder / "manifest.jsonl"
            lines = manifest.read_text(encoding="utf-8").splitlines() if manifest.exists() else []
            rows = [json.loads(line) for line in lines]
            self._timed = {row["id"]: syllables_of(row) for row in rows if "durations_s" in row}
        timed = self._timed.get(sentence.id)
        return judged(samples, rate, timed) if timed else {}


def syllables_of(entry: dict[str, Any]) -> tuple[Timed, ...]:
    """The syllables of a line of the corpus's manifest, where they are in the sound."""
    edges = [0.0, *accumulate(entry["durations_s"])]
    return tuple(
        Timed(int(s["pinyin"][-1]), edges[s["token_start"]] - LEAD_SECONDS, edges[s["token_end"]] - LEAD_SECONDS)
        for s in entry["syllables"]
    )
