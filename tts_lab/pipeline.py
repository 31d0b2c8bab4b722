"""The spine: text in, speech out, one chunk at a time.

Axes: b batch (1 here), s samples.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from tts_lab.audio.files import AudioWriter
from tts_lab.audio.join import concatenate, crossfade
from tts_lab.errors import LabError, RecipeError, TextError, VoiceError
from tts_lab.memory.host import give_back_free_memory
from tts_lab.memory.meter import Meter, NullMeter, TimeMeter, peak_process_bytes
from tts_lab.nearest import did_you_mean
from tts_lab.receipt import Receipt, Spoken, environment
from tts_lab.recipe import Recipe
from tts_lab.types import Chunk, Prompt, Request, Speech, Wave

if TYPE_CHECKING:
    from tts_lab.types import System

SLOWEST, FASTEST = 0.5, 2.0  # speaking rate relative to the voice's own
LAST_SEED = 2**63 - 1

T = TypeVar("T")
OnWave = Callable[[Wave], None]
OnPrompt = Callable[[Prompt], None]


def speak(
    system: System,
    request: Request,
    recipe: Recipe,
    meter: Meter | None = None,
    on_prompt: OnPrompt | None = None,
) -> Iterator[Wave]:
    """Speak a request chunk by chunk: yields one Wave each, as soon as it is made.

    on_prompt: called with the voice once it is known. Raises LabError (at the first `next`) where the request cannot be
    spoken.
    """
    meter = meter or NullMeter()
    request = checked(system, request)
    with _stage(meter, "speaker"):
        prompt = system.speaker(request, recipe)
    if on_prompt:
        on_prompt(prompt)
    for chunk in system.split(request, recipe):
        yield speak_chunk(system, chunk, prompt, recipe, meter)


def speak_chunk(system: System, chunk: Chunk, prompt: Prompt, recipe: Recipe, meter: Meter) -> Wave:
    """The three stages that speak one chunk."""
    with _stage(meter, "semantic"):
        tokens = system.semantic(chunk, prompt, recipe)
    with _stage(meter, "acoustic"):
        mel = system.acoustic(tokens, prompt, recipe)
    with _stage(meter, "vocoder"):
        return system.vocoder(mel, recipe)


@contextmanager
def _stage(meter: Meter, name: str) -> Iterator[None]:
    """One stage, without autograd. Inference mode must end before the spine yields, or it leaks into the caller."""
    with torch.inference_mode(), meter.stage(name):
        yield


def speak_down(
    system: System, request: Request, recipes: Sequence[Recipe], meter: Meter | None = None,
    on_prompt: OnPrompt | None = None,
) -> Iterator[tuple[Wave, Recipe]]:  # fmt: skip
    """`speak` with recipes to step down to: where the card runs out of memory, the next one goes on at the same chunk.

    Yields each wave with the recipe that spoke it. What is spoken stays; seeds are those of the chunks, whatever the
    recipe. A chunk that is longer than the new recipe's pieces is cut again. Raises LabError where even the last recipe
    runs out of memory; a single recipe's torch.OutOfMemoryError is passed on.
    """
    meter, request, descent = meter or NullMeter(), checked(system, request), _Descent(system, recipes)

    def listen(recipe: Recipe) -> Prompt:
        with _stage(meter, "speaker"):
            return system.speaker(request, recipe)

    prompt = descent.run(listen)
    if on_prompt:
        on_prompt(prompt)
    for chunk in system.split(request, recipes[0]):
        waiting = [chunk]
        while waiting:
            waiting[:1] = _cut(system, request, waiting[0], recipes[0], descent.recipe)
            wave = descent.attempt(partial(speak_chunk, system, waiting[0], prompt, meter=meter))
            if wave is not None:
                waiting.pop(0)
                yield wave, descent.recipe


class _Descent:
    """Recipes, one after the other as memory runs out."""

    def __init__(self, system: System, recipes: Sequence[Recipe]) -> None:
        self.system, self.recipes, self.at = system, recipes, 0

    @property
    def recipe(self) -> Recipe:
        return self.recipes[self.at]

    def attempt(self, work: Callable[[Recipe], T]) -> T | None:
        """What `work` gives; None where memory ran out and the next recipe's turn has come."""
        try:
            return work(self.recipe)
        except torch.OutOfMemoryError as error:
            if len(self.recipes) == 1:
                raise
            if self.at + 1 == len(self.recipes):
                raise LabError(
                    f"The card ran out of memory with all {len(self.recipes)} recipes, the last being "
                    f"{self.recipe.name}; close what else uses the card, or speak a shorter piece."
                ) from error
        # Only here has the error let go of the tensors of the run that failed.
        self.at += 1
        home = getattr(self.system, "home", None)
        if home is not None:
            home.clear()
        return None

    def run(self, work: Callable[[Recipe], T]) -> T:
        """What `work` gives with the first recipe that can."""
        found = self.attempt(work)
        while found is None:
            found = self.attempt(work)
        return found


