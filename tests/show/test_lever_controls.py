from __future__ import annotations

import pytest
import traitlets

from tts_lab.recipe import PRESETS
from tts_lab.show.choice import Choice
from tts_lab.show.lever_controls import SHOWN, LeverControls
from tts_lab.systems import SYSTEMS, lacks


@pytest.fixture
def levers():
    told = []
    made = LeverControls(on_change=lambda: told.append(made.recipe))
    made.told = told
    return made


@pytest.mark.parametrize("preset", list(PRESETS))
def test_every_preset_can_be_shown(levers, preset):
    levers.start.value = preset
    assert levers.recipe == PRESETS[preset][0]


def test_a_preset_is_told_once(levers):
    levers.start.value = "smallest"
    assert levers.told == [PRESETS["smallest"][0]]


def test_every_position_is_a_valid_recipe(levers):
    for lever, box in levers.boxes.items():
        for value in box.options if isinstance(box, Choice) else (box.min, box.max):
            box.value = value
            assert str(getattr(levers.recipe, lever)) == str(value)


def test_a_setting_disables_what_it_leaves_without_effect(levers):
    boxes = levers.boxes
    boxes["guidance"].value = 1.0
    assert boxes["guidance_mode"].idle == ""
    boxes["guidance"].value = 0.0
    assert "guidance is off" in boxes["guidance_mode"].idle
    boxes["steps"].value = 1
    assert list(boxes["solver"].excluded) == ["adams"]
    assert "single step" in boxes["schedule"].idle
    boxes["steps"].value, boxes["guidance"].value = 4, 1.0
    assert boxes["guidance_mode"].idle == boxes["schedule"].idle == ""
    assert boxes["solver"].excluded == {}


def test_on_a_cpu_without_units_for_it_precision_changes_nothing(monkeypatch):
    monkeypatch.setattr("tts_lab.recipe.computes", lambda precision: precision == "fp32")
    assert "fp32" in LeverControls(device="cpu").boxes["precision"].idle


def test_only_some_levers_can_be_shown():
    few = LeverControls("fits-2gb", levers=("steps",))
    assert list(few.boxes) == ["steps"]
    assert few.recipe == PRESETS["fits-2gb"][0]


@pytest.mark.parametrize("system", list(SYSTEMS))
def test_reasons_are_for_levers_and_values_that_there_are(system):
    for key in lacks(system):
        lever, _, value = key.partition(" ")
        assert lever in SHOWN or lever == "temperature"
        assert not value or value in LeverControls().boxes[lever].options


def test_a_choice_takes_only_its_options():
    choice = Choice(["a", "b"], "b", "letter")
    assert repr(choice) == "Choice(letter: b of a, b)"
    with pytest.raises(traitlets.TraitError, match="none of a, b"):
        choice.value = "c"
