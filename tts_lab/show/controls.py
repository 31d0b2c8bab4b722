"""Controls for a notebook: change text, voice, steps and guidance, press Speak, and hear and see the result."""

from __future__ import annotations

import html

import ipywidgets as widgets

from tts_lab.errors import LabError
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.show.player import player
from tts_lab.show.plots import mel_figure
from tts_lab.types import Request, Speech, System

SENTENCE = "今天天气真好，我们一起去公园吧！"


class Panel(widgets.VBox):
    """The controls, with the result below them. What cannot be spoken is answered by its sentence.

    system: what speaks. text: what stands in the box at first. recipe: the levers that the panel does not show.
    """

    def __init__(self, system: System, text: str = SENTENCE, recipe: Recipe | None = None) -> None:
        self.system = system
        self.recipe = recipe or Recipe()
        self.speech: Speech | None = None
        wide = widgets.Layout(width="100%")
        self.text = widgets.Textarea(value=text, description="text", layout=wide, rows=2)
        self.voice = widgets.Dropdown(options=system.voices, description="voice")
        self.steps = widgets.IntSlider(self.recipe.steps, 1, 32, description="steps", continuous_update=False)
        self.guidance = widgets.FloatSlider(
            value=self.recipe.guidance, min=0, max=3, step=0.25, description="guidance", continuous_update=False
        )
        self.button = widgets.Button(description="Speak", button_style="primary")
        self.status = widgets.HTML("Press Speak.")
        self.sound = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="100%", display="none"))
        self.receipt = widgets.HTML()
        self.button.on_click(self._on_click)
        levers = widgets.HBox([self.voice, self.steps, self.guidance, self.button], layout={"flex_flow": "row wrap"})
        super().__init__([self.text, levers, self.status, self.sound, self.picture, self.receipt])

    def __repr__(self) -> str:
        return f"Panel({self.system.name}: text, voice, steps, guidance)"

    def speak(self) -> None:
        """Speak what the controls say; the button does this."""
        self.button.disabled = True
        self.status.value = "Speaking …"
        try:
            self._show(self._say())
        except LabError as error:
            self._clear(str(error))
        except BaseException:
            self._clear("Stopped by an error of the lab; it is shown in the log.")
            raise
        finally:
            self.button.disabled = False

    def _on_click(self, _: widgets.Button) -> None:
        self.speak()

    def _say(self) -> Speech:
        recipe = self.recipe.replace(steps=self.steps.value, guidance=self.guidance.value)
        return say(self.system, Request(self.text.value, voice=self.voice.value), recipe)

    def _show(self, speech: Speech) -> None:
        self.speech = speech
        self.sound.value = player(speech)._repr_html_()
        self.picture.value = mel_figure(speech)._repr_png_()
        self.picture.layout.display = "block"
        self.receipt.value = speech.receipt._repr_html_()
        self.status.value = f"{speech.receipt.audio_seconds:.2f} s of speech, {speech.receipt.evaluations} evaluations."

    def _clear(self, sentence: str) -> None:
        """An old result beside a new complaint would be taken for its result."""
        self.speech = None
        self.sound.value = self.receipt.value = ""
        self.picture.layout.display = "none"
        self.status.value = f'<b style="color:#b00020">{html.escape(sentence)}</b>'
