"""Measuring a voice, sentence by sentence: speak or load, let the judges hear it, keep every row.

Axes: s samples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from tts_lab.audio import files
from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.audio.resample import resample
from tts_lab.errors import LabError, RecipeError
from tts_lab.experiments.judges import Rating, Recogniser
from tts_lab.experiments.scoring import Errors, compare, interval, rate
from tts_lab.pipeline import say
from tts_lab.recipe import CALLS_PER_STEP, Recipe
from tts_lab.types import Chunk, Mel, Request, Semantic, Speech, System

EVALUATIONS = (1, 2, 4, 8, 16, 32)
KINDS = ("toneless", "toned", "characters")


@dataclass(frozen=True)
class Sentence:
    """A sentence to judge by. pinyin: readings with surface tones, one a syllable; file: the teacher's own sound."""

    id: str
    text: str
    pinyin: tuple[str, ...]
    voice: str
    split: str
    file: str | None = None


@dataclass(frozen=True)
class Row:
    """What the judges say of one sentence.

    seconds: length of its sound; cost: seconds of work by stage and `all`; apart: from the teacher's recording
    (`teacher.MEASURES`); tones: how many syllables' tones were told from the pitch, and how many of them were wrong
    (`tones.judged`). Empty where that was not measured.
    """

    id: str
    voice: str
    text: str
    hypothesis: str
    errors: Errors
    mos: float
    seconds: float
    cost: dict[str, float] = field(default_factory=dict)
    apart: dict[str, float] = field(default_factory=dict)
    tones: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Row:
        return cls(**{**data, "errors": Errors(**data["errors"])})


class Judges:
    """The recogniser and the rating together. Raises LabError where the extra `judges` is not installed."""

    def __init__(self, threads: int = 1) -> None:
        self._recogniser, self._rating = Recogniser(threads), Rating()

    def hear(self, sentence: Sentence, samples: Tensor, rate: int, cost: dict[str, float] | None = None) -> Row:
        """Judge (s,) sound at `rate` Hz that was to say the sentence."""
        hypothesis = self._recogniser.transcribe(samples, rate)
        errors = compare(sentence.text, hypothesis, sentence.pinyin)
        mos = round(self._rating.rate(samples, rate), 3)
        seconds = round(samples.shape[-1] / rate, 3)
        return Row(sentence.id, sentence.voice, sentence.text, hypothesis, errors, mos, seconds, cost or {})


def load_sentences(path: Path, split: str | None = "test") -> list[Sentence]:
    """Sentences of one split (None: of all) from a JSON list, a JSONL manifest, or a corpus folder that holds one.

    Raises LabError where there is no such file, or none of that split in it.
    """
    path = path / "manifest.jsonl" if path.is_dir() else path
    try:
        text = path.read_text(encoding="utf-8")
        rows = [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)
        rows = rows["sentences"] if isinstance(rows, dict) else rows
        every = [_sentence(row) for row in rows]
    except OSError as error:
        raise LabError(f"The sentences in {path} cannot be read ({error.strerror}); name an existing file.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"{path} does not hold sentences with id, text, pinyin, speaker and split ({error!r})."
        ) from None
    found = [sentence for sentence in every if split in (None, sentence.split)]
    if not found:
        has = ", ".join(sorted({sentence.split for sentence in every})) or "nothing"
        raise LabError(f"{path} holds no sentence of the split {split!r}; it has {has}.")
    return found


def _sentence(row: dict[str, Any]) -> Sentence:
    pinyin = row["pinyin"].split() if isinstance(row["pinyin"], str) else row["pinyin"]
    speaker = row["speaker"] if "speaker" in row else row["voice"]
    voice = re.sub(r"^z[fm]_", "", speaker)  # the corpus writes language and sex before the voice's name
    return Sentence(row["id"], row["text"], tuple(pinyin), voice, row["split"], row.get("file"))


def recorded(sentences: Sequence[Sentence], folder: Path) -> Iterator[tuple[Sentence, Tensor, int]]:
    """Sound files of a folder that are named by a sentence's id, as (sentence, (s,) samples, rate).

    Raises LabError where the folder has none of them.
    """
    if not folder.is_dir():
        raise LabError(f"There is no folder {folder}; name one that holds sound files called by sentence id.")
    known = {s.id: s for s in sentences}
    paths = [p for p in sorted(folder.iterdir()) if p.stem in known and p.suffix.lower() in files.FORMATS]
    if not paths:
        raise LabError(
            f"No sound file in {folder} is named by the id of a sentence, such as {sentences[0].id}.wav; "
            "name them so, or choose the split that they belong to."
        )
    return ((known[path.stem], *files.read(path)) for path in paths)


def ladder(evaluations: Iterable[int], base: Recipe) -> dict[int, Recipe]:
    """A recipe for each number of model evaluations, as near to `base` as it can be.

    A step takes one evaluation (midpoint and heun two), twice that with guidance; a single evaluation is one Euler
    step without guidance, whatever the base. Raises RecipeError for a number that cannot be reached exactly.
    """
    return {wanted: _rung(wanted, base) for wanted in evaluations}


def _rung(wanted: int, base: Recipe) -> Recipe:
    if wanted == 1:
        return base.replace(steps=1, guidance=0.0, solver="euler", guidance_mode="batched")
    for steps in range(1, wanted + 1):
        recipe = base.replace(steps=steps)
        if recipe.evaluations_per_chunk == wanted:
            return recipe
    if base.guidance > 0 and base.guidance_mode == "alternate":
        raise RecipeError(f"{wanted} evaluations cannot be had with alternating guidance; ask for 2, 8, 17 or 32.")
    each = CALLS_PER_STEP[base.solver] * (2 if base.guidance > 0 else 1)
    raise RecipeError(
        f"{wanted} evaluations cannot be had: a step of {base.solver} with guidance {base.guidance:g} takes "
        f"{each}; ask for 1 or a multiple of {each}."
    )


