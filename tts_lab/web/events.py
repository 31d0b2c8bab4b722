"""What the page's buttons and `gradio_client` call: each event is a job, watched until it ends or its visitor leaves.

An event is an asynchronous generator. It yields while it waits, so that one who stops it, closes the page or loses the
connection ends the job too; files of a job live in a folder that is gone with it.
"""

from __future__ import annotations

import asyncio
import html
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import gradio as gr

from tts_lab.errors import LabError
from tts_lab.experiments.plan_result import COLUMNS, Plan, rows, shown
from tts_lab.web.asking import CARD, Asked, levers
from tts_lab.web.jobs import Job
from tts_lab.web.limits import Limits
from tts_lab.web.memory import Predicted, planned, predict
from tts_lab.web.shelf import Shelf
from tts_lab.web.speaking import Spoken, speak
from tts_lab.web.tables import table

T = TypeVar("T")
Outputs = tuple[Any, ...]
LOOK, BEAT = 0.05, 0.5  # seconds between looks at a job, and between signs of life that find out who has left
OURS = "The lab made an error of its own; the server's terminal shows it."
SPEAK, PREDICT, PLAN = 7, 3, 3  # outputs of each event


class Events:
    """shelf: the systems. limits: of what a visitor may ask. folder: for what a job writes."""

    def __init__(self, shelf: Shelf, limits: Limits, folder: Path) -> None:
        self.shelf, self.limits, self.folder = shelf, limits, folder
        self.running: set[Job[Any]] = set()

    async def speak(
        self, text: str, system: str = "mini", voice: str | None = None, emotion: str | None = None,
        emotion_strength: float = 1.0, reference: str | None = None, recipe: str = "default", card: str = CARD,
        steps: str = "", solver: str = "", guidance: str = "", precision: str = "",
        quantisation: str = "", seed: float = 0, speed: float = 1.0, progress: Any = gr.Progress(),  # noqa: B008
    ) -> AsyncIterator[Outputs]:  # fmt: skip
        """Speak a text. Gives a sentence, the sound, its mel spectrogram, the receipt, the memory that this takes of
        the card (predicted) as a sentence and as a picture, and all figures."""
        moved = levers(steps=steps, solver=solver, guidance=guidance, precision=precision, quantisation=quantisation)
        clip = Path(reference) if reference else None
        asked = Asked(text, system, voice, emotion, emotion_strength, clip, recipe, card, moved, seed, speed)  # type: ignore[arg-type]
        yield ("", *[None] * 3, "", None, None)  # an old result beside a refusal would be taken for its result
        self._refuse(lambda: asked.check(self.limits))
        with TemporaryDirectory(dir=self.folder, prefix="job-") as place:
            job = Job[Spoken](lambda job: speak(job, self.shelf, asked, Path(place)))
            async with aclosing(self._watch(job, progress)) as beats:
                async for _ in beats:
                    yield unchanged(SPEAK)
            spoken = result(job)
            yield (*_shown(spoken), "Predicting the memory …", None, {"receipt": spoken.receipt.to_dict()})
            following = Job[Predicted](lambda job: predict(job, asked, spoken.receipt.recipe, Path(place)))
            async with aclosing(self._watch(following, progress)) as beats:
                async for _ in beats:
                    yield unchanged(SPEAK)
            yield (*_shown(spoken), *_memory(following, {"receipt": spoken.receipt.to_dict()}))

    async def predict_memory(
        self, text: str, system: str = "mini", reference: str | None = None, recipe: str = "default", card: str = CARD,
        steps: str = "", solver: str = "", guidance: str = "", precision: str = "",
        quantisation: str = "", progress: Any = gr.Progress(),  # noqa: B008
    ) -> AsyncIterator[Outputs]:  # fmt: skip
        """Predict the memory that speaking a text takes of a card: no card and no weights are needed. Gives a sentence,
        a picture, and the figures."""
        moved = levers(steps=steps, solver=solver, guidance=guidance, precision=precision, quantisation=quantisation)
        clip = Path(reference) if reference else None
        asked = Asked(text, system, reference=clip, recipe=recipe, card=card, levers=moved)
        yield ("", None, None)
        self._refuse(lambda: asked.check(self.limits))
        with TemporaryDirectory(dir=self.folder, prefix="job-") as place:
            job = Job[Predicted](lambda job: predict(job, asked, _recipe(job, asked), Path(place)))
            async with aclosing(self._watch(job, progress)) as beats:
                async for _ in beats:
                    yield unchanged(PREDICT)
            found = result(job)
            yield (found.sentence, str(found.picture), {"memory": found.facts})

    async def plan(
        self, text: str, system: str = "mini", reference: str | None = None, card: str = CARD,
        quality: str | None = None, progress: Any = gr.Progress(),  # noqa: B008
    ) -> AsyncIterator[Outputs]:  # fmt: skip
        """Find the fastest recipe that fits a card. Gives a sentence, a table of what else there is, and the recipe as
        YAML for `./lab speak --recipe`."""
        asked = Asked(text, system, reference=Path(reference) if reference else None, card=card)
        yield ("", "", "")
        self._refuse(lambda: asked.check(self.limits))
        job = Job[Plan](lambda job: planned(job, asked, quality))
        async with aclosing(self._watch(job, progress)) as beats:
            async for _ in beats:
                yield unchanged(PLAN)
        found = result(job)
        yield (found.sentence, _options(found), found.to_yaml() if found.choice else "")

    def systems(self) -> dict[str, str]:
        """The systems by name, each with why it cannot speak here; nothing where it can."""
        return {name: self.shelf.why_not(name) or "" for name in self.shelf.names}

    def voices(self, system: str) -> dict[str, Any]:
        """Voices and emotions of a system: {"voices": {name: label}, "emotions": [name]}."""
        try:
            loaded = self.shelf.get(system)
        except LabError as error:
            raise refusal(error) from None
        return {"voices": dict(loaded.about_voices()), "emotions": list(loaded.emotions)}

    def stop(self) -> None:
        """Stop all jobs and wait for their ends."""
        for job in list(self.running):
            job.stop()
            job.join()

    def _refuse(self, check: Callable[[], None]) -> None:
        try:
            check()
        except LabError as error:
            raise refusal(error) from None

    async def _watch(self, job: Job[Any], progress: Any) -> AsyncGenerator[None, None]:
        """Run the job; yields now and then while it runs. Whatever ends this ends the job."""
        self.running.add(job)
        job.start()
        beat = time.monotonic()
        try:
            while not job.done:
                if job.said:
                    progress(job.share, desc=job.said)
                await asyncio.sleep(LOOK)
                if time.monotonic() - beat >= BEAT:
                    beat = time.monotonic()
                    yield
        finally:
            job.stop()
            await asyncio.to_thread(job.join)
            self.running.discard(job)


