"""Drift of a long text: what is planted into sounds comes out, joints are those of the sound, and nothing is kept."""

from __future__ import annotations

import json
import math
import weakref
from dataclasses import replace

import pytest
import torch

from fake_system import ToneSystem, is_han
from tts_lab.audio.clicks import CLICK_DB, at_joints
from tts_lab.audio.join import concatenate, crossfade
from tts_lab.audio.loudness import measure
from tts_lab.errors import LabError, TextError
from tts_lab.experiments.drift import Drift, drift
from tts_lab.experiments.pieces import Piece, measured, syllables
from tts_lab.experiments.trends import DRIFTS, NONE
from tts_lab.paths import data_dir
from tts_lab.pipeline import say, speak
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.types import Chunk, Mel, Request, Semantic, Wave

RATE = 22_050
TEN = "一二三四五六七八九十"
SHORT = Recipe(steps=1, guidance=0.0, max_chars=10)


def spoken(hertz: float, level: float, seconds: float, count: int = 4, pause: float = 0.3) -> Wave:
    """A buzz of `count` syllables, between two pauses."""
    t = torch.arange(round(seconds * RATE)) / RATE
    tones = sum(torch.sin(2 * math.pi * k * hertz * t) / k for k in range(1, 9))
    edges = torch.minimum(t, t.flip(0)).mul(100).clamp(max=1)  # 10 ms, so that a syllable does not begin with a click
    still = torch.zeros(round(pause * RATE))
    codes = {"syllable": torch.tensor([[-1, *range(count), -1]])}
    semantic = Semantic(Chunk("声" * count, 0, 0), (), (), 1, codes)
    return Wave(
        torch.cat([still, level * tones * edges, still])[None], RATE, Mel(torch.zeros(1, 80, 1), RATE, 256, 1, semantic)
    )


def told(waves: list[Wave], fade: int = 441) -> Drift:
    return Drift("buzz", tuple(measured(waves, fade)))


def test_a_piece_is_what_was_put_into_it() -> None:
    (first, second) = told([spoken(200, 0.1, 1.0), spoken(200, 0.1, 2.0, count=10)]).pieces
    assert (first.syllables, second.syllables) == (4, 10)
    assert first.pace == pytest.approx(4, rel=0.05)
    assert second.pace == pytest.approx(5, rel=0.05)
    assert first.pace_with_pauses == pytest.approx(4 / 1.6)
    assert first.f0 == pytest.approx(200, rel=0.01)
    assert first.f0_range == pytest.approx(0, abs=0.3)
    assert second.start == pytest.approx(first.seconds - 0.02)
    assert first.click is None
    assert second.click is not None


def test_loudness_leaves_the_pauses_out() -> None:
    one, other = (told([spoken(200, 0.1, 2.0, pause=pause)]).pieces[0].loudness for pause in (0.1, 1.5))
    assert one == pytest.approx(other, abs=0.7)
    wave = spoken(200, 0.1, 2.0)
    assert told([wave]).pieces[0].loudness == pytest.approx(measure(wave.samples[0], RATE))


@pytest.mark.parametrize(
    ("name", "moved", "change"),
    [
        ("loudness", lambda i: {"level": 0.1 * 10 ** (0.4 * i / 20)}, 0.4 * 9),
        ("pitch", lambda i: {"hertz": 180 * 2 ** (0.3 * i / 12)}, 0.3 * 9),
        ("pace", lambda i: {"seconds": 1.2 * math.exp(-0.03 * i)}, 3 * 9),
    ],
)
def test_each_drift_is_found_and_the_others_are_none(name, moved, change) -> None:
    found = told([spoken(**{"hertz": 180, "level": 0.1, "seconds": 1.2, **moved(i)}) for i in range(10)])
    assert found.trends[name].verdict == DRIFTS
    assert found.trends[name].change.value == pytest.approx(change, rel=0.15)
    assert [each.verdict for other, each in found.trends.items() if other != name] == [NONE] * 2
    assert f"{name}: {DRIFTS}" in repr(found)


def test_a_click_is_told_of_the_piece_that_begins_with_it() -> None:
    waves = [spoken(150 + i, 0.1, 0.5) for i in range(8)]
    cut = waves[3].samples[0]
    place = round(0.5 * RATE)
    waves[3] = replace(waves[3], samples=cut[None, : place + int(cut[place : place + 200].argmax())])  # on a peak
    found = told(waves, fade=0)
    assert [found.pieces.index(piece) for piece in found.clicking] == [4]
    assert "clicks: 1 of 7 joints" in found.sentences[-1]
    assert told(waves).clicking == ()  # the fade mends it


def test_silence_says_nothing_and_does_not_fall() -> None:
    waves = [spoken(150, 0.1, 0.5) for _ in range(7)]
    waves[2] = replace(waves[2], samples=torch.zeros(1, RATE))
    found = told(waves)
    assert (found.pieces[2].loudness, found.pieces[2].f0) == (None, None)
    assert len(found.levels("pitch")[0]) == 6
    assert found.trends["pitch"].verdict == NONE
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))


def test_few_pieces_are_an_error_that_says_so() -> None:
    found = told([spoken(150, 0.1, 0.5) for _ in range(5)])
    with pytest.raises(LabError, match="6 pieces or more.*5; give a longer text"):
        _ = found.trends