def speak(system: System, sentence: Sentence, recipe: Recipe, seed: int = 0) -> tuple[Tensor, int, dict[str, float]]:
    """The sentence by the voice that reads it in the corpus, through the public pipeline: (s,) samples, rate, cost."""
    speech = spoken(system, sentence, recipe, seed)
    return speech.samples, speech.sample_rate, cost_of(speech)


def spoken(system: System, sentence: Sentence, recipe: Recipe, seed: int = 0) -> Speech:
    """The same as a Speech, with its pieces."""
    return say(system, Request(sentence.text, voice=sentence.voice, seed=seed), recipe)


def cost_of(speech: Speech) -> dict[str, float]:
    """Seconds of work by stage, and of `all`."""
    cost = {**speech.receipt.stages, "all": speech.receipt.wall_seconds}
    return {name: round(seconds, 4) for name, seconds in cost.items()}


def copy_synthesis(
    system: System, sentence: Sentence, samples: Tensor, rate: int, recipe: Recipe | None = None
) -> tuple[Tensor, int]:
    """A recording's mel through the system's vocoder: the best that any acoustic model in front of it could do.

    samples: (s,) at `rate` Hz. The system must use the 22.05 kHz mel.
    """
    values = log_mel(resample(samples, rate, MEL_22K.sample_rate), MEL_22K)
    semantic = Semantic(Chunk(sentence.text, 0, 0), (), (), values.shape[-1])
    with torch.inference_mode():
        wave = system.vocoder(Mel(values, MEL_22K.sample_rate, MEL_22K.hop_length, 0, semantic), recipe or Recipe())
    return wave.samples[0], wave.sample_rate


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of many rows: error rates pooled over sentences with a 95 % bootstrap interval, MOS, cost per second.

    `real_time_factor` and `vocoder_real_time_factor` only where the rows have costs.
    """
    errors = [row.errors for row in rows]
    out: dict[str, Any] = {"sentences": len(rows), "syllables": sum(e.syllables for e in errors)}
    for kind in KINDS:
        out[kind] = round(rate(errors, kind), 5)
        out[f"{kind}_interval"] = [round(x, 5) for x in interval(errors, _rater(kind))]
    out["mos"] = round(fmean(row.mos for row in rows), 3)
    out["mos_interval"] = [round(x, 3) for x in interval(rows, lambda drawn: fmean(row.mos for row in drawn))]
    out["mos_lowest"] = min(row.mos for row in rows)
    out["seconds"] = round(sum(row.seconds for row in rows), 2)
    for name, stage in (("real_time_factor", "all"), ("vocoder_real_time_factor", "vocoder")):
        if all(stage in row.cost for row in rows):
            out[name] = round(sum(row.cost[stage] for row in rows) / sum(row.seconds for row in rows), 4)
    return out | _apart(rows) | _tones(rows)


def compared(pairs: Sequence[tuple[Sequence[Row], Sequence[Row]]]) -> dict[str, Any]:
    """What the first of two ways has more of than the second, over all pairs together: misheard syllables (`toneless`,
    a share) and rating (`mos`), each with its 95 % interval.

    pairs: rows of the same sentences, in any order. A sentence is drawn with all that was made of it (`interval`), so
    what makes it easy or hard in every way does not widen the interval.
    """
    named = [({row.id: row for row in first}, {row.id: row for row in second}) for first, second in pairs]
    sentences = [[(first[row.id], second[row.id]) for first, second in named] for row in pairs[0][0]]

    def misheard(drawn: Sequence[list[tuple[Row, Row]]]) -> float:
        both = [pair for sentence in drawn for pair in sentence]
        return rate([a.errors for a, _ in both], "toneless") - rate([b.errors for _, b in both], "toneless")

    def rated(drawn: Sequence[list[tuple[Row, Row]]]) -> float:
        return fmean(a.mos - b.mos for sentence in drawn for a, b in sentence)

    return {
        "toneless": misheard(sentences), "toneless_interval": interval(sentences, misheard),
        "mos": rated(sentences), "mos_interval": interval(sentences, rated),
    }  # fmt: skip


def _apart(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over sentences of what all of them have, with intervals."""
    found: dict[str, Any] = {}
    for name in rows[0].apart:
        values = [row.apart[name] for row in rows if name in row.apart]
        if len(values) == len(rows):
            found[name] = round(fmean(values), 3)
            found[f"{name}_interval"] = [round(x, 3) for x in interval(values, fmean)]
    return found


def _tones(rows: Sequence[Row]) -> dict[str, Any]:
    """Share of wrong tones over all sentences together, with its interval."""
    if not all(row.tones for row in rows):
        return {}
    low, high = interval(rows, _tone_error)
    return {
        "tone_syllables": sum(row.tones["syllables"] for row in rows),
        "tone_error": round(_tone_error(rows), 5), "tone_error_interval": [round(low, 5), round(high, 5)],
    }  # fmt: skip


def _tone_error(rows: Sequence[Row]) -> float:
    return sum(row.tones["wrong"] for row in rows) / max(sum(row.tones["syllables"] for row in rows), 1)


def _rater(kind: str) -> Callable[[Sequence[Errors]], float]:
    return lambda rows: rate(rows, kind)


def by_voice(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """`summary` for each voice, and for `all`."""
    voices = {voice: [row for row in rows if row.voice == voice] for voice in sorted({row.voice for row in rows})}
    return {voice: summary(own) for voice, own in {**voices, "all": list(rows)}.items()}
