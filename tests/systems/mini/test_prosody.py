"""Emotion as prosody: what is asked for, what reaches the codes, what a clip tells, and what the sound then does."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.audio.pitch import fundamental, nuclei
from tts_lab.errors import VoiceError
from tts_lab.paths import data_dir, voices_dir
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe, choices
from tts_lab.systems import load_system
from tts_lab.systems.mini import prosody
from tts_lab.systems.mini.codes import PITCHES
from tts_lab.systems.mini.prosody import (
    CODES,
    EMOTIONS,
    HEARD,
    NEUTRAL,
    SHIFT,
    Habits,
    Prosody,
    blended,
    heard,
    imitated,
    voiced_in,
)
from tts_lab.types import Chunk, Request

QUICK = Recipe(steps=2)
TEXT = "今天天气真好，我们一起去公园吧！"
RATE = 22_050


@pytest.fixture(scope="module")
def mini():
    return load_system("mini", "cpu")


def one_hot(name):
    return [float(name == other) for other in EMOTIONS]


def test_the_neutral_emotion_is_the_voice_itself_bit_for_bit(mini):
    plain = say(mini, Request("你好。"), QUICK)
    for asked in ({"emotion": "neutral"}, {"emotion": "angry", "emotion_strength": 0.0}):
        assert torch.equal(say(mini, Request("你好。", **asked), QUICK).samples, plain.samples)


@pytest.mark.parametrize("name", EMOTIONS)
def test_strength_goes_from_the_voice_to_the_emotion(name):
    assert blended(one_hot(name), 0.0) == NEUTRAL
    whole, half = blended(one_hot(name)), blended(one_hot(name), 0.5)
    assert whole.level == pytest.approx(EMOTIONS[name].level)
    assert whole.range == pytest.approx(EMOTIONS[name].range)
    assert half.level == pytest.approx(EMOTIONS[name].level / 2)
    assert half.tempo**2 == pytest.approx(EMOTIONS[name].tempo)


def test_what_weights_leave_is_neutral():
    names = list(EMOTIONS)
    weights = [0.0] * len(names)
    weights[names.index("happy")] = 0.5
    assert blended(weights) == blended(one_hot("happy"), 0.5)


def test_emotions_differ_as_listeners_hear_them():
    """Joy and anger are high, lively, quick and loud; sadness and calm low, flat, slow and soft."""
    for up in ("happy", "angry"):
        for down in ("sad", "calm"):
            for side in ("level", "range", "tempo", "energy"):
                assert getattr(EMOTIONS[up], side) > getattr(NEUTRAL, side) > getattr(EMOTIONS[down], side)


@given(
    st.lists(st.integers(0, PITCHES - 1), min_size=1, max_size=30), st.floats(-5, 5), st.floats(0.5, 1.6)
)  # fmt: skip
def test_pitch_codes_keep_their_order_their_silence_and_their_table(codes, level, wide):
    before = torch.tensor([codes])
    after = Prosody(level=level, range=wide).of_codes(before)
    assert after.dtype == before.dtype
    assert torch.equal(after == 0, before == 0)
    assert int(after.max()) < PITCHES
    voiced = before[0] > 0
    order = before[0][voiced].argsort()
    assert (after[0][voiced][order].diff() >= 0).all()


def test_codes_move_further_than_the_range_that_is_to_be_heard():
    """Codes follow half of the way at best (measured): a wider or narrower voice needs more of them, up to a limit."""
    codes = torch.tensor([[PITCHES // 2 - 8, PITCHES // 2 + 8]])
    width = lambda wide: int(Prosody(range=wide).of_codes(codes).diff())  # noqa: E731
    assert width(1.0) == 16
    assert width(1.37) == 24
    assert width(0.52) == 5  # 2.4 codes either way, and a level that is not a whole code
    assert width(9.0) == width(1.6) == 32


def test_a_wider_voice_keeps_its_level():
    """The median is heard to rise with the range (measured), so codes are asked to lie lower."""
    middle = lambda wide, level=0.0: int(Prosody(level, wide).of_codes(torch.tensor([[PITCHES // 2]])))  # noqa: E731
    assert middle(1.0) == PITCHES // 2
    assert middle(1.54, 1.5) == middle(1.54) + 2
    assert middle(1.6) == PITCHES // 2 - 2  # 1.7 semitones, 0.75 each
    assert middle(0.35) == PITCHES // 2 + 1


def test_the_table_of_what_is_heard_is_what_was_measured():
    measured = json.loads((data_dir() / "measured" / "pitch_range.json").read_text(encoding="utf-8"))
    assert measured["codes"] == list(CODES)
    assert measured["heard"] == pytest.approx(HEARD, abs=0.1)
    assert measured["shift"] == pytest.approx(SHIFT, abs=0.3)


def test_no_movement_leaves_codes_alone():
    codes = torch.arange(PITCHES)[None]
    assert torch.equal(NEUTRAL.of_codes(codes), codes)


@pytest.mark.parametrize("vocoder", choices("vocoder"))
def test_what_was_measured_is_what_is_asked_for_today_and_came_near_it(vocoder):
    """Of the figures that the model card and notebook 03 show (`benchmarks/emotions.py`)."""
    measured = json.loads((data_dir() / "measured" / "emotions.json").read_text(encoding="utf-8"))["vocoders"][vocoder]
    assert {one["emotion"] for one in measured["settings"]} == set(EMOTIONS)
    sums = (voices_dir() / "SHA256SUMS").read_text(encoding="utf-8")
    assert f"{measured['origin']['voice']}  mini.safetensors" in sums
    if vocoder == "small":
        assert f"{measured['origin']['vocoder_weights']}  vocoder.safetensors" in sums
    for one in measured["settings"]:
        asked, got = EMOTIONS[one["emotion"]], one["measured"]
        assert one["asked"] == asdict(asked)
        assert got["level_semitones"] == pytest.approx(one["strength"] * asked.level, abs=0.7)
        assert got["range"] == pytest.approx(asked.range ** one["strength"], rel=0.08 if vocoder == "small" else 0.2)
        assert got["tempo"] == pytest.approx(asked.tempo ** one["strength"], rel=0.02)


@pytest.mark.parametrize("vocoder", choices("vocoder"))
def test_tempo_is_the_length_and_effort_is_the_level(mini, vocoder):
    recipe, voices = QUICK.replace(vocoder=vocoder), ("xiaobei", "yunjian")
    plain = [say(mini, Request(TEXT, voice=voice), recipe).samples for voice in voices]
    for name in ("sad", "angry"):
        louder = []
        for voice, still in zip(voices, plain, strict=True):
            moved = say(mini, Request(TEXT, voice=voice, emotion=name), recipe)
            assert len(still) / len(moved.samples) == pytest.approx(EMOTIONS[name].tempo, rel=0.02)
            louder.append(10 * math.log10(moved.samples.square().mean() / still.square().mean()))
            tokens = moved.waves[0].mel.semantic
            assert sum(tokens.durations) == tokens.frames == moved.waves[0].mel.values.shape[2]
        assert np.mean(louder) == pytest.approx(EMOTIONS[name].energy, abs=1.2)


def test_pitch_moves_about_its_median_where_there_is_a_voice_and_stays_what_can_be_spoken():
    f0, voiced = torch.tensor([[100.0, 200.0, 400.0, 600.0, 600.0]]), torch.tensor([[True, True, True, False, False]])
    moved = Prosody(level=12, range=0.5).of_pitch(f0, voiced)
    torch.testing.assert_close(moved[:, :3], torch.tensor([[400 / 2**0.5, 400.0, 400 * 2**0.5]]))
    assert Prosody(level=24).of_pitch(f0, voiced).max() == 700
    torch.testing.assert_close(NEUTRAL.of_pitch(f0, voiced), f0)
    torch.testing.assert_close(NEUTRAL.of_pitch(f0, voiced & False), f0)


def test_a_voice_is_where_low_bands_are_loud():
    centres = torch.tensor([100.0, 300.0, 4000.0])
    mel = torch.tensor([[[-9.0, -1.0, -2.0, -8.0], [-9.0, -1.0, -2.0, -9.0], [-9.0, -5.0, -5.0, -1.0]]])
    assert voiced_in(mel, centres).tolist() == [[False, True, True, False]]


def test_effort_is_louder_and_more_so_high_up():
    added = 20 / math.log(10) * Prosody(energy=4.0).of_spectrum(torch.tensor([100.0, 500.0, 1000.0, 2000.0, 8000.0]))
    torch.testing.assert_close(added, torch.tensor([4.0, 4.0, 5.0, 6.0, 6.0]))


@pytest.mark.parametrize("vocoder", choices("vocoder"))
def test_each_vocoder_is_given_the_mel_it_can_speak(mini, vocoder):
    """For the small vocoder the models write a neutral mel, and all but a slow tempo is moved after them. For the
    universal one they write a mel that is moved."""
    made = {}
    recipe = QUICK.replace(vocoder=vocoder)
    for name in ("neutral", "happy", "sad"):
        prompt = mini.speaker(Request(TEXT, emotion=name), recipe)
        made[name] = prompt.style, mini.semantic(Chunk(TEXT, 0, 3, 1.0), prompt, recipe)
    (style, neutral), (other, happy), (_, sad) = made.values()
    assert torch.equal(style, other) is (vocoder == "small")
    assert torch.equal(neutral.codes["pitch"], happy.codes["pitch"]) is (vocoder == "small")
    assert neutral.durations == happy.durations
    assert neutral.frames / sad.frames == pytest.approx(EMOTIONS["sad"].tempo, rel=0.02)


def test_the_small_vocoder_speaks_the_pitch_that_was_asked_for(mini):
    """By pYIN, of the same sentences, so that nothing but the emotion differs; the median of two by two voices each,
    because the tracker errs in one now and then."""
    texts, recipe = ("他昨天晚上没有回家。", "今天天气真好。"), QUICK.replace(vocoder="small")
    found = {name: [heard(say(mini, Request(text, voice=voice, emotion=name), recipe).samples)
                    for text in texts for voice in ("xiaobei", "yunxi")]
             for name in ("neutral", "sad", "surprised")}  # fmt: skip
    for name in ("sad", "surprised"):
        pairs = list(zip(found[name], found["neutral"], strict=True))
        level = 12 / math.log(2) * np.median([one.log_f0 - plain.log_f0 for one, plain in pairs])
        assert level == pytest.approx(EMOTIONS[name].level, abs=1.0)  # medians of other frames
        wider = np.median([one.deviation / plain.deviation for one, plain in pairs])
        assert wider == pytest.approx(EMOTIONS[name].range, rel=0.12)


def test_what_moves_neither_pitch_nor_breath_leaves_the_voice_to_the_mel():
    assert not NEUTRAL.moves_the_voice
    assert not Prosody(tempo=1.2, energy=3.0).moves_the_voice
    assert all(p.moves_the_voice for p in (Prosody(level=0.1), Prosody(range=1.1), Prosody(breath=0.1)))


def test_the_mel_that_is_shown_is_the_sounds_own(mini):
    for name in ("happy", "calm"):
        wave = say(mini, Request("你好。", emotion=name), QUICK.replace(vocoder="small")).waves[0]
        torch.testing.assert_close(wave.mel.values, log_mel(wave.samples, MEL_22K))
        assert wave.mel.values.shape[2] == wave.mel.semantic.frames


def test_breath_is_heard_of_the_small_vocoder(mini):
    """High up, a breathy voice has lost its periods: its sound less resembles itself a period later."""

    def periodic(breath):
        mel = log_mel(clip, MEL_22K)
        noise = torch.randn(1, 256, mel.shape[2], generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            f0 = mini.small.read(mel)
            sound = mini.small(mini.small.source(mel, noise, torch.full_like(f0, 220.5), breath=breath))[0]
        spectrum = torch.fft.rfft(sound)
        spectrum[: int(3000 * len(sound) / RATE)] = 0
        high = torch.fft.irfft(spectrum, len(sound))
        return float((high[:-100] * high[100:]).sum() / high.square().sum())

    samples, rate = soundfile.read(data_dir() / "references" / "xiaobei.flac", dtype="float32")
    clip = torch.from_numpy(samples[: 3 * rate // 256 * 256])
    assert periodic(1.0) < 0.75 * periodic(0.5) < 0.75 * periodic(0.0)


@pytest.mark.slow
@pytest.mark.parametrize("voice", ["xiaobei", "yunxi"])
def test_the_pitch_that_is_written_for_the_universal_vocoder_goes_where_it_was_sent(mini, voice):
    """By pYIN, not by the codes: up or down by at least half of what was asked, and livelier is wider."""
    text, recipe = "他昨天晚上没有回家。", Recipe(steps=4, vocoder="universal")
    found = {name: heard(say(mini, Request(text, voice=voice, emotion=name), recipe).samples)
             for name in ("neutral", "sad", "surprised")}  # fmt: skip
    for name in ("sad", "surprised"):
        level = 12 / math.log(2) * (found[name].log_f0 - found["neutral"].log_f0)
        asked = EMOTIONS[name].level
        assert np.sign(level) == np.sign(asked)
        assert 0.5 * abs(asked) <= abs(level) <= abs(asked) + 1.5
    assert found["sad"].deviation < found["neutral"].deviation < found["surprised"].deviation


def test_a_clip_of_a_quick_high_voice_makes_a_voice_quick_and_high():
    own, clip = Habits(math.log(200), 3.0, 4.0), Habits(math.log(200) + math.log(2) / 4, 3.6, 4.4)
    whole, half = imitated(clip, own), imitated(clip, own, 0.5)
    assert (whole.level, whole.range, whole.tempo) == pytest.approx((3.0, 1.2, 1.1))
    assert (whole.energy, whole.breath) == (0, 0)
    assert half.level == pytest.approx(1.5)
    assert imitated(own, own) == NEUTRAL


def test_a_clip_cannot_move_a_voice_beyond_what_it_was_taught():
    far = imitated(Habits(math.log(800), 30.0, 40.0), Habits(math.log(100), 3.0, 4.0))
    assert (far.level, far.range, far.tempo) == pytest.approx((5.0, 1.4, 1.3))


def test_an_emotion_is_taken_from_a_clip(mini, tmp_path):
    """Clips are mini's own speech: of a sad one comes slower, lower and flatter speech than of a neutral one."""
    found = {}
    for name in ("neutral", "sad"):
        clip = say(mini, Request(TEXT, emotion=name), QUICK)
        soundfile.write(tmp_path / f"{name}.wav", clip.samples.numpy(), RATE)
        prompt = mini.speaker(Request("你好。", emotion_reference=tmp_path / f"{name}.wav"), QUICK)
        assert any("of the clip" in note for note in prompt.extra["notes"])
        found[name] = prompt.extra["prosody"]
    assert found["sad"].tempo < 0.95 * found["neutral"].tempo
    assert found["sad"].level < found["neutral"].level - 0.5
    assert found["sad"].range < 0.8 * found["neutral"].range


