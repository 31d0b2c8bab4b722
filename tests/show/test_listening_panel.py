"""The panel of a listening test: it asks what is missing, goes on, and says nothing of what is behind a label."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pytest

from listening_fakes import lines, made
from tts_lab.experiments.listening import ListeningSession, Sprt, abx, mushra, preference
from tts_lab.show.listening_answers import Choices, Scores
from tts_lab.show.listening_panel import ListeningPanel
from tts_lab.show.sound_player import SoundPlayer

NAMES = ("zulu", "tango", "sentence-", "anchor", "kHz")


def press(panel: ListeningPanel, key: str) -> None:
    """What the player's page tells when a key is pressed in it."""
    assert panel.player is not None
    assert key in panel.player.forwarded
    panel.player._receive(None, {"key": key, "chosen": panel.player.chosen}, [])


def hear(panel: ListeningPanel) -> None:
    """What the player's page tells when every sound was heard."""
    panel.player.heard = [True] * len(panel.player.tracks)


def labels(panel: ListeningPanel) -> list[str]:
    return [track["label"] for track in panel.player.tracks]


@pytest.fixture(scope="module")
def given():  # type: ignore[no-untyped-def]
    return made("zulu tango")


def panel_of(test: Any, file: Path | None = None) -> ListeningPanel:
    return ListeningPanel(ListeningSession(test, "lin", file))