def test_it_comes_back_from_a_file_and_shows_itself() -> None:
    waves = [spoken(150 + i % 3, 0.1, 0.5 + i % 2 / 5) for i in range(7)]
    found = replace(told(waves), backwards=told(waves[::-1]).pieces)
    again = Drift.from_dict(json.loads(json.dumps(found.to_dict())))
    assert [p.f0 for p in again.backwards] == [p.f0 for p in again.pieces][::-1]
    assert repr(again) == repr(found)
    assert again._repr_html_().count("<tr>") == 4
    assert "from the first piece" in again._repr_html_()
    frame = found.frame()
    assert len(frame) == 7
    assert {"start", "pace", "pace_with_pauses", "loudness", "f0", "f0_range", "click"} <= set(frame.columns)


# --- A system that speaks ---


def test_pieces_are_those_of_the_joined_sound() -> None:
    text = "。".join([TEN, TEN[:4], TEN, TEN[2:], TEN, TEN[1:7]])
    found, speech = drift(ToneSystem(), Request(text), SHORT, backwards=False), say(ToneSystem(), text, SHORT)
    assert [piece.text for piece in found.pieces] == [wave.mel.semantic.chunk.text for wave in speech.waves]
    assert found.seconds == pytest.approx(len(speech.samples) / RATE)
    assert sum(piece.syllables for piece in found.pieces) == sum(map(is_han, text))
    assert found.voice == "low"


def test_backwards_is_the_same_text_in_the_other_order_and_drawn_anew() -> None:
    found = drift(ToneSystem(), Request("".join(TEN[i:] + TEN[:i] for i in range(8)), seed=3), SHORT)
    assert [p.text for p in found.backwards] == [p.text for p in found.pieces][::-1]
    assert [p.loudness for p in found.backwards] != [p.loudness for p in found.pieces][::-1]
    assert found.trends["pitch"].chance is not None


def test_the_course_of_a_text_is_no_drift() -> None:
    """Every character has a pitch of its own: these rise."""
    text = "".join(chr(20_000 + 3 * i) * 10 for i in range(8))
    once, twice = (drift(ToneSystem(), Request(text), SHORT, backwards=way) for way in (False, True))
    assert once.trends["pitch"].verdict == DRIFTS
    assert twice.trends["pitch"].verdict == NONE
    assert twice.trends["pitch"].spread == once.trends["pitch"].spread


def test_waves_are_not_kept() -> None:
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = 0

    class Watched(ToneSystem):
        def vocoder(self, mel: Mel, recipe: Recipe) -> Wave:
            nonlocal most
            wave = super().vocoder(mel, recipe)
            alive.add(wave.samples)
            most = max(most, len(alive))
            return wave

    seen: list[float] = []
    drift(Watched(), Request(TEN * 12), SHORT, on_wave=lambda wave: seen.append(wave.seconds))
    assert len(seen) == 12
    assert most <= 2


def test_a_text_without_words_is_refused() -> None:
    with pytest.raises(TextError):
        drift(ToneSystem(), Request("***"), SHORT)


def test_syllables_as_the_system_says() -> None:
    plain = Semantic(Chunk("好，A好", 0, 0), (), (), 1)
    assert syllables(plain) == 2
    assert syllables(replace(plain, codes={"syllable": torch.tensor([[-1, 0, 0, -1, 1, 2]])})) == 3
    assert syllables(replace(plain, syllables=("hao3", "ei1", "hao3", "a5"))) == 4


# --- The bundled voice ---


@pytest.fixture(scope="module")
def real() -> list[torch.Tensor]:
    mini = load_system("mini", "cpu")
    text = "今天天气真好。我们一起去公园吧！你几点回来？"
    return [
        wave.samples[0]
        for wave in speak(mini, Request(text, voice="xiaobei"), Recipe(steps=1, guidance=0.0, max_chars=10))
    ]


def test_joints_of_the_bundled_voice_do_not_click(real) -> None:
    assert len(real) == 3
    assert all(found < CLICK_DB - 6 for found in at_joints(real, 441, RATE))


def test_damage_to_its_joints_is_found(real) -> None:
    """Each piece cut in its loudest moment, and put end to end with the next; then a spike of one sample."""
    hard = [piece[: int(piece.abs().argmax()) + 1] for piece in real]
    assert all(found > CLICK_DB for found in at_joints(hard, 0, RATE))
    spiked = [piece.clone() for piece in real]
    for piece in spiked:
        piece[100] += 0.02
    assert all(found > CLICK_DB for found in at_joints(spiked, 441, RATE))
    jumped = [torch.cat([piece, piece[int(piece.argmin()) :]]) for piece in hard]  # on in another phase
    assert all(
        found > CLICK_DB
        for found in at_joints([piece[: len(cut)] for piece, cut in zip(jumped, hard, strict=True)], 0, RATE)
    )
    assert len(concatenate(crossfade(real, 441))) < sum(map(len, real))


def test_the_story_is_a_story() -> None:
    text = (data_dir() / "texts" / "story.txt").read_text(encoding="utf-8")
    assert 1000 <= sum(not character.isspace() for character in text) <= 1100
    assert text.count("“") == text.count("”") >= 10
    assert text.count("？") >= 8
    assert any(character.isdigit() for character in text)


def test_the_whole_story_can_be_read() -> None:
    """No character without a reading, in any piece."""
    from tts_lab.text.front_end import analyse

    text = (data_dir() / "texts" / "story.txt").read_text(encoding="utf-8")
    mini = load_system("mini", "cpu")
    chunks = [*mini.split(Request(text), Recipe())]
    assert "".join("".join(c.text.split()) for c in chunks) == "".join(text.split())
    assert [u for c in chunks for u in analyse(c.text).unknown] == []


def test_a_piece_is_hashable_and_equal_by_value() -> None:
    piece = Piece("好", 0.0, 1.0, 1, 0.5, -23.0, 200.0, 1.0, None, None)
    assert piece == Piece(**piece.to_dict())
    assert hash(piece)
