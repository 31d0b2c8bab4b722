"""Controls for a notebook: what a request needs of a card, drawn anew whenever a lever is moved."""

from __future__ import annotations

import html
from typing import Any

import ipywidgets as widgets

from tts_lab.errors import LabError
from tts_lab.experiments.vram import REFERENCE_SECONDS, vram
from tts_lab.memory.cards import cards
from tts_lab.memory.report import MemoryReport
from tts_lab.recipe import PRESETS, Recipe
from tts_lab.show.memory_figure import memory_figure
from tts_lab.systems import STUDIES, SYSTEMS

CHOICES = {
    "precision": ("fp32", "fp16", "bf16"), "offload": ("none", "voice", "stage"),
    "guidance_mode": ("batched", "sequential"), "attention": ("auto", "math"), "tile": (0, 64, 256),
    "beams": (1, 2, 3, 4),
}  # fmt: skip
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
        self.recipe = widgets.Dropdown(options=list(PRESETS), value=recipe, description="recipe")
        start = PRESETS[recipe][0]
        self.levers = {
            lever: widgets.Dropdown(options=options, value=getattr(start, lever), description=lever)
            for lever, options in CHOICES.items()
        }
        self.verdict = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width="100%"))
        self.recipe.observe(self._start_from, "value")
        for control in (self.system, self.card, self.seconds, *self.levers.values()):
            control.observe(self._changed, "value")
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__([
            widgets.HBox([self.system, self.card, self.seconds, self.recipe], layout=row),
            widgets.HBox(list(self.levers.values()), layout=row), self.verdict, self.picture,
        ])  # fmt: skip
        self.draw()

    def __repr__(self) -> str:
        return f"MemoryPanel({self.system.value} on {self.card.value}: recipe, {', '.join(self.levers)})"

    @property
    def chosen(self) -> Recipe:
        """The recipe that the controls say."""
        return PRESETS[self.recipe.value][0].replace(**{name: box.value for name, box in self.levers.items()})

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

    def _start_from(self, change: Any) -> None:
        """Set the levers to those of a preset, and draw once."""
        start = PRESETS[change["new"]][0]
        for name, box in self.levers.items():
            box.unobserve(self._changed, "value")
            box.value = getattr(start, name)
            box.observe(self._changed, "value")
        self.draw()

    def _changed(self, _: Any) -> None:
        self.draw()
