from __future__ import annotations

import pytest

from tts_lab.errors import LabError
from tts_lab.show.sound_player import SoundPlayer
from tts_lab.show.workbench import SENTENCE, TAKES, Workbench


@pytest.fixture
def bench(system):
    return Workbench(system)


@pytest.fixture(scope="module")
def full_size():
    return Workbench("sambert", "今天天气真好。")  # the smallest of released size: traced in a moment


def test_speaks_what_the_controls_say(bench):
    bench.voice.value, bench.seed.value = "high", 7
    bench.levers.boxes["steps"].value, bench.levers.boxes["guidance"].value = 8, 0.0
    bench.button.click()
    assert (bench.speech.request.text, bench.speech.request.seed) == (SENTENCE, 7)
    assert (bench.speech.receipt.voice, bench.speech.receipt.evaluations) == ("high", 8)
    assert "real-time factor" in bench.receipt.value
    assert "8 evaluations" in bench.status.value
    assert not bench.button.disabled


def test_takes_are_kept_to_be_heard_side_by_side(bench):
    for steps in (2, 4, 8):
        bench.levers.boxes["steps"].value = steps
        bench.speak()
    (player,) = bench.sound.children
    assert isinstance(player, SoundPlayer)
    assert [track["label"] for track in player.tracks] == ["A: steps 2", "B: default", "C: steps 8"]
    assert player.chosen == 2
    for _ in range(TAKES):
        bench.speak()
    assert len(bench.takes) == TAKES
    assert next(iter(bench.takes)).startswith("D:")


def test_a_take_is_named_by_what_is_new_in_it(bench):
    bench.speak()
    bench.voice.value = "high"
    bench.speak()
    bench.levers.boxes["steps"].value = 2
    bench.speak()
    assert list(bench.takes) == ["A: default", "B: high", "C: high, steps 2"]


def test_an_emotion_has_a_strength_and_neutral_has_none():
    bench = Workbench("mini", "你好。")
    assert bench.strength.disabled
    bench.levers.boxes["steps"].value, bench.emotion.value = 2, "sad"
    assert not bench.strength.disabled
    bench.strength.value = 0.5
    bench.speak()
    assert (bench.speech.request.emotion, bench.speech.request.emotion_strength) == ("sad", 0.5)
    assert list(bench.takes) == ["A: 50% sad, steps 2"]
    assert "-0.8 semitones" in bench.receipt.value
    bench.emotion.value = "neutral"
    assert bench.strength.disabled
    bench.speak()
    assert list(bench.takes)[1] == "B: steps 2"


@pytest.mark.parametrize("text", ["", "😀"])
def test_what_cannot_be_spoken_is_answered_by_a_sentence(bench, text, capsys):
    bench.button.click()
    bench.text.value = text
    bench.button.click()
    assert "give some Chinese text" in bench.status.value
    assert (bench.speech, bench.receipt.value) == (None, "")
    assert len(bench.takes) == 1  # what was spoken before is not lost
    assert not bench.button.disabled
    assert capsys.readouterr().err == ""


def test_the_sentence_is_escaped(bench, monkeypatch):
    monkeypatch.setattr(bench, "_say", lambda: (_ for _ in ()).throw(LabError("<script>")))
    bench.speak()
    assert "&lt;script&gt;" in bench.status.value


def test_an_error_of_ours_is_raised_and_frees_the_button(bench, monkeypatch):
    monkeypatch.setattr(bench, "_say", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.speak()
    assert not bench.button.disabled
    assert "error of the lab" in bench.status.value


def test_repr_is_the_same_every_time(bench):
    assert repr(bench).startswith("Workbench(fake on rtx3070: steps, guidance, max_chars, solver,")


def test_the_bar_is_what_the_library_predicts(full_size):
    from tts_lab.experiments.vram import vram

    report = vram("sambert", "rtx3070", full_size.recipe, full_size.seconds, 15)
    assert full_size.report.peak_reserved == report.peak_reserved
    assert f"{(report.context + report.peak_reserved) / 2**30:.2f} of 7.57 GiB" in full_size.bar.value
    assert "fits" in full_size.bar.value


def test_a_lever_and_the_card_move_the_bar(full_size):
    before = full_size.report.peak_reserved
    full_size.levers.boxes["precision"].value = "fp16"
    assert full_size.report.peak_reserved < before
    full_size.card.value = "4gb"
    assert "a card of 4gb" in full_size.bar.value
    full_size.card.value = "rtx9999"
    assert full_size.report is None
    assert "rtx9999" in full_size.bar.value
    full_size.card.value, full_size.levers.boxes["precision"].value = "rtx3070", "fp32"
    assert full_size.report.peak_reserved == before


def test_memory_is_predicted_for_about_the_length_of_the_text(full_size):
    assert full_size.seconds == 2
    full_size.text.value = "今天天气真好。" * 20
    assert full_size.seconds == 30
    assert "up to 30 s" in full_size.bar.value
    full_size.text.value = "今天天气真好。"


def test_weights_that_are_not_here_are_answered_by_a_sentence(full_size, monkeypatch, tmp_path):
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    full_size.speak()
    assert "tts-lab fetch sambert" in full_size.status.value
    assert full_size.speech is None


def test_what_a_system_does_not_have_is_disabled_and_says_why(full_size):
    boxes = full_size.levers.boxes
    assert boxes["steps"].disabled
    assert "one pass" in boxes["steps"].tooltip
    assert "one pass" in boxes["solver"].idle
    assert "layers" in boxes["offload"].excluded
    assert not boxes["precision"].idle
    full_size.system.value = "mini"
    assert not boxes["steps"].disabled
    assert boxes["solver"].idle == ""
    assert list(boxes["offload"].excluded) == ["voice"]
    assert full_size.voice.value == full_size.voice.options[1][1]
    full_size.system.value = "sambert"