def test_a_tracker_that_errs_by_an_octave_does_not_make_a_voice_lively(monkeypatch):
    tone = torch.sin(2 * math.pi * 200 * torch.arange(2 * RATE) / RATE)
    sound = tone * (1 + torch.sin(2 * math.pi * 4 * torch.arange(2 * RATE) / RATE))
    f0 = 200 * np.exp(0.1 * np.sin(np.arange(170)))
    monkeypatch.setattr(prosody, "fundamental", lambda *_: f0)
    whole = heard(sound)
    f0 = np.where(np.arange(170) % 17 == 0, 690.0, f0)
    assert heard(sound).deviation == pytest.approx(whole.deviation, rel=0.1)


def test_a_clip_without_a_voice_is_refused(mini, tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(2 * RATE)
    soundfile.write(tmp_path / "noise.wav", noise, RATE)
    with pytest.raises(VoiceError, match="too little voice"):
        mini.speaker(Request("你好。", emotion_reference=tmp_path / "noise.wav"), QUICK)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"emotion": "hapy"}, "did you mean 'happy'"),
        ({"emotion_text": "太好了"}, "does not read an emotion from a text"),
        ({"emotion_weights": (1.0, 0.0)}, "6 numbers"),
        ({"emotion_weights": (0.9, 0.9, 0, 0, 0, 0)}, "together at most 1"),
        ({"emotion_weights": (float("nan"), 0, 0, 0, 0, 0)}, "6 numbers"),
        ({"emotion": "sad", "emotion_weights": (1.0, 0, 0, 0, 0, 0)}, "several ways"),
    ],
)
def test_wrong_emotions_are_refused_with_a_way_out(mini, asked, words):
    with pytest.raises(VoiceError, match=words):
        say(mini, Request("你好。", **asked), QUICK)


def test_the_receipt_says_what_an_emotion_is(mini):
    notes = say(mini, Request("你好。", emotion="happy", emotion_strength=0.5), QUICK).receipt.notes
    assert any("not acted" in note and "+1.0 semitones" in note for note in notes)


# --- what is heard in a sound ---


def test_the_pitch_of_a_buzz_is_its_own():
    t = torch.arange(RATE) / RATE
    buzz = sum(torch.sin(2 * math.pi * 150 * k * t) / k for k in range(1, 15))
    f0 = fundamental(0.1 * buzz)
    assert np.nanmedian(f0) == pytest.approx(150, rel=0.01)


@pytest.mark.parametrize("rate", [3.0, 4.0, 5.5])
def test_syllables_are_counted_by_their_vowels(rate):
    """A tone whose level rises and falls so many times a second."""
    t = torch.arange(4 * RATE) / RATE
    level = 0.55 - 0.45 * torch.cos(2 * math.pi * rate * t)
    voice = sum(torch.sin(2 * math.pi * 200 * k * t) / k for k in range(1, 20))
    count, seconds = nuclei(0.1 * level * voice)
    assert (count - 1) / seconds == pytest.approx(rate, rel=0.03)
