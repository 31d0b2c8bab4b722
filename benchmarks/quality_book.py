"""The file of measured settings of a voice: what each is called, in which order they stand, what is measured anew."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from environment import command, environment, today, write_json
from tts_lab.errors import LabError
from tts_lab.experiments import quality
from tts_lab.experiments.quality import Row, Sentence
from tts_lab.experiments.quality_table import Table, number_format, only_steps, vocoder_of
from tts_lab.experiments.teacher import MEASURES, Teacher
from tts_lab.paths import voices_dir
from tts_lab.recipe import Recipe, choices
from tts_lab.systems.mini.checkpoint import FILE, VOCODER, sha256

WHAT = (
    "How well the bundled voice is understood and how good it sounds: "
    "by evaluations of the model, solver, number format."
)
FORMATS: dict[str, dict[str, str]] = {"fp32": {}, "bf16": {"precision": "bf16"}, "int8": {"quantisation": "int8"}}
LEFT_OUT = {"fp16": "A busy CPU takes a minute and more for a sentence (docs/LOG.md); benchmarks/heard.py compares it."}
Entry = dict[str, Any]
Heard = tuple[Any, int, dict[str, float], dict[str, int]]  # samples (s,), rate, cost, tones
Produce = Callable[[Sentence], Heard]


class Book:
    """Measured settings, kept in a file. Those of another voice, other sentences or judges (`origin`) are left out.

    teacher: whose recordings each sentence is compared with; what was measured without one is then measured again.
    """

    def __init__(
        self, path: Path | None, origin: dict[str, str], again: bool = False, teacher: Teacher | None = None
    ) -> None:
        self.path, self.origin, self.again, self.teacher = path, origin, again, teacher
        self._entries: dict[str, Entry] = {}
        if path is not None and path.exists():
            self._entries = self._read(path)

    def measure(
        self, name: str, setting: Entry, sentences: Sequence[Sentence], judges: quality.Judges, produce: Produce
    ) -> None:
        """Measure a setting and write it down, unless it is there already."""
        key = digest([name, setting])
        if key in self._entries and not self.again and self._is_complete(self._entries[key]):
            print(f"{name}: measured already", file=sys.stderr)
            return
        rows = [self._row(s, judges, produce(s)) for s in progress(sentences, name)]
        self._entries[key] = entry_of(name, setting, rows)
        if self.path is not None:
            content = {"what": WHAT, "origin": self.origin, "left_out": LEFT_OUT}
            write_json(self.path, {**content, "settings": self.entries()})

    def _row(self, sentence: Sentence, judges: quality.Judges, heard: Heard) -> Row:
        samples, rate, cost, tones = heard
        apart = self.teacher.apart(sentence, samples, rate) if self.teacher else {}
        return replace(judges.hear(sentence, samples, rate, cost), apart=apart, tones=tones)

    def _is_complete(self, entry: Entry) -> bool:
        figures = entry["figures"]["all"]
        return self.teacher is None or (MEASURES[0] in figures and ("tone_error" in figures or "recipe" not in entry))

    def entries(self) -> list[Entry]:
        """The teacher's first, then by solver, format, guidance and evaluations, the lab's default before others."""
        order = {"teacher": -2, "copy synthesis": -1}
        return sorted(
            self._entries.values(),
            key=lambda e: (
                order.get(e["name"].split(",")[0], 0),
                *_way(e),
                e.get("evaluations", 0) > 1 and abs(e["guidance"] - Recipe().guidance),
                e.get("evaluations", 0),
            ),
        )

    def _read(self, path: Path) -> dict[str, Entry]:
        try:
            book = json.loads(path.read_text(encoding="utf-8"))
            if book["origin"] != self.origin:
                print(f"{path} was measured on another voice, other sentences or judges: anew.", file=sys.stderr)
                return {}
            entries = [filled(entry) for entry in book["settings"] if _of_todays_vocoder(entry)]
            return {digest([e["name"], _setting(e)]): e for e in entries}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabError(f"{path} is not a result of this benchmark; move it away or name another --out.") from error


def voice_digest() -> str:
    """Hash of the bundled voice: figures belong to the weights that they were measured on."""
    return sha256(voices_dir() / FILE)


def vocoder_setting(recipe: Recipe) -> Entry:
    """What a setting says of its vocoder: nothing of the usual one, name and hash of the one that was taught here."""
    return {} if recipe.vocoder == Recipe().vocoder else {
        "vocoder": recipe.vocoder, "vocoder_weights": sha256(voices_dir() / VOCODER),
    }  # fmt: skip


def _of_todays_vocoder(entry: Entry) -> bool:
    return entry.get("vocoder_weights") in (None, sha256(voices_dir() / VOCODER))


def name_of(count: int, recipe: Recipe) -> str:
    """Evaluations, and what differs from the default recipe's solver, schedule, guidance, format and vocoder.

    A single evaluation has no guidance, whatever the recipe.
    """
    guidance = Recipe().guidance if count == 1 else recipe.guidance
    plain = (Recipe().solver, Recipe().schedule, _strength(Recipe().guidance), "fp32", f"{Recipe().vocoder} vocoder")
    own = (
        recipe.solver,
        recipe.schedule,
        _strength(guidance),
        number_format(recipe.to_dict()),
        f"{recipe.vocoder} vocoder",
    )
    return ", ".join(
        (f"{count} evaluation{'s' if count > 1 else ''}", *(o for o, p in zip(own, plain, strict=True) if o != p))
    )


def _strength(guidance: float) -> str:
    return f"guidance {guidance:g}" if guidance else "unguided"


def _way(entry: Entry) -> tuple[int, bool, int, int]:
    """Where vocoder, schedule (the default's first), solver and format come in the tables."""
    recipe = entry.get("recipe") or Recipe().to_dict()
    formats = [*FORMATS, *choices("precision")]
    return (
        choices("vocoder").index(vocoder_of(entry.get("recipe") or entry)),
        recipe["schedule"] != Recipe().schedule and recipe["steps"] > 1,
        choices("solver").index(recipe["solver"]),
        formats.index(number_format(recipe)),
    )


def entry_of(name: str, setting: Entry, rows: Sequence[Row]) -> Entry:
    where = {"command": command(), "date": today(), "environment": environment()}
    return {"name": name, **setting, **where, "figures": quality.by_voice(rows), "rows": [asdict(row) for row in rows]}


def filled(entry: Entry) -> Entry:
    """With the levers that came after it was measured, which then were as they are by default, and named as it would be
    today. A single step is every schedule's."""
    if "recipe" not in entry:
        return entry
    recipe = Recipe.from_dict(entry["recipe"])
    recipe = recipe.replace(schedule=Recipe().schedule) if recipe.steps == 1 else recipe
    return {**entry, "recipe": recipe.to_dict(), "name": name_of(entry["evaluations"], recipe)}


def _setting(entry: Entry) -> Entry:
    return {
        k: v
        for k, v in entry.items()
        if k in ("evaluations", "guidance", "seed", "recipe", "vocoder", "vocoder_weights")
    }


def digest(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def by_guidance(entries: Sequence[Entry]) -> Table:
    """What guidance of 1 does to the voice, at as much work and at as many steps; entries with rows."""
    guided, plain = (
        {e["evaluations"]: [Row.from_dict(row) for row in e["rows"]] for e in only_steps(entries, **levers) if _many(e)}
        for levers in ({"guidance": 1.0}, {})
    )
    work = [(guided[n], plain[n]) for n in guided if n in plain]
    steps = [(guided[2 * n], plain[n]) for n in plain if 2 * n in guided]
    rows = []
    for name, pairs in (("as many evaluations", work), ("as many steps, twice the evaluations", steps)):
        found = quality.compared(pairs)
        low, high = found["toneless_interval"]
        rated = ", ".join(f"{x:+.2f}" for x in found["mos_interval"])
        rows.append((name, f"{100 * found['toneless']:+.1f} ({100 * low:+.1f}, {100 * high:+.1f})",
                     f"{found['mos']:+.2f} ({rated})"))  # fmt: skip
    return ("guided, beside unguided at", "misheard, points (95 %)", "DistillMOS (95 %)"), rows


def _many(entry: Entry) -> bool:
    """Whether it is a way with guidance to have: a single evaluation has none, a recording no evaluations."""
    return bool(entry.get("evaluations", 0) > 1)


def progress(items: Iterable[Any], what: str) -> Iterable[Any]:
    from tqdm import tqdm

    return tqdm(items, desc=what, file=sys.stderr, unit="sentence", mininterval=1.0)
