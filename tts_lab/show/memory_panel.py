"""Controls for a notebook: what a request needs of a card, drawn anew whenever a lever is moved."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

from tts_lab.errors import LabError
from tts_lab.experiments.vram import REFERENCE_SECONDS, vram
from tts_lab.memory.cards import cards
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import Recipe
from tts_lab.show.lever_controls import LeverControls
from tts_lab.show.memory_figure import memory_figure
from tts_lab.systems import STUDIES, SYSTEMS

LEVERS = ("precision", "offload", "guidance_mode", "attention", "tile", "beams")
SECONDS = (5, 10, 20, 30, 60)


class MemoryPanel(widgets.VBox):
    """A system, a card, a recipe to start from and its levers; below them the verdict and the figure.

    report: the last one, None where something could not be.
    """

    def __init__(self, system: str = "indextts2", card: str = "rtx3070", recipe: str = "default") -> None:
        self.report: MemoryReport | None = None
        self.system = widgets.Dropdown(options=[*SYSTEMS, *STUDIES], value=system, description="system")
        self.card = widgets.Combobox(
            value=card, options=[*cards(), "4gb", "6gb", "8gb"], description="card", continuous_update=False
        )
        self.seconds = widgets.SelectionSlider(
            options=SECONDS, value=30, description="seconds", continuous_update=False
        )
        self.levers = LeverControls(recipe, LEVERS, lambda: self.draw())
        self.verdict = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="100%"))
        self.system.observe(self._serve, "value")
        for control in (self.card, self.seconds):
            control.observe(lambda _: self.draw(), "value")
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__([
            widgets.HBox([self.system, self.card, self.seconds], layout=row), self.levers, self.verdict, self.picture,
        ])  # fmt: skip
        self._serve()

    def __repr__(self) -> str:
        return f"MemoryPanel({self.system.value} on {self.card.value}: recipe, {', '.join(self.levers.boxes)})"

    @property
    def chosen(self) -> Recipe:
        """The recipe that the controls say."""
        return self.levers.recipe

    def draw(self) -> None:
        """Predict and draw what the controls say; what cannot be is answered by its sentence."""
        try:
            self.report = vram(self.system.value, self.card.value, self.chosen, self.seconds.value, REFERENCE_SECONDS)
        except LabError as error:
            self.report = None
            self.verdict.value = f"<b>{html.escape(str(error))}</b>"
            self.picture.layout.display = "none"
            return
        self.verdict.value = html.escape(self.report.sentence)
        self.picture.value = memory_figure(self.report)._repr_png_()
        self.picture.layout.display = "block"

    def _serve(self, _: Any = None) -> None:
        """Fit the levers to the system, and draw."""
        name = self.system.value
        self.levers.serve(name if name in SYSTEMS else "")
        self.draw()
