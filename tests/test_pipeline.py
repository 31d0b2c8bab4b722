from __future__ import annotations

import math
import weakref

import pytest
import soundfile
import torch

from tts_lab.audio.join import joined_length
from tts_lab.errors import OutputError, RecipeError, TextError, VoiceError
from tts_lab.memory.meter import NullMeter
from tts_lab.noise import noise
from tts_lab.pipeline import say, speak, speak_to_file
from tts_lab.recipe import Recipe
from tts_lab.types import Request

TEXT = "今天天气真好，我们一起去公园吧！"
SHORT = Recipe(max_chars=10)


class Broken:
    """A system that fails in the vocoder of its second chunk."""

    def __init__(self, system, error):
        self.system, self.error, self.calls = system, error, 0

    def __getattr__(self, name):
        return getattr(self.system, name)

    def vocoder(self, mel, recipe):
        self.calls += 1
        if self.calls == 2:
            raise self.error
        return self.system.vocoder(mel, recipe)


class Spy:
    """Records whether autograd and inference mode were on in each stage."""

    def __init__(self, system):
        self.system, self.seen = system, []

    def __getattr__(self, name):
        value = getattr(self.system, name)
        if name not in ("speaker", "semantic", "acoustic", "vocoder"):
            return value

        def stage(*args):
            self.seen.append((name, torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
            return value(*args)

        return stage


def test_spine_runs_the_stages_in_order_for_each_chunk(system):
    spy = Spy(system)
    waves = list(speak(spy, Request(TEXT), SHORT))
    assert [name for name, *_ in spy.seen] == ["speaker"] + ["semantic", "acoustic", "vocoder"] * 2
    assert [w.mel.semantic.chunk.index for w in waves] == [0, 1]


def test_stages_run_in_inference_mode_which_never_reaches_the_consumer(system):
    spy = Spy(system)
    for _ in speak(spy, Request(TEXT), SHORT):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()
        weight = torch.ones(2, requires_grad=True)
        (weight * 2).sum().backward()
        assert weight.grad.tolist() == [2, 2]
    assert all(inference and not grad for _, inference, grad in spy.seen)


def test_abandoned_or_failing_spine_leaves_no_inference_mode_behind(system):
    spine = speak(system, Request(TEXT), SHORT)
    next(spine)
    spine.close()
    assert not torch.is_inference_mode_enabled()
    with pytest.raises(ZeroDivisionError):
        list(speak(Broken(system, ZeroDivisionError()), Request(TEXT), SHORT))
    assert not torch.is_inference_mode_enabled()


def test_interleaved_spines_do_not_disturb_each_other(system):
    a, b = speak(system, Request(TEXT), SHORT), speak(system, Request(TEXT, seed=1), SHORT)
    mixed = [next(a), next(b), next(a), next(b)]
    assert torch.equal(mixed[2].samples, list(speak(system, Request(TEXT), SHORT))[1].samples)
    assert torch.equal(mixed[3].samples, list(speak(system, Request(TEXT, seed=1), SHORT))[1].samples)


def test_spine_is_lazy(system):
    spy = Spy(system)
    spine = speak(spy, Request(TEXT * 100), SHORT)
    assert spy.seen == []
    next(spine)
    assert len(spy.seen) == 4


def test_speech_is_the_joined_pieces_and_is_an_ordinary_tensor(system):
    speech = say(system, TEXT, SHORT)
    fade = round(0.020 * 22_050)
    assert speech.samples.shape == (joined_length([w.samples.shape[-1] for w in speech.waves], fade),)
    assert len(speech.waves) == 2
    assert not speech.samples.is_inference()
    speech.samples.mul_(0.5)  # an inference tensor would refuse


def test_receipt_adds_up(system):
    speech = say(system, Request(TEXT + "☃☃", voice="high", seed=5), SHORT.replace(steps=3, guidance=1.0))
    receipt = speech.receipt
    assert (receipt.system, receipt.voice, receipt.seed, receipt.chunks) == ("fake", "high", 5, 2)
    assert receipt.evaluations == 2 * 6
    assert receipt.audio_seconds == speech.samples.shape[0] / 22_050
    assert list(receipt.stages) == ["speaker", "semantic", "acoustic", "vocoder"]
    assert 0 < sum(receipt.stages.values()) <= receipt.wall_seconds
    assert receipt.unknown == ("☃",)
    assert receipt.environment["device"] == "cpu"
    assert receipt.peak_process_bytes > 2**20


def test_receipt_notes_levers_that_do_nothing_here(system):
    notes = say(system, TEXT, Recipe.named("article-recommended").replace(steps=1)).receipt.notes
    assert {note.split()[0] for note in notes} >= {"checkpointing", "offload", "precision"}
    system.notes = lambda recipe: ("the system's own.",)
    assert say(system, TEXT).receipt.notes == ("the system's own.",)


def test_voice_defaults_to_the_first(system):
    assert say(system, TEXT).receipt.voice == "low"
    assert say(system, TEXT).request.voice == "low"


def test_receipt_says_what_the_system_made_of_a_reference(system, tmp_path):
    receipt = say(system, Request(TEXT, voice="ignored", reference=tmp_path / "me.wav")).receipt
    assert receipt.voice == "like me.wav"
    assert receipt.notes == ("The clip was shortened.",)


def test_null_meter_gives_a_receipt_without_stages(system):
    assert say(system, TEXT, meter=NullMeter()).receipt.stages == {}


def test_on_wave_sees_every_piece(system):
    seen = []
    speech = say(system, TEXT, SHORT, on_wave=seen.append)
    assert tuple(seen) == speech.waves


def test_same_seed_same_bytes_and_another_seed_others(system, tmp_path):
    paths = [tmp_path / name for name in ("a.wav", "b.wav", "c.wav")]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        speak_to_file(system, Request(TEXT, seed=seed), path, SHORT)
    first, second, third = (path.read_bytes() for path in paths)
    assert first == second
    assert first != third


def test_file_and_speech_are_the_same_sound(system, tmp_path):
    receipt = speak_to_file(system, TEXT, tmp_path / "a.wav", SHORT)
    speech = say(system, TEXT, SHORT)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert rate == 22_050
    assert torch.allclose(torch.from_numpy(samples), speech.samples, atol=1 / 32_000)
    assert receipt.what() == speech.receipt.what()


def test_long_text_streams_with_bounded_memory(system, tmp_path):
    """100,000 characters, hours of sound: no wave outlives its turn."""
    alive, most = weakref.WeakSet(), 0

    class Mark:
        """Lives as long as the wave that it is tied to (a wave itself has no hash)."""

    def watch(wave):
        nonlocal most
        mark = Mark()
        object.__setattr__(wave, "mark", mark)
        alive.add(mark)
        most = max(most, len(alive))

    request = Request("今天天气真好啊我们去" * 10_000, speed=2.0)
    receipt = speak_to_file(system, request, tmp_path / "long.wav", Recipe(max_chars=500), on_wave=watch)
    assert receipt.chunks == 200
    assert most <= 3
    assert soundfile.info(tmp_path / "long.wav").duration == pytest.approx(receipt.audio_seconds)
    assert receipt.audio_seconds > 6000


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ZeroDivisionError(), TextError("no.")])
def test_whatever_interrupts_leaves_no_file_and_keeps_the_old_one(system, tmp_path, error):
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")
    with pytest.raises(type(error)):
        speak_to_file(Broken(system, error), TEXT, path, SHORT)
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
    assert path.read_bytes() == b"old"


