"""Reference clips: what is accepted, what is cut, and what is refused in one sentence."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tts_lab.audio.reference import load_reference
from tts_lab.errors import AudioError

RATE = 22_050


def voice(seconds: float, rate: int = RATE) -> np.ndarray:
    """Bursts of a buzz with short pauses: the loud-and-quiet shape of speech."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sign(np.sin(2 * math.pi * 150 * time)) * (np.sin(2 * math.pi * 3 * time) > -0.7)).astype("float32")


@pytest.fixture
def clip(tmp_path: Path):
    def make(samples: np.ndarray, rate: int = RATE, name: str = "clip.wav") -> Path:
        float_wav = {"subtype": "FLOAT"} if name.endswith(".wav") else {}
        soundfile.write(tmp_path / name, samples, rate, **float_wav)
        return tmp_path / name

    return make


def test_a_good_clip_comes_through_untouched(clip) -> None:
    found = load_reference(clip(voice(3)), RATE)
    assert found.notes == ()
    assert found.seconds == found.seconds_in_file == 3
    torch.testing.assert_close(found.samples, torch.from_numpy(voice(3)))


def test_stereo(clip) -> None:
    found = load_reference(clip(np.stack([voice(2), voice(2)], axis=1)), RATE)
    torch.testing.assert_close(found.samples, torch.from_numpy(voice(2)))
    assert found.notes == ("The clip has 2 channels; they were mixed down to one.",)


def test_telephone_quality(clip) -> None:
    found = load_reference(clip(voice(2, 8000), 8000), RATE)
    assert found.sample_rate == RATE
    assert found.samples.shape == (2 * RATE,)
    assert len(found.notes) == 1
    assert "8000 Hz" in found.notes[0]
    assert "dull" in found.notes[0]


def test_other_rates_are_resampled_without_a_note(clip) -> None:
    found = load_reference(clip(voice(2, 48_000), 48_000), 16_000)
    assert found.samples.shape == (32_000,)
    assert found.notes == ()


def test_ten_minutes_without_loading_them(clip) -> None:
    long = np.concatenate([np.zeros(60 * RATE, "float32"), voice(540)])
    path = clip(long)
    load_reference(path, RATE)  # imports are not counted
    tracemalloc.start()
    found = load_reference(path, RATE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < long.nbytes / 4
    assert found.seconds == 15
    assert found.seconds_in_file == 600
    assert 58 <= found.start <= 61.5  # the minute of silence is passed over
    assert found.notes == (f"The clip is 600.0 s long; 15.0 s from second {found.start:.1f} are used.",)


def test_a_click_before_the_voice_is_not_taken_for_it(clip) -> None:
    click = np.zeros(60 * RATE, "float32")
    click[100:3000] = 0.5
    found = load_reference(clip(np.concatenate([click, voice(20)])), RATE)
    assert found.start > 55


def test_voice_at_the_very_end(clip) -> None:
    found = load_reference(clip(np.concatenate([np.zeros(60 * RATE, "float32"), voice(3)])), RATE)
    assert found.start + found.seconds <= 63
    assert found.samples.abs().max() > 0.2


@pytest.mark.parametrize("name", ["clip.mp3", "clip.ogg", "clip.flac"])
def test_compressed_files(clip, name: str) -> None:
    found = load_reference(clip(voice(20), name=name), RATE)
    assert found.seconds == pytest.approx(15, abs=0.1)


def test_too_loud_is_scaled_and_noted(clip) -> None:
    found = load_reference(clip(10 * voice(2)), RATE)
    assert found.samples.abs().max() <= 1
    assert any("too loud" in note for note in found.notes)


def test_a_quiet_recording_is_accepted(clip) -> None:
    assert load_reference(clip(voice(2) * 0.03), RATE).notes == ()  # about -40 dBFS


def nan_clip() -> np.ndarray:
    samples = voice(2)
    samples[1000] = math.nan
    return samples


@pytest.mark.parametrize(
    ("samples", "sentence"),
    [
        (np.zeros(0), "holds no sound"),
        (voice(0.1), r"is 0\.1 s long; a reference clip needs at least 1 s"),
        (voice(0.99), r"is 0\.99 s long"),
        (np.zeros(3 * RATE), "is silent; a reference clip needs"),
        (np.zeros(60 * RATE), "is silent; a reference clip needs"),
        (np.full(3 * RATE, 0.5), "is silent; a reference clip needs"),  # a constant offset is no sound
        (np.concatenate([voice(0.2), np.zeros(5 * RATE)]), r"is silent but for 0\.\d+ s"),
        (nan_clip(), "NaN or infinity"),
        (np.full(2 * RATE, math.inf), "NaN or infinity"),
    ],
    ids=["empty", "0.1 s", "0.99 s", "silence", "long silence", "offset", "a click", "NaN", "infinite"],
)
def test_refused(clip, samples: np.ndarray, sentence: str) -> None:
    path = clip(samples)
    with pytest.raises(AudioError, match=sentence) as caught:
        load_reference(path, RATE)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shortest_is_the_callers_choice(clip) -> None:
    assert load_reference(clip(voice(0.6)), RATE, min_seconds=0.5).seconds == pytest.approx(0.6)


@pytest.mark.parametrize(("name", "content"), [("song.wav", b"not audio" * 50), ("gone.wav", None)])
def test_not_a_sound_file(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match="is not sound|There is no file"):
        load_reference(tmp_path / name, RATE)
