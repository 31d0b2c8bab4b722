"""The workbench: text, voice, levers and card; what they need of the card, what they sound and look like, what they
cost. What was spoken is kept, so that the ear can go from one recipe to another."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from tts_lab.errors import LabError
from tts_lab.experiments.vram import REFERENCE_SECONDS, vram
from tts_lab.memory.cards import cards
from tts_lab.memory.report import MemoryReport
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.show.lever_controls import SHOWN, LeverControls
from tts_lab.show.live_bar import bar_html
from tts_lab.show.sound_player import SoundPlayer
from tts_lab.systems import SYSTEMS, load_system
from tts_lab.types import Request, Speech, System

SENTENCE = "今天天气真好，我们一起去公园吧！"
LENGTHS = (2, 5, 10, 20, 30, 60, 120)  # seconds that memory is predicted for: few, so that traces are used again
CHARACTERS_A_SECOND = 4.5  # of Mandarin at the voices' own pace
LONGEST_TITLE = 60
TAKES = 6  # that are kept to be heard side by side


class Workbench(widgets.VBox):
    """Everything on one screen. What cannot be spoken or predicted is answered by its sentence.

    system: a loaded one, or the name of one, which is loaded when it is to speak. text: what stands in the box at
    first. card: of `memory.cards`, or a budget such as "8gb". recipe: a preset's name. levers: those that are shown.

    speech: the last one, None where it failed. takes: title -> speech, the last `TAKES`. report: of the card's memory,
    None where none could be made.
    """

    def __init__(
        self, system: System | str = "mini", text: str = SENTENCE, card: str = "rtx3070", recipe: str = "default",
        levers: Sequence[str] = SHOWN,
    ) -> None:  # fmt: skip
        name = system if isinstance(system, str) else system.name
        self._loaded: dict[str, System] = {} if isinstance(system, str) else {name: system}
        self.speech: Speech | None = None
        self.report: MemoryReport | None = None
        self.takes: dict[str, Speech] = {}
        self._spoken, self._last = 0, ""
        self._controls(name, text, card)
        self.levers = LeverControls(recipe, levers, self.predict)
        self.bar, self.status, self.receipt = widgets.HTML(), widgets.HTML("Press Speak."), widgets.HTML()
        self.sound = widgets.VBox()
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__([
            self.text,
            widgets.HBox([self.system, self.voice, self.card, self.seed, self.emotion, self.strength], layout=row),
            self.levers, self.bar, widgets.HBox([self.button, self.status], layout=row), self.sound,
            self.receipt,
        ])  # fmt: skip
        self.add_class("tts-lab-workbench")
        self._serve()

    def _controls(self, name: str, text: str, card: str) -> None:
        self.text = widgets.Textarea(value=text, description="text", layout={"width": "100%"}, rows=2)
        names = list(SYSTEMS) if name in SYSTEMS else [name, *SYSTEMS]
        self.system = widgets.Dropdown(options=names, value=name, description="system")
        self.voice = widgets.Dropdown(description="voice")
        self.emotion = widgets.Dropdown(description="emotion")
        self.strength = widgets.FloatSlider(
            1.0, min=0.0, max=1.0, step=0.05, description="strength", disabled=True, tooltip="how much of the emotion"
        )
        self.emotion.observe(lambda _: self._weigh(), "value")
        self.card = widgets.Combobox(
            value=card, options=[*cards(), "4gb", "6gb", "8gb"], description="card", continuous_update=False
        )
        self.seed = widgets.BoundedIntText(0, 0, 2**31 - 1, description="seed")
        self.button = widgets.Button(description="Speak", button_style="primary").add_class("tts-lab-speak")
        self.button.on_click(lambda _: self.speak())
        self.system.observe(self._serve, "value")
        for box in (self.card, self.text):
            box.observe(lambda _: self.predict(), "value")

    def __repr__(self) -> str:
        return f"Workbench({self.system.value} on {self.card.value}: {', '.join(self.levers.boxes)})"

    @property
    def recipe(self) -> Recipe:
        """What the controls say."""
        return self.levers.recipe

    @property
    def seconds(self) -> int:
        """About how long the text will sound, rounded up to one of `LENGTHS`."""
        about = sum(character.isalnum() for character in self.text.value) / CHARACTERS_A_SECOND
        return next((length for length in LENGTHS if about <= length), LENGTHS[-1])

    def predict(self) -> None:
        """Draw what the controls say against the card."""
        name = self.system.value
        if name not in SYSTEMS:
            self.bar.value = f"{html.escape(name)} has no sizes to predict memory from."
            return
        try:
            self.report = vram(name, self.card.value, self.recipe, self.seconds, REFERENCE_SECONDS)
        except LabError as error:
            self.report, self.bar.value = None, _complaint(str(error))
            return
        self.bar.value = bar_html(self.report, f"for up to {self.seconds} s of speech: {self.recipe.name}")

    def speak(self) -> None:
        """Speak what the controls say; the button does this."""
        self.button.disabled, self.status.value = True, "Speaking …"
        try:
            self._show(self._say())
        except LabError as error:
            self._clear(str(error))
        except BaseException:
            self._clear("Stopped by an error of the lab; it is shown in the log.")
            raise
        finally:
            self.button.disabled = False

    def _say(self) -> Speech:
        system = self._load(self.system.value)
        self._name_voices(system)
        request = Request(
            self.text.value, self.voice.value, emotion=self.emotion.value, seed=self.seed.value,
            emotion_strength=1.0 if self.strength.disabled else self.strength.value,
        )  # fmt: skip
        return say(system, request, self.recipe)

    def _load(self, name: str) -> System:
        if name not in self._loaded:
            self.status.value = f"Loading {html.escape(name)} …"
            self._loaded[name] = load_system(name)
        return self._loaded[name]

    def _show(self, speech: Speech) -> None:
        self.speech = speech
        self._keep(speech)
        player = SoundPlayer(self.takes)
        player.chosen = len(self.takes) - 1
        self.sound.children = (player,)
        self.receipt.value = f'<div style="line-height:1.4">{speech.receipt._repr_html_()}</div>'
        made = speech.receipt
        self.status.value = f"{made.audio_seconds:.2f} s of speech, {made.evaluations} evaluations: take {self._last}."

    def _keep(self, speech: Speech) -> None:
        """Among the takes, under a letter and what is new in it; the oldest goes."""
        self._last = chr(ord("A") + self._spoken % 26)
        self._spoken += 1
        self.takes[f"{self._last}: {self._differs(speech)}"] = speech
        while len(self.takes) > TAKES:
            self.takes.pop(next(iter(self.takes)))

    def _differs(self, speech: Speech) -> str:
        """Voice and emotion where they are not the system's first, and what moved in the recipe."""
        asked, first = speech.request, next(iter(self._loaded[self.system.value].voices), None)
        parts = [asked.voice] if asked.voice not in (None, first) else []
        if asked.emotion not in (None, "neutral"):
            parts += [asked.emotion if asked.emotion_strength == 1 else f"{asked.emotion_strength:.0%} {asked.emotion}"]
        name = speech.recipe.name
        if name != "default" or not parts:
            parts += [name.removeprefix("default with ")]
        whole = ", ".join(parts)
        return whole if len(whole) < LONGEST_TITLE else f"{whole[: LONGEST_TITLE - 3]}…"

    def _clear(self, sentence: str) -> None:
        """An old result beside a new complaint would be taken for its result; takes can still be heard."""
        self.speech, self.receipt.value = None, ""
        self.status.value = _complaint(sentence)

    def _serve(self, _: Any = None) -> None:
        """Fit the controls to the system."""
        name = self.system.value
        self.levers.serve(name if name in SYSTEMS else "")
        if name == "mini":
            self._load(name)
        self._name_voices(self._loaded.get(name))
        self.predict()

    def _weigh(self) -> None:
        """There is no strength of no emotion."""
        self.strength.disabled = self.emotion.value in (None, "neutral")

    def _name_voices(self, system: System | None) -> None:
        """A system's voices and emotions; one that is not loaded has its own default."""
        for box, names in (
            (self.voice, getattr(system, "voices", ())),
            (self.emotion, getattr(system, "emotions", ())),
        ):
            options = [(f"{box.description}: its own", None), *((name, name) for name in names)]
            if tuple(box.options) != tuple(options):
                box.options, box.index = options, (1 if box is self.voice and names else 0)


def _complaint(sentence: str) -> str:
    return f'<b style="color:var(--jp-error-color1, #b00020)">{html.escape(sentence)}</b>'
