"""How well the bundled voice is understood and how good it sounds: by evaluations of the model, solver, number format.

    python benchmarks/voice_quality.py                               40 held-out sentences, 1 to 32 evaluations
    python benchmarks/voice_quality.py --corpus CORPUS               the teacher's own figures, and how far from it
    python benchmarks/voice_quality.py --corpus CORPUS --grid        4, 8, 16 evaluations x 3 solvers x 3 formats too
    python benchmarks/voice_quality.py --evaluations 2,4,8,16 --guidance 1     with guidance: half the steps
    python benchmarks/voice_quality.py --times                       only the seconds of what was judged
    python benchmarks/voice_quality.py --evaluations 8,16 --guidance 1.5 --sentences 10 --out trial.json

Prints a table and writes every row behind it (text, what was heard, errors, rating) to `data/measured/`. A setting
that the file holds already, measured on the same voice, sentences and judges, is not measured again (`--again` does;
so does a first `--corpus` for what was measured without one).
A part of the sentences is written nowhere but to `--out`. Copy synthesis: the teacher's mel through the vocoder.
With a corpus, each sentence is compared with the teacher's recording: mel-cepstral distance after dynamic time warping,
and error and correlation of F0 on the same path (`tts_lab/experiments/teacher.py`). Tones are told from the pitch of
each syllable by a small classifier (`tts_lab/experiments/tones.py`), which knows no words as a recogniser does.
Formats: fp32, bf16 (where the processor has units for it), and int8 (weights in eight bits, computing in fp32). Not
fp16: see LEFT_OUT.

Score sound files that exist already, named by sentence id (`<id>.wav` or `.flac`), against a corpus's sentences:

    python benchmarks/voice_quality.py --wavs FOLDER --corpus CORPUS [--split test|dev|train|any] [--out scores.json]

Needs the extra `judges`. Where the package is not installed: `PYTHONPATH=. python benchmarks/voice_quality.py ...`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from environment import ROOT, command, counts, environment, positive, today, write_json
from quality_book import (
    FORMATS,
    LEFT_OUT,
    Book,
    Heard,
    Produce,
    digest,
    entry_of,
    name_of,
    progress,
    vocoder_setting,
    voice_digest,
)
from tts_lab.errors import LabError
from tts_lab.experiments import judges as judging
from tts_lab.experiments import quality
from tts_lab.experiments.lent import as_on_a_card
from tts_lab.experiments.quality import Row, Sentence
from tts_lab.experiments.quality_table import by_settings, by_voices, by_ways, markdown
from tts_lab.experiments.teacher import Teacher
from tts_lab.experiments.tones import judged_speech
from tts_lab.processor import computes
from tts_lab.recipe import Recipe, choices

HELDOUT = ROOT / "benchmarks" / "heldout.json"
RESULT = ROOT / "data" / "measured" / "quality-mini.json"
SOLVERS = ("euler", "midpoint", "adams")
GRID = (4, 8, 16)  # evaluations that each of the three solvers can have with guidance


def main(arguments: Sequence[str] | None = None) -> None:
    args = _arguments(arguments)
    try:
        if not args.times:
            judging.require()
        _threads(args.threads)
        if args.times:
            time_voice(args)
        else:
            score_files(args) if args.wavs else score_voice(args)
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def score_files(args: argparse.Namespace) -> None:
    """Judge sound files against the sentences they are named by, and print a table by voice."""
    sentences = quality.load_sentences(args.corpus or HELDOUT, None if args.split == "any" else args.split)
    sounds = list(quality.recorded(chosen(sentences, args.voice, None), args.wavs))[: args.sentences]
    judges = quality.Judges(args.threads or 1)
    rows = [judges.hear(sentence, samples, rate) for sentence, samples, rate in progress(sounds, args.wavs.name)]
    figures = quality.by_voice(rows)
    print(markdown(by_voices(figures)))
    if args.out:
        entry = entry_of("files", {"folder": str(args.wavs)}, rows)
        write_json(args.out, {**entry, "judges": judging.versions()})


def score_voice(args: argparse.Namespace) -> None:
    """Judge the voice setting by setting; the result is written after each."""
    from tts_lab.systems import load_system

    sentences = chosen(quality.load_sentences(HELDOUT, args.split), args.voice, args.sentences)
    out = args.out or (None if args.voice or args.sentences or args.split != "test" else RESULT)
    recipes = computed(ways(args))
    system = load_system(args.system, "cpu")
    judges = quality.Judges(args.threads or 1)
    teacher = Teacher(args.corpus) if args.corpus else None
    origin = {"voice": voice_digest(), "sentences": digest(sorted(s.id for s in sentences)), **judging.versions()}
    book = Book(out, origin, again=args.again, teacher=teacher)
    quality.speak(system, sentences[0], next(iter(recipes.values())))  # warm-up: dictionaries, kernels
    for name, setting, produce in _teacher(teacher, system, args) if teacher else ():
        book.measure(name, setting, sentences, judges, produce)
    for name, recipe in recipes.items():
        count = recipe.evaluations_per_chunk
        setting = {"evaluations": count, "guidance": recipe.guidance, "seed": args.seed, "recipe": recipe.to_dict()}
        produce = _speaking(in_force(system, recipe), recipe, args.seed)
        book.measure(name, setting | vocoder_setting(recipe), sentences, judges, produce)
    print(markdown(by_settings(book.entries())), markdown(by_ways(book.entries())), sep="\n\n")
    print(f"\nEvery row is in {out}." if out else "\nNot written: name a file with --out to keep the rows.")


def time_voice(args: argparse.Namespace) -> None:
    """Speak again what the result holds of the ways that are asked for.

    Puts the seconds it took in place of those of the day it was judged, when the judges and perhaps others were at work
    on the same processor. What was heard and rated stays.
    """
    from tts_lab.systems import load_system

    sentences = {s.id: s for s in quality.load_sentences(HELDOUT, args.split)}
    path = args.out or RESULT
    result = json.loads(path.read_text(encoding="utf-8"))
    system = load_system(args.system, "cpu")
    asked = ways(args)
    for entry in result["settings"]:
        if entry["name"] not in asked:
            continue
        recipe = Recipe.from_dict(entry["recipe"])
        speaker = in_force(system, recipe)
        quality.speak(speaker, next(iter(sentences.values())), recipe)  # warm-up
        rows = [
            replace(row, cost=quality.speak(speaker, sentences[row.id], recipe, entry["seed"])[2])
            for row in progress([Row.from_dict(row) for row in entry["rows"]], entry["name"])
        ]
        entry["figures"], entry["rows"] = quality.by_voice(rows), [asdict(row) for row in rows]
        entry["timed"] = {"command": command(), "date": today(), "environment": environment()}
        write_json(path, result)
    print(markdown(by_settings(result["settings"])))


def ways(args: argparse.Namespace) -> dict[str, Recipe]:
    """The recipes that are asked for, by name; with `--grid` those of the grid after them."""
    plain = Recipe()
    own = (args.solver or (plain.solver,), args.schedule or (plain.schedule,), args.formats, args.evaluations)
    grids = [own, (SOLVERS, (plain.schedule,), tuple(FORMATS), GRID)] if args.grid else [own]
    found: dict[str, Recipe] = {}
    for solvers, schedules, formats, numbers in grids:
        for vocoder, solver, schedule, name in product(args.vocoder, solvers, schedules, formats):
            base = _base(args).replace(vocoder=vocoder, solver=solver, schedule=schedule, **FORMATS[name])
            rungs = quality.ladder(numbers, base)
            whole = {n: r if r.steps > 1 else r.replace(schedule=plain.schedule) for n, r in rungs.items()}
            found |= {name_of(count, recipe): recipe for count, recipe in whole.items()}
    return found


def computed(recipes: dict[str, Recipe]) -> dict[str, Recipe]:
    """Those whose number format this processor computes: what fp32 makes must not be called bf16.

    Raises LabError where none is left.
    """
    found = {name: recipe for name, recipe in recipes.items() if computes(recipe.precision)}
    if len(found) < len(recipes):
        left = ", ".join(name for name in recipes if name not in found)
        note = f"Not measured, because this processor has no units for bf16 and computes it in fp32: {left}."
        if not found:
            raise LabError(note)
        print(note, file=sys.stderr)
    return found


def in_force(system: Any, recipe: Recipe) -> Any:
    """The system as it computes with the recipe's weights: on a CPU they stay as they are where nothing is lent."""
    return system if recipe.quantisation == "none" else as_on_a_card(system)