def result(job: Job[T]) -> T:
    """What the job gave. Raises gr.Error with its sentence."""
    try:
        return job.result()
    except LabError as error:
        raise refusal(error) from None
    except Exception:
        raise gr.Error(OURS, print_exception=False) from None  # the job has printed it


def refusal(error: LabError) -> gr.Error:
    return gr.Error(str(error), title="That cannot be done", duration=30, print_exception=False)


def unchanged(count: int) -> Outputs:
    return tuple(gr.skip() for _ in range(count))


def _recipe(job: Job[Any], asked: Asked) -> Any:
    chosen = asked.chosen()
    if chosen is None:
        found = planned(job, asked, None)
        chosen = (found.choice or found.smallest).recipe
    return chosen


def _shown(spoken: Spoken) -> Outputs:
    sentence = "\n\n".join(filter(None, (spoken.sentence, spoken.planned, *spoken.receipt.notes)))
    return sentence, str(spoken.sound), str(spoken.picture), spoken.receipt._repr_html_()


def _memory(job: Job[Predicted], known: dict[str, Any]) -> Outputs:
    """The prediction; a sentence where there is none, for the sound is there all the same."""
    try:
        found = job.result()
    except LabError as error:
        return str(error), None, known
    except Exception:
        return OURS, None, known
    return found.sentence, str(found.picture), known | {"memory": found.facts}


def _options(found: Plan) -> str:
    """What the plan gives up, and, folded, what else there is."""
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in found.given_up)
    others = table(COLUMNS, [shown(row) for row in rows(found)])
    return (
        f"<ul>{lines}</ul><details><summary>Other recipes, of which none is beaten in all</summary>{others}</details>"
    )
