"""A listening test in a notebook: play, switch, answer, and what came out, at the end and not before.

What reaches the browser before the end is labels, samples and a count. X of an ABX trial has the bits of A or of B, and
a hidden reference those of the open one: who takes the page apart to compare them cheats knowingly.
"""

from __future__ import annotations

import html
from contextlib import suppress
from typing import Any

import ipywidgets as widgets

from tts_lab.errors import LabError
from tts_lab.experiments.listening import ListeningSession, analyse
from tts_lab.experiments.listening.definition import ABX, MUSHRA, PREFERENCE
from tts_lab.experiments.listening.session import TIE, Trial
from tts_lab.show.listening_answers import Choices, Scores
from tts_lab.show.listening_figure import listening_figure
from tts_lab.show.player import Player
from tts_lab.show.sound_player import SoundPlayer

NEXT = "Enter"
WORDS = {ABX: {"A": "X is A", "B": "X is B"}, PREFERENCE: {"A": "A is better", "B": "B is better"}}
NO_DIFFERENCE = "no difference"
HOW = {
    ABX: "Listen to A, B and X as often as you like, in any order, then say which of the two X is. Guess if you must.",
    PREFERENCE: "Listen to both as often as you like, then say which one you would rather hear.",
    MUSHRA: (
        "Listen to the reference R and to every other sound, and score how near each comes to R: 100 is no difference. "
        "One of them is the reference itself, so at least one deserves 100."
    ),
}
KEYBOARD = {
    ABX: "j and k answer",
    PREFERENCE: "j and k answer (n: no difference)",
    MUSHRA: "arrows up and down, or page up and down, move the score of the sound that is heard",
}


class ListeningPanel(widgets.VBox):
    """The test of a session, from where it stands.

    session: of one listener; another panel of the same session's file and name goes on where this one stopped.
    """

    def __init__(self, session: ListeningSession) -> None:
        self.session = session
        kind = session.definition.kind
        self.instructions = widgets.HTML(
            f"<b>{html.escape(session.definition.asked)}</b><br>{HOW[kind]}<br>{_keys(kind)}"
        )
        self.bar = widgets.IntProgress(max=session.definition.trials, layout=widgets.Layout(width="200px"))
        self.progress = widgets.HTML()
        self.message = widgets.HTML()
        self.next = widgets.Button(description="Next", button_style="success", tooltip="key Enter", disabled=True)
        self.result = widgets.VBox()
        self.player: SoundPlayer | None = None
        self.answers: Choices | Scores | None = None
        named = {"instructions": self.instructions, "progress": self.progress, "message": self.message,
                 "next": self.next, "result": self.result}  # fmt: skip
        for name, part in named.items():
            part.add_class(f"tts-lab-{name}")
        self.next.on_click(lambda _: self.go_on())
        super().__init__()
        self.add_class("tts-lab-listening")
        self._show()

    def __repr__(self) -> str:
        session = self.session
        state = "finished" if session.finished else f"{session.answered} of {session.definition.trials} answered"
        return f"ListeningPanel({session.definition.kind}: {session.listener}, {state})"

    def go_on(self) -> None:
        """Keep the answer and show the next trial; say what is missing where that is not possible."""
        if self.session.finished or self.answers is None:
            return
        if missing := self._unheard() or self.answers.missing:
            self._say(missing)
            return
        try:
            self.session.answer(self.answers.value)  # type: ignore[arg-type]
        except LabError as error:
            self._say(str(error), is_wrong=True)
            return
        self._show()

    def _show(self) -> None:
        """The next trial, or the end."""
        done, total = self.session.answered, self.session.definition.trials
        self.bar.value = done
        if self.session.finished:
            self._end()
            return
        most = "at most " if self.session.definition.sequential else ""
        self._load(self.session.trial)
        self.progress.value = f"Trial {done + 1} of {most}{total}"  # last: whoever reads it hears this trial's sounds
        self._say("")

    def _load(self, trial: Trial) -> None:
        sounds = {label: Player(samples, trial.rate, label) for label, samples in trial.sounds.items()}
        self._labels = tuple(sounds)
        if self.player is None:
            self.answers = self._answers(trial)
            self.player = SoundPlayer(sounds, blind=True, keys=(*self.answers.pressable, NEXT))
            self.player.on_key(self._key)
            self.player.observe(self._attend, "chosen")
            self.player.observe(self._heard, "heard")
            head = widgets.HBox([self.bar, self.progress])
            self.children = [
                self.instructions,
                head,
                self.player,
                self.answers,
                widgets.HBox([self.next, self.message]),
            ]
        else:
            assert self.answers is not None
            self.player.load(sounds)
            self.answers.clear()
        self._attend()

    def _answers(self, trial: Trial) -> Choices | Scores:
        if self.session.definition.kind == MUSHRA:
            return Scores(trial.labels, self._changed)
        words = {**WORDS[self.session.definition.kind], TIE: NO_DIFFERENCE}
        return Choices({answer: words[answer] for answer in trial.choices}, self._changed)

    def _end(self) -> None:
        """Nothing more is played; what came out, and where the answers are."""
        if self.player is not None:
            self.player.pause()
        self.progress.value = f"Finished after {self.session.answered} trials."
        results = analyse([self.session.record])
        parts: list[widgets.Widget] = [widgets.HTML(results._repr_html_())]
        with suppress(ValueError):  # where screening leaves nothing to draw; the sentence says so
            parts.append(widgets.Image(value=listening_figure(results)._repr_png_(), format="png"))
        self.result.children = [*parts, widgets.HTML(self._export())]
        self.children = [widgets.HBox([self.bar, self.progress]), self.result]

    def _export(self) -> str:
        if self.session.file is None:
            return "These answers are kept nowhere: the session was made without a file."
        name = html.escape(self.session.file.path.name)
        return (
            f"Your answers, and now the key too, are in <code>{name}</code>: send this file. Files of several "
            "listeners are put together by <code>tts-lab listen analyse FILE...</code>, or <code>listening.analyse("
            "listening.read([...]))</code>."
        )

    def _unheard(self) -> str:
        """A sentence on sounds of this trial that were not heard yet."""
        heard = self.player.heard if self.player else ()
        left = [label for label, is_heard in zip(self._labels, heard, strict=True) if not is_heard]
        return f"Listen to {', '.join(left)} first." if left else ""

    def _key(self, key: str) -> None:
        if self.session.finished or self.answers is None or self.player is None:
            return
        if key == NEXT:
            self.go_on()
        else:
            self.answers.press(key, self._labels[self.player.pressed_on])

    def _attend(self, _: Any = None) -> None:
        if self.answers is not None and self.player is not None:
            self.answers.attend(self._labels[self.player.chosen])

    def _heard(self, _: Any = None) -> None:
        self._changed()

    def _changed(self) -> None:
        """An answer was given or a sound was heard: what is still missing?"""
        if self.player is None or self.answers is None:
            return
        missing = self._unheard() or self.answers.missing
        self.next.disabled = bool(missing)
        self._say(missing)

    def _say(self, sentence: str, is_wrong: bool = False) -> None:
        colour = ' style="color:#b00020"' if is_wrong else ""
        self.message.value = f"<span{colour}>{html.escape(sentence)}</span>" if sentence else ""


def _keys(kind: str) -> str:
    return (
        f"<small>Keyboard, after a click on the player: space plays, letters choose a sound, {KEYBOARD[kind]}, "
        "Enter goes on.</small>"
    )