def test_unwritable_output_is_found_before_any_work(system, tmp_path):
    spy = Spy(system)
    for path in (tmp_path / "none" / "a.wav", tmp_path, tmp_path / "a.txt", tmp_path / "a"):
        with pytest.raises(OutputError):
            speak_to_file(spy, TEXT, path)
    assert spy.seen == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "   ", "\n", "😀😀", "☃!?"])
def test_nothing_to_say_is_an_error_and_leaves_no_file(system, tmp_path, text):
    with pytest.raises(TextError):
        say(system, text)
    with pytest.raises(TextError):
        speak_to_file(system, text, tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_system_that_yields_no_chunk_is_nothing_to_say(system, tmp_path):
    system.split = lambda request, recipe: iter(())
    with pytest.raises(TextError, match="Nothing in the text can be spoken"):
        speak_to_file(system, "你好", tmp_path / "a.wav")
    assert list(tmp_path.iterdir()) == []


def test_half_a_character_is_refused(system):
    with pytest.raises(TextError, match="Unicode"):
        say(system, "你好\udce4")


def test_unknown_voice_lists_the_known_and_guesses(system):
    with pytest.raises(VoiceError, match=r"no voice 'hihg' .did you mean 'high'\?.; its voices are low, high"):
        say(system, Request(TEXT, voice="hihg"))


@pytest.mark.parametrize("speed", [0, 0.49, 2.01, -1, math.nan, math.inf, "1", True, None])
def test_bad_speed(system, speed):
    with pytest.raises(RecipeError, match="speed must be"):
        say(system, Request(TEXT, speed=speed))


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "1", None, True])
def test_bad_seed(system, seed):
    with pytest.raises(RecipeError, match="seed must be"):
        say(system, Request(TEXT, seed=seed))


def test_noise_is_standard_normal_and_its_seed_decides():
    a, b, c = noise((200, 500), 1), noise((200, 500), 1), noise((200, 500), 2)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.dtype == torch.float32
    assert abs(float(a.mean())) < 0.01
    assert abs(float(a.std()) - 1) < 0.01


def test_noise_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    noise((5,), 9)
    assert torch.equal(torch.randn(3), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_noise_is_the_same_on_a_card():
    assert torch.equal(noise((100,), 1, "cuda").cpu(), noise((100,), 1))