def _cut(system: System, request: Request, chunk: Chunk, first: Recipe, now: Recipe) -> list[Chunk]:
    """The chunk, in the shorter pieces of the recipe that has its turn now; the first of them keeps its seed."""
    if now.max_chars >= first.max_chars or len(chunk.text) <= now.max_chars:
        return [chunk]
    asked = dataclasses.replace(request, text=chunk.text, seed=min(chunk.seed, LAST_SEED))
    return [dataclasses.replace(piece, index=chunk.index) for piece in system.split(asked, now)]


def say(
    system: System,
    request: Request | str,
    recipe: Recipe | None = None,
    meter: Meter | None = None,
    on_wave: OnWave | None = None,
    fallbacks: Sequence[Recipe] = (),
) -> Speech:
    """Speak a request and keep all of it: the joined sound, its pieces, and the receipt.

    request: a Request, or just the text. recipe: None is the default one. meter: None takes the time of each stage.
    on_wave: called with each piece as it is made. fallbacks: recipes to step down to where a card's memory runs out
    (see `speak_down`). Raises LabError where the request cannot be spoken.
    """
    run = _Run(system, request, recipe, meter, fallbacks)
    waves: list[Wave] = []

    def keep(wave: Wave) -> None:
        waves.append(wave)
        if on_wave:
            on_wave(wave)

    samples = concatenate(run.sound(keep))
    return Speech(run.request, run.recipe, samples, system.sample_rate, tuple(waves), run.receipt())


def speak_to_file(
    system: System,
    request: Request | str,
    path: str | Path,
    recipe: Recipe | None = None,
    meter: Meter | None = None,
    on_wave: OnWave | None = None,
    fallbacks: Sequence[Recipe] = (),
) -> Receipt:
    """Speak a request into a sound file, piece by piece: memory does not grow with the text.

    path: ends in .wav, .flac, .ogg or .mp3. The file appears when it is complete; whatever interrupts leaves none.
    Other arguments as for `say`. Raises OutputError before any work where the file cannot be written.
    """
    run = _Run(system, request, recipe, meter, fallbacks)
    with AudioWriter(path, system.sample_rate) as writer:
        for piece in run.sound(on_wave):
            writer.write(piece)
    return run.receipt()


def checked(system: System, request: Request) -> Request:
    """The request with its voice filled in. Raises LabError where text, voice, speed or seed cannot be."""
    if not isinstance(request.text, str) or not request.text.strip():
        raise TextError("There is no text to speak; give some Chinese text, such as 你好。")
    if any("\ud800" <= character <= "\udfff" for character in request.text):
        raise TextError("The text is not valid Unicode (half of a character, or another encoding); give it as UTF-8.")
    _check_speed(request.speed)
    strength = request.emotion_strength
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0 <= strength <= 1:
        raise VoiceError(f"The strength of an emotion must be a number from 0 to 1, but is {strength!r}.")
    if isinstance(request.seed, bool) or not isinstance(request.seed, int) or not 0 <= request.seed <= LAST_SEED:
        raise RecipeError(f"seed must be a whole number from 0 to {LAST_SEED}, but is {request.seed!r}.")
    if request.reference is not None:
        return request
    if not system.voices:
        raise VoiceError(f"{system.name} has no voice of its own; give the clip of one as the reference.")
    if request.voice is None:
        return dataclasses.replace(request, voice=system.voices[0])
    named = getattr(system, "named", None)
    if named:  # a system whose voices have other names too
        return dataclasses.replace(request, voice=named(request.voice))
    if request.voice not in system.voices:
        raise VoiceError(
            f"{system.name} has no voice {request.voice!r}{did_you_mean(request.voice, system.voices)}; "
            f"its voices are {', '.join(system.voices)}."
        )
    return request


