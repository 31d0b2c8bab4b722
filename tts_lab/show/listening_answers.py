"""What a listener answers with: buttons for one choice, or a slider for every sound. They know labels, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import ipywidgets as widgets

from tts_lab.experiments.listening.session import TIE

KEYS = {"A": "j", "B": "k", TIE: "n"}  # letters that the player does not take
SMALL, LARGE = {"ArrowUp": 1, "ArrowDown": -1}, {"PageUp": 10, "PageDown": -10}
UNSCORED = "–"


class Choices(widgets.HBox):
    """One button for each answer; `value` is the one that is pressed, None before.

    words: answer -> what the button says. changed: called whenever an answer is pressed.
    """

    def __init__(self, words: Mapping[str, str], changed: Callable[[], None]) -> None:
        self.value: str | None = None
        self._changed = changed
        self.buttons = {answer: self._button(answer, word) for answer, word in words.items()}
        super().__init__(list(self.buttons.values()), layout=widgets.Layout(flex_flow="row wrap"))

    @property
    def pressable(self) -> tuple[str, ...]:
        return tuple(KEYS[answer] for answer in self.buttons)

    @property
    def missing(self) -> str:
        """A sentence where there is no answer yet."""
        return "" if self.value else "Choose an answer first."

    def press(self, key: str, _: str = "") -> None:
        """What a key does."""
        for answer in self.buttons:
            if KEYS[answer] == key:
                self.choose(answer)

    def choose(self, answer: str | None) -> None:
        self.value = answer
        for name, button in self.buttons.items():
            button.button_style = "primary" if name == answer else ""
        self._changed()

    def clear(self) -> None:
        self.choose(None)

    def attend(self, label: str) -> None:
        """The sound with this label is heard now; buttons do not mind."""

    def _button(self, answer: str, word: str) -> widgets.Button:
        button = widgets.Button(description=word, tooltip=f"key {KEYS[answer]}", layout=widgets.Layout(width="auto"))
        button.add_class(f"tts-lab-answer-{answer.lower()}")
        button.on_click(lambda _: self.choose(answer))
        return button


class Scores(widgets.HBox):
    """A slider from 0 to 100 for each label; `value` holds the scores, None while one was not touched.

    A score begins as unscored and not as a number, so that nobody gets one by accident.
    """

    def __init__(self, labels: Sequence[str], changed: Callable[[], None]) -> None:
        self._changed = changed
        self._touched: set[str] = set()
        self.sliders = {label: self._slider(label) for label in labels}
        self.shown = {label: widgets.HTML(UNSCORED) for label in labels}
        self.names = {label: widgets.HTML(label) for label in labels}
        columns = [
            widgets.VBox([self.names[n], self.sliders[n], self.shown[n]], layout=widgets.Layout(align_items="center"))
            for n in labels
        ]
        super().__init__([_scale(), *columns], layout=widgets.Layout(flex_flow="row wrap"))

    @property
    def pressable(self) -> tuple[str, ...]:
        return (*SMALL, *LARGE)

    @property
    def value(self) -> dict[str, int] | None:
        scored = self._touched == set(self.sliders)
        return {label: slider.value for label, slider in self.sliders.items()} if scored else None

    @property
    def missing(self) -> str:
        left = [label for label in self.sliders if label not in self._touched]
        return f"Give {', '.join(left)} a score first." if left else ""

    def press(self, key: str, label: str = "") -> None:
        """Move the score of the sound that is heard."""
        if label in self.sliders:
            slider = self.sliders[label]
            moved = slider.value + {**SMALL, **LARGE}[key]
            self._touch(label)
            slider.value = min(100, max(0, moved))

    def clear(self) -> None:
        for slider in self.sliders.values():
            slider.value = 0
        self._touched.clear()
        for shown in self.shown.values():
            shown.value = UNSCORED
        self._changed()

    def attend(self, label: str) -> None:
        """Show which sound is heard now, whose score the keys move."""
        for name, heading in self.names.items():
            heading.value = f"<b>▸ {name}</b>" if name == label else name

    def _slider(self, label: str) -> widgets.IntSlider:
        slider = widgets.IntSlider(0, 0, 100, orientation="vertical", readout=False)
        slider.add_class(f"tts-lab-score-{label.lower()}")
        slider.observe(lambda _: self._touch(label), "value")
        return slider

    def _touch(self, label: str) -> None:
        self._touched.add(label)
        self.shown[label].value = str(self.sliders[label].value)
        self._changed()


def _scale() -> widgets.HTML:
    """The words of the scale beside the sliders, each for twenty points (ITU-R BS.1534-3, 5.4)."""
    words = "".join(f'<div style="height:36px">{w}</div>' for w in ("excellent", "good", "fair", "poor", "bad"))
    return widgets.HTML(f'<div style="margin-top:40px;font-size:85%;text-align:right">{words}</div>')
