from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from matplotlib.ft2font import FT2Font

from tts_lab.audio.mel import MEL_22K, MEL_22K_FULL
from tts_lab.errors import OutputError
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.show import plots
from tts_lab.show.labels import labels, mels_to_hz_ticks, slaney_mel
from tts_lab.types import Chunk, Mel, Semantic

TEXT = "今天天气真好，我们一起去公园吧！"


@pytest.fixture
def speech(system):
    return say(system, TEXT, Recipe(max_chars=10))


def spoken(texts):
    return [t.get_text() for t in texts if t.get_text()]


def semantic(units, durations, syllable=None, text="你好"):
    codes = {} if syllable is None else {"syllable": torch.tensor([syllable])}
    return Semantic(Chunk(text, 0, 0), tuple(units), tuple(durations), sum(durations), codes)


def mel_of(tokens):
    return Mel(torch.zeros(1, 80, tokens.frames), 22_050, 256, 1, tokens)


def test_figure_has_waveform_mel_and_scale_on_one_time_axis(speech):
    upper, lower, bar = plots.mel_figure(speech).axes
    seconds = speech.samples.shape[0] / 22_050
    assert upper.get_xlim() == pytest.approx((0, seconds))
    assert lower.get_xlim() == pytest.approx((0, seconds), abs=256 / 22_050)
    assert [lower.get_xlabel(), upper.get_ylabel(), bar.get_ylabel()] == ["seconds", "amplitude", "level (dB)"]
    assert "Hz" in lower.get_ylabel()


def test_pieces_are_drawn_where_they_sound(speech):
    lower = plots.mel_figure(speech).axes[1]
    first, second = (image.get_extent() for image in lower.images)
    assert first[0] == 0
    assert second[0] == pytest.approx(speech.waves[0].seconds - 0.020, abs=1e-4)
    assert second[1] == pytest.approx(speech.samples.shape[0] / 22_050, abs=1e-4)


def test_picture_shows_the_mel_itself_in_decibels(speech):
    image = plots.mel_figure(speech.waves[0]).axes[1].images[0]
    values = speech.waves[0].mel.values[0].numpy()
    expected = 20 * np.log10(np.exp(values) / np.exp(values.max()))
    assert np.allclose(image.get_array(), np.maximum(expected, plots.FLOOR_DB), atol=1e-4)


def test_decibels_stop_at_the_floor():
    level = plots.decibels(np.array([[0.0, -math.log(10), -100.0]]), 0.0)
    assert level.tolist() == [[0.0, pytest.approx(-20.0), plots.FLOOR_DB]]


def test_syllables_stand_below_in_pinyin_where_there_is_no_chinese_font(speech, monkeypatch):
    monkeypatch.setattr(plots, "chinese_font", lambda: None)
    names = spoken(plots.mel_figure(speech).axes[1].texts)
    assert names[:4] == ["jīn", "tiān", "tiān", "qì"]
    assert len(names) == 14


def test_syllables_are_characters_where_there_is_a_font(speech):
    found = [label.text for wave in speech.waves for label in labels(wave.mel, chinese=True)]
    assert "".join(found) == "今天天气真好我们一起去公园吧"


def test_a_machine_without_chinese_fonts_has_the_one_of_the_lab(speech, monkeypatch):
    monkeypatch.setattr(plots, "CHINESE_FONTS", ())
    assert plots.chinese_font() == "Droid Sans Fallback"
    figure = plots.mel_figure(speech)
    assert spoken(figure.axes[1].texts)[:4] == list("今天天气")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a glyph that it does not find
        figure._repr_png_()


def test_the_font_of_the_lab_has_every_character_of_gb_2312():
    every = {bytes([row, cell]) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF)}
    wanted = {ord(pair.decode("gb2312")) for pair in every if pair < b"\xd7\xfa" or pair > b"\xd8"}
    assert len(wanted) == 6763
    assert wanted <= set(FT2Font(str(plots.BUNDLED_FONT)).get_charmap())


def test_a_long_text_gets_no_unreadable_labels(system):
    figure = plots.mel_figure(say(system, TEXT * 5))
    assert spoken(figure.axes[1].texts) == []


def test_drawing_warns_of_nothing(speech, recwarn):
    plots.mel_figure(speech)._repr_png_()
    assert [str(w.message) for w in recwarn] == []


def test_labels_group_units_by_syllable_and_leave_marks_out():
    tokens = semantic(["^", "n", "i", "_", "x", "a", "u", "$"], [5, 2, 3, 1, 2, 2, 4, 6], [-1, 0, 0, -1, 1, 1, 1, -1])
    hop = 256 / 22_050
    found = labels(mel_of(tokens))
    assert [(label.text, round(label.start / hop), round(label.end / hop)) for label in found] == [
        ("ní", 5, 10),  # third tone before third tone
        ("hǎo", 11, 19),
    ]


def test_labels_fall_back_to_units():
    assert [label.text for label in labels(mel_of(semantic(["^", "ꭧʰ", "i", "$"], [1, 2, 3, 4])))] == ["ʈʂʰ", "i"]
    assert [label.text for label in labels(mel_of(semantic(["m", "a"], [1, 2], [0, 0])))] == ["ma"]
    assert labels(mel_of(semantic([], []))) == []
    assert [label.text for label in labels(mel_of(semantic(["m"], [1], text="😀")))] == ["m"]


def test_hertz_of_bands_agree_with_librosa():
    librosa = pytest.importorskip("librosa")
    for hertz in (0, 100, 999, 1000, 4000, 11_025):
        assert slaney_mel(hertz) == pytest.approx(librosa.hz_to_mel(hertz), abs=1e-9)


def test_ticks_span_the_front_end():
    assert mels_to_hz_ticks(80, MEL_22K)[-1] == (80, 8000)
    assert mels_to_hz_ticks(80, MEL_22K)[0] == (0, 0)
    assert mels_to_hz_ticks(80, MEL_22K_FULL)[-1][0] < 80


def test_receipt_bar_adds_up(speech):
    axes = plots.receipt_figure(speech.receipt).axes[0]
    widths = [bar.get_width() for bar in axes.patches]
    assert len(widths) == 5
    assert sum(widths) == pytest.approx(speech.receipt.wall_seconds)


def test_repr_is_the_same_every_time(speech):
    assert repr(plots.mel_figure(speech)) == "<Picture size 1000x460 with 3 Axes>"


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no waves"):
        plots.mel_figure([])


def test_save_is_whole_or_not_at_all(speech, tmp_path, monkeypatch):
    plots.save(plots.mel_figure(speech), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    assert before.startswith(b"\x89PNG")

    def fail(self, part, **_):
        part.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(plots.Picture, "savefig", fail)
    with pytest.raises(OutputError, match="No space left"):
        plots.save(plots.mel_figure(speech), tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(("name", "part"), [("a.jpg", ".png"), ("none/a.png", "no folder"), ("a", ".png")])
def test_check_picture(tmp_path, name, part):
    with pytest.raises(OutputError, match=part):
        plots.check_picture(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