def _teacher(teacher: Teacher, system: Any, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, str], Produce]]:
    """The corpus's own recordings, as they are and through each vocoder alone."""

    def own(sentence: Sentence) -> Heard:
        samples, rate = teacher.recording(sentence)
        return samples, rate, {}, teacher.tones(sentence, samples, rate)

    def copied(recipe: Recipe, sentence: Sentence) -> Heard:
        samples, rate = quality.copy_synthesis(system, sentence, *teacher.recording(sentence), recipe)
        return samples, rate, {}, teacher.tones(sentence, samples, rate)

    yield "teacher", {}, own
    for recipe in (Recipe(vocoder=name) for name in args.vocoder):
        other = "" if recipe.vocoder == Recipe().vocoder else f", {recipe.vocoder} vocoder"
        yield f"copy synthesis{other}", vocoder_setting(recipe), partial(copied, recipe)


def _speaking(system: Any, recipe: Recipe, seed: int) -> Produce:
    def speaking(sentence: Sentence) -> Heard:
        speech = quality.spoken(system, sentence, recipe, seed)
        return speech.samples, speech.sample_rate, quality.cost_of(speech), judged_speech(speech)

    return speaking


def _base(args: argparse.Namespace) -> Recipe:
    levers = {k: getattr(args, k) for k in ("guidance", "temperature")}
    return Recipe().replace(**{k: v for k, v in levers.items() if v is not None})


