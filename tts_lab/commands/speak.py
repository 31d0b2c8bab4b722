"""`tts-lab speak`: a text into a sound file, with a receipt for people or for programs, and a picture.

torch takes seconds to import, so it waits until the recipe and the text are known to be good.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts_lab.commands.console import complain, given_text, load
from tts_lab.errors import OutputError, RecipeError, VoiceError

if TYPE_CHECKING:
    from tts_lab.receipt import Receipt
    from tts_lab.recipe import Recipe
    from tts_lab.types import Request, System, Wave

PICTURE_SECONDS = 60.0  # a picture of more sound than this shows nothing, and keeping it all would cost memory


@dataclass(frozen=True)
class Question:
    """What is asked, as the command line gives it.

    levers: to move in the recipe; None leaves one where it is. moved: further ones, as `lever=value`. fit: choose the
    recipe by the card instead.
    manner: what a Request takes beside its text, emotion_weights still as one string of numbers.
    """

    text: str | None
    text_file: str | None
    system: str
    weights: str | None
    device: str
    recipe: str
    levers: Mapping[str, Any]
    moved: Sequence[str]
    fit: bool
    manner: Mapping[str, Any]


@dataclass(frozen=True)
class Output:
    """Where the answer goes. mel: a picture, or none. quiet: no receipt and no progress."""

    sound: Path
    mel: Path | None
    as_json: bool
    quiet: bool


def run(question: Question, output: Output) -> None:
    """Speak into the file, draw, report. Raises LabError for bad input, as early as it can be told."""
    chosen = _recipe(question)
    words = given_text(question.text, question.text_file)
    _check_outputs(output)
    system = load(question.system, question.device, output.quiet, question.weights)
    request = _request(words, question.manner)
    recipes = _fitted(system, request, output.quiet) if question.fit else (chosen,)
    kept: list[Wave] = []
    receipt = _speak(system, request, recipes, output, kept)
    if output.mel is not None:
        _draw(kept, output.mel, receipt.recipe)
    _report(receipt, output)


def _recipe(question: Question) -> Recipe:
    from tts_lab.commands.moving import moved
    from tts_lab.recipe import Recipe

    levers = {lever: value for lever, value in question.levers.items() if value is not None}
    if question.fit and (question.recipe != "default" or levers or question.moved):
        raise RecipeError(
            "--fit chooses the recipe itself; leave out --recipe, --set, --steps, --solver and --guidance."
        )
    return moved(Recipe.find(question.recipe).replace(**levers), question.moved)


def _check_outputs(output: Output) -> None:
    """Find an unwritable output now, not after minutes of work. 22,050 Hz: any rate that every format has."""
    from tts_lab.audio.files import check_writable

    check_writable(output.sound, 22_050)
    if output.mel is not None:
        try:
            from tts_lab.show.plots import check_picture
        except ModuleNotFoundError as error:
            raise OutputError(
                f"--mel needs {error.name}, which is not installed; run ./lab once to install it."
            ) from None
        check_picture(output.mel)


def _request(words: str, manner: Mapping[str, Any]) -> Request:
    from tts_lab.types import Request

    return Request(words, **{**manner, "emotion_weights": _numbers(manner["emotion_weights"])})


def _numbers(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(part) for part in text.split(","))
    except ValueError:
        raise VoiceError(
            f"--emotion-weights wants numbers with commas between, such as 0,0,0.5, not {text!r}."
        ) from None


def _fitted(system: System, request: Request, quiet: bool) -> tuple[Recipe, ...]:
    from tts_lab.experiments.fitting import fit

    found = fit(system.name, request, str(getattr(system, "device", "cpu")))
    if not quiet:
        print(found.sentence, file=sys.stderr)
    return found.recipes


def _speak(system: System, request: Request, recipes: tuple[Recipe, ...], output: Output, kept: list[Wave]) -> Receipt:
    """Speak with the first recipe, the others to step down to; keep the waves of the picture."""
    from tts_lab.pipeline import speak_to_file

    with _progress(len(request.text), output.quiet) as advance:
        keep = _both(advance, kept, keep=output.mel is not None)
        return speak_to_file(system, request, output.sound, recipes[0], on_wave=keep, fallbacks=recipes[1:])


@contextmanager
def _progress(characters: int, quiet: bool) -> Iterator[Callable[[Wave], None]]:
    """A bar on stderr that counts characters spoken, where a person is watching. Yields what to call with each wave."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("speaking", total=characters)
        seconds = 0.0

        def advance(wave: Wave) -> None:
            nonlocal seconds
            seconds += wave.seconds
            bar.update(task, advance=len(wave.mel.semantic.chunk.text), description=f"{seconds:.0f} s of speech")

        yield advance


def _both(advance: Callable[[Wave], None], kept: list[Wave], keep: bool) -> Callable[[Wave], None]:
    def on_wave(wave: Wave) -> None:
        advance(wave)
        if keep and sum(w.seconds for w in kept) < PICTURE_SECONDS:
            kept.append(wave)

    return on_wave


def _draw(waves: list[Wave], path: Path, recipe: Recipe) -> None:
    from tts_lab.show.plots import mel_figure, save

    save(mel_figure(waves, crossfade_ms=recipe.crossfade_ms), path)


def _report(receipt: Receipt, output: Output) -> None:
    if output.as_json:
        files = {"out": str(output.sound), "mel": None if output.mel is None else str(output.mel)}
        print(json.dumps({**receipt.to_dict(), "process_seconds": _process_seconds(), **files}, ensure_ascii=False))
    elif not output.quiet:
        from rich.console import Console

        console = Console()
        console.print(receipt.table())
        written = f"{output.sound} and {output.mel}" if output.mel else f"{output.sound}"
        console.print(
            f"Wrote {written}; {_process_seconds():.1f} s since the command began.", markup=False, highlight=False
        )
    elif receipt.unknown:
        complain(f"Not spoken: {' '.join(receipt.unknown)}")


def _process_seconds() -> float:
    """Seconds since this process began: start-up and loading included."""
    import psutil

    return round(time.time() - psutil.Process().create_time(), 3)