def walk(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def sent(panel: ListeningPanel) -> str:
    """All that a browser gets of a panel, sound included."""
    return json.dumps([widget.get_state() for widget in walk(panel)], default=str)


def classed(panel: ListeningPanel, name: str) -> Any:
    (found,) = [widget for widget in walk(panel) if f"tts-lab-{name}" in getattr(widget, "_dom_classes", ())]
    return found


def test_an_abx_test_from_beginning_to_end(given, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    paused: list[object] = []
    monkeypatch.setattr(SoundPlayer, "pause", lambda player: paused.append(player))
    panel = panel_of(abx(given, 3), tmp_path / "a.jsonl")
    for number in (1, 2, 3):
        assert classed(panel, "progress").value == f"Trial {number} of 3"
        assert labels(panel) == ["A", "B", "X"]
        hear(panel)
        classed(panel, "answer-b").click()
        classed(panel, "next").click()
    assert panel.session.finished
    assert [line["answer"] for line in lines(tmp_path / "a.jsonl") if line["kind"] == "answer"] == ["B"] * 3
    assert "a.jsonl" in sent(panel)
    assert "of 3 right" in sent(panel)
    assert paused == [panel.player]
    assert panel.player not in list(walk(panel))
    assert any(isinstance(widget, widgets.Image) for widget in walk(panel))


@pytest.mark.parametrize("make", [lambda s: abx(s, 3), preference, lambda s: mushra(s, "zulu")])
def test_nothing_that_reaches_the_browser_names_a_condition_before_the_end(given, make) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(make(given))
    while not panel.session.finished:
        assert panel.player.blind
        assert all(set(track) == {"label", "pcm", "rate"} for track in panel.player.tracks)
        shown = sent(panel) + repr(panel) + repr(panel.player)
        assert not [name for name in NAMES if name in shown]
        answer(panel)
    assert "zulu" in sent(panel)


def answer(panel: ListeningPanel) -> None:
    hear(panel)
    if isinstance(panel.answers, Scores):
        for slider in panel.answers.sliders.values():
            slider.value = 90
    else:
        classed(panel, "answer-a").click()
    panel.next.click()


def test_an_answer_waits_until_every_sound_was_heard(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(abx(given, 2))
    classed(panel, "answer-a").click()
    assert panel.next.disabled
    panel.go_on()
    assert panel.session.answered == 0
    assert "Listen to A, B, X first." in panel.message.value
    panel.player.heard = [True, False, True]
    assert "Listen to B first." in panel.message.value
    hear(panel)
    assert not panel.next.disabled
    panel.next.click()
    assert panel.session.answered == 1
    assert panel.next.disabled
    hear(panel)
    assert "Choose an answer first." in panel.message.value  # the old answer is not kept for the new trial


def test_an_answer_may_be_changed_before_next(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(abx(given, 2))
    hear(panel)
    classed(panel, "answer-a").click()
    classed(panel, "answer-b").click()
    assert [classed(panel, f"answer-{name}").button_style for name in "ab"] == ["", "primary"]
    panel.next.click()
    assert panel.session.record.answers == ("B",)


def test_abx_goes_by_keyboard_alone(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(abx(given, 2))
    for key in "jk":
        press(panel, "Enter")
        hear(panel)
        press(panel, key)
        press(panel, "Enter")
    assert panel.session.record.answers == ("A", "B")
    press(panel, "Enter")  # after the end nothing happens


def test_a_tie_has_a_button_only_where_it_is_allowed(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(preference(given, 1, tie=True))
    hear(panel)
    press(panel, "n")
    press(panel, "Enter")
    assert panel.session.record.answers == ("tie",)
    assert isinstance(without := panel_of(preference(given)).answers, Choices)
    assert set(without.buttons) == {"A", "B"}


def test_mushra_by_sliders_and_by_keys(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(mushra(given, "zulu"))
    assert labels(panel) == ["R", "A", "B", "C", "D"]
    hear(panel)
    assert "Give A, B, C, D a score first." in panel.message.value
    press(panel, "ArrowUp")  # the open reference has no score
    assert panel.answers.value is None
    for chosen, keys in enumerate((("PageUp", "ArrowUp"), ("ArrowDown",), ("PageUp",) * 12), 1):
        panel.player.chosen = chosen
        assert "▸" in panel.answers.names["ABCD"[chosen - 1]].value
        for key in keys:
            press(panel, key)
    assert panel.next.disabled
    classed(panel, "score-d").value = 55
    press(panel, "Enter")
    assert panel.session.record.answers == ({"A": 11, "B": 0, "C": 100, "D": 55},)
    assert panel.answers.value is None
    assert [shown.value for shown in panel.answers.shown.values()] == ["–"] * 4


def test_a_key_moves_the_score_of_the_sound_that_was_heard_when_it_was_pressed(given) -> None:  # type: ignore[no-untyped-def]
    """A busy kernel gets the key before it gets the change of sound."""
    panel = panel_of(mushra(given, "zulu"))
    assert panel.player.chosen == 0
    panel.player._receive(None, {"key": "PageUp", "chosen": 3}, [])
    assert {name: slider.value for name, slider in panel.answers.sliders.items()} == {"A": 0, "B": 0, "C": 10, "D": 0}


def test_a_panel_goes_on_where_the_last_one_stopped(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test = abx(given, 3)
    answer(panel_of(test, tmp_path / "a.jsonl"))
    panel = panel_of(test, tmp_path / "a.jsonl")
    assert classed(panel, "progress").value == "Trial 2 of 3"
    answer(panel)
    answer(panel)
    again = panel_of(test, tmp_path / "a.jsonl")
    assert again.player is None
    assert "Finished after 3 trials." in sent(again)


def test_an_answer_that_cannot_be_kept_is_told(given, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    test = abx(given, 3)
    panel = panel_of(test, tmp_path / "a.jsonl")
    answer(panel_of(test, tmp_path / "a.jsonl"))
    answer(panel)
    assert "the test went on in another window" in panel.message.value
    assert panel.session.answered == 0


def test_a_sequential_test_says_that_it_may_end_early(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(abx(given, 40, sequential=Sprt()))
    assert panel.progress.value == "Trial 1 of at most 40"


def test_the_end_without_anyone_after_screening_has_no_picture(given) -> None:  # type: ignore[no-untyped-def]
    panel = panel_of(mushra(given, "zulu"))
    while not panel.session.finished:
        hear(panel)
        for slider in panel.answers.sliders.values():
            slider.value = 10
        panel.next.click()
    assert "nothing can be said" in sent(panel)
    assert "kept nowhere" in sent(panel)
    assert not any(isinstance(widget, widgets.Image) for widget in walk(panel))


def test_its_repr_is_the_same_on_every_run(given) -> None:  # type: ignore[no-untyped-def]
    assert repr(panel_of(abx(given, 3))) == "ListeningPanel(abx: lin, 0 of 3 answered)"
