"""Controls for the levers of a recipe: sliders and lists, in which what has no effect is disabled and says why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets

from tts_lab.recipe import LEVERS, PRESETS, Recipe, choices
from tts_lab.show.choice import Choice
from tts_lab.systems import lacks

SLIDERS: dict[str, tuple[float, float, float]] = {  # lever -> lowest, highest, step
    "steps": (1, 100, 1), "guidance": (0, 3, 0.1), "max_chars": (10, 500, 10),
}  # fmt: skip
NUMBERS: dict[str, tuple[int, ...]] = {"tile": (0, 64, 256), "beams": (1, 2, 3, 4)}  # that are chosen from a few
SHOWN = (
    "steps", "guidance", "max_chars", "solver", "schedule", "guidance_mode", "precision", "quantisation", "offload",
    "cache", "tile", "vocoder", "beams",
)  # fmt: skip


class LeverControls(widgets.VBox):
    """A preset to start from, and its levers.

    levers: those that are shown; the others stay as the preset has them. on_change: called without arguments whenever
    the recipe has changed. device: where it will run; on a CPU some levers change nothing.
    """

    def __init__(
        self, recipe: str = "default", levers: Sequence[str] = SHOWN, on_change: Callable[[], None] | None = None,
        device: str = "cuda",
    ) -> None:  # fmt: skip
        self._act, self._quiet, self._system, self.device = on_change, False, "", device
        self.start = widgets.Dropdown(options=list(PRESETS), value=recipe, description="recipe")
        self.boxes: dict[str, Any] = {lever: _box(lever, getattr(PRESETS[recipe][0], lever)) for lever in levers}
        self.start.observe(self._start_from, "value")
        for box in self.boxes.values():
            box.observe(self._moved, "value")
        row = widgets.Layout(flex_flow="row wrap")
        sliders = [self.boxes[lever] for lever in levers if lever in SLIDERS]
        lists = [self.boxes[lever] for lever in levers if lever not in SLIDERS]
        super().__init__([widgets.HBox([self.start, *sliders], layout=row), widgets.HBox(lists, layout=row)])
        self._exclude()

    def __repr__(self) -> str:
        return f"LeverControls({self.start.value}: {', '.join(self.boxes)})"

    @property
    def recipe(self) -> Recipe:
        """What the controls say."""
        moved = {lever: _value(lever, box.value) for lever, box in self.boxes.items()}
        return PRESETS[self.start.value][0].replace(**moved)

    def serve(self, system: str) -> None:
        """Disable what `system` does not have."""
        self._system = system
        self._exclude()

    def _start_from(self, change: Any) -> None:
        start = PRESETS[change["new"]][0]
        with self._silence():
            for lever, box in self.boxes.items():
                _set(box, lever, getattr(start, lever))
        self._moved()

    @contextmanager
    def _silence(self) -> Iterator[None]:
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _moved(self, _: Any = None) -> None:
        if self._quiet:
            return
        self._exclude()
        if self._act:
            self._act()

    def _exclude(self) -> None:
        reasons = self.idle()
        for lever, box in self.boxes.items():
            if isinstance(box, Choice):
                box.exclude(reasons)
            else:
                box.disabled, box.tooltip = lever in reasons, reasons.get(lever, LEVERS[lever][1])

    def idle(self) -> dict[str, str]:
        """What changes nothing now, and why: by lever, or by one value of it ("solver adams")."""
        missing = lacks(self._system) if self._system else {}
        return {**self.recipe.idle(self.device), **missing}


def _box(lever: str, value: Any) -> Any:
    if lever in SLIDERS:
        low, high, step = SLIDERS[lever]
        kind = widgets.IntSlider if isinstance(value, int) else widgets.FloatSlider
        return kind(value=value, min=low, max=high, step=step, description=lever, continuous_update=False)
    options = [str(number) for number in NUMBERS[lever]] if lever in NUMBERS else list(choices(lever))
    return Choice(options, str(value), lever)


def _set(box: Any, lever: str, value: Any) -> None:
    """A preset may hold a number that the controls do not offer: it is offered from then on."""
    if isinstance(box, Choice):
        if str(value) not in box.options:
            box.options = sorted({*box.options, str(value)}, key=float)
        box.value = str(value)
    else:
        box.max = max(box.max, value)
        box.value = value


def _value(lever: str, value: Any) -> Any:
    return int(value) if lever in NUMBERS else value