def chosen(sentences: list[Sentence], voice: str | None, count: int | None) -> list[Sentence]:
    """Of one voice, or of all in turn, so that a few sentences are spread over the voices."""
    voices = sorted({s.voice for s in sentences})
    if voice is not None and voice not in voices:
        raise LabError(f"No sentence is read by {voice!r}; the voices are {', '.join(voices)}.")
    own = [[s for s in sentences if s.voice == v] for v in ([voice] if voice else voices)]
    if count is None:
        return [s for group in own for s in group]
    turns = [group[i] for i in range(max(map(len, own))) for group in own if i < len(group)]
    return turns[:count]


def _threads(count: int | None) -> None:
    import torch

    if count is not None:
        torch.set_num_threads(count)


def _list(known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """An option's names with commas between."""

    def names(text: str) -> tuple[str, ...]:
        wrong = [name for name in text.split(",") if name not in known]
        if wrong:
            why = LEFT_OUT.get(wrong[0], f"choose of {', '.join(known)}")
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} cannot be measured: {why}")
        return tuple(text.split(","))

    return names


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--evaluations", type=counts, default=list(quality.EVALUATIONS), help="such as 8,16")
    add("--guidance", type=float, help="strength; default: the recipe's")
    add("--solver", type=_list(choices("solver")), help="euler, midpoint, heun or adams, with commas between")
    add("--formats", type=_list(FORMATS), default=("fp32",), help="fp32, bf16, int8, with commas between")
    add("--grid", action="store_true", help="4, 8 and 16 evaluations by each solver in each format as well")
    add("--schedule", type=_list(choices("schedule")), help="leap, sway or uniform, with commas between")
    add("--vocoder", type=_list(choices("vocoder")), default=(Recipe().vocoder,), help="universal, small, or both")
    add("--temperature", type=float, help="of the semantic model's draws")
    add("--seed", type=int, default=0)
    add("--sentences", type=positive, help="so many, spread over the voices")
    add("--voice", help="sentences of this voice only")
    add("--split", default="test", help="test, dev, train or any (the last two with --wavs)")
    add("--corpus", type=Path, help="folder of the teacher's corpus")
    add("--wavs", type=Path, help="score the sound files in this folder instead of speaking")
    add("--system", default="mini")
    add("--threads", type=positive, help="of the CPU; default: all for speaking, one for the recogniser")
    add("--times", action="store_true", help="measure nothing but the seconds of what the file holds")
    add("--again", action="store_true", help="measure what the file holds already")
    add("--out", type=Path, help="JSON file for the result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