class _Run:
    """One request on its way through the spine, and the sums that its receipt needs."""

    def __init__(
        self, system: System, request: Request | str, recipe: Recipe | None, meter: Meter | None,
        fallbacks: Sequence[Recipe] = (),
    ) -> None:  # fmt: skip
        self.system = system
        self.recipe = recipe or Recipe()
        self.recipes = (self.recipe, *fallbacks)
        self.spoken: list[Spoken] = []
        self.request = checked(system, Request(request) if isinstance(request, str) else request)
        self.meter = meter or TimeMeter()
        self.start = time.perf_counter()
        self.chunks = self.evaluations = self.samples = 0
        self.unknown: dict[str, None] = {}  # an ordered set
        self.prompt: Prompt | None = None

    def sound(self, on_wave: OnWave | None = None) -> Iterator[Tensor]:
        """The joined sound, as a stream of (s,) tensors. Raises TextError where there was nothing to say."""
        fade = round(self.recipe.crossfade_ms / 1000 * self.system.sample_rate)
        for piece in crossfade(self._pieces(on_wave), fade):
            self.samples += piece.shape[-1]
            yield piece
        if not self.samples:
            raise TextError("Nothing in the text can be spoken; give some Chinese text, such as 你好。")

    def _pieces(self, on_wave: OnWave | None) -> Iterator[Tensor]:
        for wave, recipe in speak_down(self.system, self.request, self.recipes, self.meter, self._keep_prompt):
            self.chunks += 1
            self._keep_recipe(recipe)
            self.evaluations += wave.mel.evaluations
            self.unknown.update(dict.fromkeys(wave.mel.semantic.unknown))
            if on_wave:
                on_wave(wave)
            yield wave.samples[0].float().cpu()
            give_back_free_memory()

    def _keep_prompt(self, prompt: Prompt) -> None:
        self.prompt = prompt

    def _keep_recipe(self, recipe: Recipe) -> None:
        if self.spoken and self.spoken[-1].recipe == recipe:
            self.spoken[-1] = dataclasses.replace(self.spoken[-1], last=self.chunks)
        else:
            self.spoken.append(Spoken(self.chunks, self.chunks, recipe))

    def receipt(self) -> Receipt:
        """What the run has cost so far."""
        device = str(getattr(self.system, "device", "cpu"))
        return Receipt(
            system=self.system.name,
            voice=self.prompt.voice if self.prompt else "",
            recipe=self.recipe,
            seed=self.request.seed,
            chunks=self.chunks,
            audio_seconds=self.samples / self.system.sample_rate,
            wall_seconds=time.perf_counter() - self.start,
            evaluations=self.evaluations,
            peak_process_bytes=peak_process_bytes(),
            stages=dict(self.meter.stages),
            notes=self._notes(device),
            unknown=tuple(self.unknown),
            spoken=tuple(self.spoken),
            clip=self.prompt.extra.get("clip", {}) if self.prompt else {},
            environment=environment(device),
        )

    def _notes(self, device: str) -> tuple[str, ...]:
        """What the recipe says of itself; what the system adds, such as a lever that it does not have; of the clip."""
        own = getattr(self.system, "notes", None)
        clip = self.prompt.extra.get("notes", ()) if self.prompt else ()
        return (*self.recipe.notes(device), *(own(self.recipe) if own else ()), *clip)


def _check_speed(speed: float) -> None:
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not math.isfinite(speed):
        raise RecipeError(f"speed must be a number from {SLOWEST} to {FASTEST}, but is {speed!r}.")
    if not SLOWEST <= speed <= FASTEST:
        raise RecipeError(f"speed must be from {SLOWEST} to {FASTEST} times the voice's own, but is {speed:g}.")
