from __future__ import annotations

import pytest

from tts_lab.show.controls import SENTENCE, Panel


@pytest.fixture
def panel(system):
    return Panel(system)


def test_speaks_what_the_controls_say(panel):
    panel.voice.value, panel.steps.value, panel.guidance.value = "high", 8, 0.0
    panel.button.click()
    assert panel.speech.request.text == SENTENCE
    assert (panel.speech.receipt.voice, panel.speech.receipt.evaluations) == ("high", 8)
    assert "<audio" in panel.sound.value
    assert bytes(panel.picture.value).startswith(b"\x89PNG")
    assert "real-time factor" in panel.receipt.value
    assert "8 evaluations" in panel.status.value
    assert not panel.button.disabled


def test_every_position_of_the_sliders_is_a_valid_recipe(panel):
    for steps in (panel.steps.min, panel.steps.max):
        for guidance in (panel.guidance.min, panel.guidance.max):
            panel.recipe.replace(steps=steps, guidance=guidance)


@pytest.mark.parametrize("text", ["", "😀"])
def test_what_cannot_be_spoken_is_answered_by_a_sentence(panel, text, capsys):
    panel.button.click()
    panel.text.value = text
    panel.button.click()
    assert "give some Chinese text" in panel.status.value
    assert (panel.speech, panel.sound.value, panel.receipt.value) == (None, "", "")
    assert panel.picture.layout.display == "none"
    assert not panel.button.disabled
    assert capsys.readouterr().err == ""


def test_the_sentence_is_escaped(panel, monkeypatch):
    from tts_lab.errors import LabError

    monkeypatch.setattr(panel, "_say", lambda: (_ for _ in ()).throw(LabError("<script>")))
    panel.speak()
    assert "&lt;script&gt;" in panel.status.value


def test_an_error_of_ours_is_raised_and_frees_the_button(panel, monkeypatch):
    monkeypatch.setattr(panel, "_say", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        panel.speak()
    assert not panel.button.disabled
    assert "error of the lab" in panel.status.value


def test_repr_is_the_same_every_time(panel):
    assert repr(panel) == "Panel(fake: text, voice, steps, guidance)"
    panel.button.click()
    assert repr(panel) == "Panel(fake: text, voice, steps, guidance)"
