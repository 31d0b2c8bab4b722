"""Sambert-HiFiGAN on the spine: it speaks, its levers do what they say, and its memory does not grow with the text."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_voice
import torch
from networks import assert_same
from sambert_recorded import acoustic_config, recorded

from tts_lab.errors import LabError, TextError, VoiceError, WeightsError
from tts_lab.experiments.vram import vram
from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer
from tts_lab.pipeline import say, speak
from tts_lab.recipe import Recipe
from tts_lab.show.labels import labels
from tts_lab.show.plots import mel_figure
from tts_lab.systems import load_system
from tts_lab.systems.sambert import stages
from tts_lab.systems.sambert.config import Source, VocoderConfig
from tts_lab.systems.sambert.emotions import asked_for
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.lengths import Lengths, durations, run_pieces
from tts_lab.systems.sambert.pieces import FINAL_PAUSE, SENTENCE_PAUSE, split_with_pauses
from tts_lab.systems.sambert.public import PublicSambert
from tts_lab.systems.sambert.stages import RANDOM_NOTE, SambertHiFiGAN, paced
from tts_lab.systems.sambert.streaming import spoken
from tts_lab.systems.sambert.voice_parts import VoiceParts
from tts_lab.types import Request

TEXT = "今天天气真好，我们去公园吧！你好。"
MIB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice.write(tmp_path_factory.mktemp("voices"), ("zhibei_emo", "zhiyan_emo", "mine"))


@pytest.fixture(scope="module")
def system(folder: Path) -> SambertHiFiGAN:
    found = load_system("sambert", "cpu", folder)
    assert isinstance(found, SambertHiFiGAN)
    return found


# --- speaking ---


def test_it_speaks_sentence_by_sentence_with_silence_between(system: SambertHiFiGAN) -> None:
    speech = say(system, TEXT, Recipe(crossfade_ms=0))
    assert (speech.sample_rate, speech.receipt.chunks) == (16_000, 2)
    assert RANDOM_NOTE not in speech.receipt.notes
    for wave, pause in zip(speech.waves, (SENTENCE_PAUSE, FINAL_PAUSE), strict=True):
        silent = round(16_000 * pause)
        frames = wave.mel.semantic.frames
        assert wave.samples.shape == (1, 200 * frames + silent)
        assert not wave.samples[0, -silent:].any()
        assert wave.samples[0, :-silent].abs().max() > 0
        assert wave.mel.values.shape == (1, 10, frames)


def test_pauses_stand_after_sentences_and_not_inside_them() -> None:
    text = "第一句话很短。“第二句。”\n第三行没有标点\n" + "很长的一句话，" * 12 + "完了！"
    found = list(split_with_pauses(text, 60))
    assert [pause for _, pause in found[:3]] == [SENTENCE_PAUSE] * 3
    assert [pause for _, pause in found[3:]] == [*[0.0] * (len(found) - 4), FINAL_PAUSE]
    assert len(found) > 4
    ssml = '<speak><emotion category="sad">你好。</emotion>再见</speak>'
    assert [pause for _, pause in split_with_pauses(ssml)] == [SENTENCE_PAUSE, FINAL_PAUSE]


def test_the_sound_is_that_of_the_networks_run_by_hand(system: SambertHiFiGAN) -> None:
    """The same plan, streamed through the decoder, the postnet and the vocoder, without the spine."""
    wave = say(system, "你好世界。").waves[0]
    parts, codes = system.parts("zhibei"), wave.mel.semantic.codes
    plan = Plan(
        codes["text"], codes["speaker"], codes["emotion"], (wave.mel.semantic.durations,), (int(codes["band"]),)
    )
    by_hand = torch.cat(list(spoken(parts.acoustic, plan, parts.vocoder)), 1)
    torch.testing.assert_close(wave.samples[:, : by_hand.shape[1]], by_hand, rtol=0, atol=1e-4)


def test_one_seed_gives_one_result_and_without_a_source_the_seed_does_not_matter(
    system: SambertHiFiGAN, tmp_path: Path
) -> None:
    first, again, other = (say(system, Request(TEXT, seed=seed)).samples for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other)  # nothing is drawn
    pitched = load_system("sambert", "cpu", tiny_voice.write(tmp_path, pitch=True))
    first, again, other = (say(pitched, Request(TEXT, seed=seed)).samples for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pitch_is_told_apart_from_the_mel(tmp_path: Path) -> None:
    system = load_system("sambert", "cpu", tiny_voice.write(tmp_path, pitch=True, embedded=True))
    mel = say(system, "你好。").waves[0].mel
    assert mel.values.shape[1] == 10
    f0, voiced = mel.extra["pitch"][0]
    assert f0.min() >= 30
    assert set(voiced.tolist()) <= {0.0, 1.0}


def test_speed_changes_the_length_to_a_frame(system: SambertHiFiGAN) -> None:
    slow, normal, fast = (
        sum(w.mel.semantic.frames for w in say(system, Request("今天天气真好。", speed=speed)).waves)
        for speed in (0.5, 1.0, 2.0)
    )
    assert slow == 2 * normal
    assert fast == pytest.approx(normal / 2, abs=1)


def test_a_very_short_plan_keeps_a_frame() -> None:
    none = torch.zeros(1, 2, 3)
    assert paced(Plan(none, none, none, ((0, 1),), (1,)), 2.0, 3).durations == ((0, 1),)


@pytest.mark.parametrize("levers", [{"tile": 16}, {"attention": "math"}, {"max_chars": 10}, {"offload": "stage"}])
def test_levers_leave_the_sound(system: SambertHiFiGAN, levers: dict[str, Any]) -> None:
    text = "今天天气真好。"
    plain, moved = (say(system, text, recipe).samples for recipe in (Recipe(), Recipe(**levers)))
    torch.testing.assert_close(plain, moved, rtol=0, atol=1e-4)


def test_levers_that_do_nothing_are_named(system: SambertHiFiGAN) -> None:
    notes = say(system, "你好", Recipe(steps=8, beams=2, offload="voice")).receipt.notes
    assert any(note.startswith("steps 8, beams 2 change nothing: sambert writes") for note in notes)
    assert any(note.startswith("offload voice changes nothing: sambert has no part") for note in notes)
    assert not [note for note in say(system, "你好").receipt.notes if "nothing" in note]


# --- voices, speakers, emotions ---


def test_voices_have_the_names_that_people_use(system: SambertHiFiGAN) -> None:
    assert system.voices == ("zhibei", "zhiyan", "mine")
    sounds = [say(system, Request("你好", voice=voice)) for voice in (None, "知北", "知贝", "zhibei_emo", "ZHIBEI")]
    assert all(torch.equal(sounds[0].samples, sound.samples) for sound in sounds[1:])
    other = say(system, Request("你好", voice="知雁"))
    assert other.receipt.voice == "zhiyan"
    assert not torch.equal(other.samples, sounds[0].samples)
    assert "知北" in system.about_voices()["zhibei"]


def test_a_speaker_of_the_table_is_chosen_after_a_colon(system: SambertHiFiGAN) -> None:
    plain, first, other = (
        say(system, Request("你好", voice=voice)) for voice in ("zhibei", "zhibei:F7", "知北:xiaoyu")
    )
    assert torch.equal(plain.samples, first.samples)
    assert not torch.equal(plain.samples, other.samples)
    assert other.receipt.voice == "zhibei:xiaoyu"


def test_emotions_by_name_mixture_and_strength(system: SambertHiFiGAN) -> None:
    def sound(emotion: str | None, strength: float = 1.0) -> torch.Tensor:
        return say(system, Request("今天天气真好", emotion=emotion, emotion_strength=strength)).samples

    assert torch.equal(sound("happy"), sound("高兴"))
    assert torch.equal(sound(None), sound("neutral"))
    assert torch.equal(sound("happy", 0.0), sound(None))
    assert torch.equal(sound("30% happy + 70% neutral"), sound("happy", 0.3))
    assert torch.equal(sound("100% happy"), sound("happy"))
    assert len({len(sound(e)) for e in ("happy", "sad", "50% happy + 50% sad", None)}) > 1


def test_a_mixture_is_between_its_rows(system: SambertHiFiGAN) -> None:
    table = system.parts("zhibei").acoustic.emo_tokenizer.weight
    prompt = system.speaker(Request("", emotion="25% happy + 75% sad"), Recipe())
    torch.testing.assert_close(prompt.style[0], 0.25 * table[5] + 0.75 * table[6])
    assert prompt.extra["notes"] == ("emotion: 75% sad + 25% happy, a mixture that the model was never taught.",)
    assert asked_for("happy + sad", 0.5) == {"neutral": 0.5, "happy": 0.25, "sad": 0.25}


def test_ssml_sets_emotions_word_by_word_and_a_mixture_holds_elsewhere(system: SambertHiFiGAN) -> None:
    def emotions(text: str, emotion: str | None) -> torch.Tensor:
        chunk = next(iter(system.split(Request(text), Recipe())))
        prompt = system.speaker(Request(text, emotion=emotion), Recipe())
        return system.semantic(chunk, prompt, Recipe()).codes["emotion"][0]

    table = system.parts("zhibei").acoustic.emo_tokenizer.weight
    happy, neutral = table[5], table[1]
    marked = emotions('<speak><emotion category="happy">你好</emotion>世界。</speak>', None)
    torch.testing.assert_close(marked[0], happy)
    torch.testing.assert_close(marked[-2], neutral)
    torch.testing.assert_close(marked[-1], table[0])  # a break has none
    mixed = emotions('<speak><emotion category="happy">你好</emotion>世界。</speak>', "50% sad + 50% angry")
    torch.testing.assert_close(mixed[0], happy)
    torch.testing.assert_close(mixed[-2], (table[6] + table[2]) / 2)
    torch.testing.assert_close(mixed[-1], table[0])


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        (Request("你好", voice="zhibai"), VoiceError, r"No voice is called 'zhibai' \(did you mean 'zhibei'\?\); here are"),
        (Request("你好", voice="知哲"), VoiceError, "zhizhe .* is not among these weights.*fetch sambert --voice zhizhe"),
        (Request("你好", voice="zhibei:F8"), VoiceError, r"No speaker is called 'F8' \(did you mean 'F7'\?\)"),
        (Request("你好", emotion="hapy"), VoiceError, r"No emotion is called 'hapy' \(did you mean 'happy'\?\)"),
        (Request("你好", emotion="30% happy + 30% sad"), VoiceError, "sum to 60%"),
        (Request("你好", emotion_text="高兴"), VoiceError, "by its name, or a mixture"),
        (Request("你好", emotion_weights=(1.0,)), VoiceError, "by its name, or a mixture"),
        (Request("你好", reference=Path("a.wav")), VoiceError, "no input for a reference clip"),
        (Request(" "), TextError, "no text to speak"),
        (Request("，。"), TextError, "nothing to speak"),
        (Request("<speak>你好"), TextError, "malformed at line 1, column 10"),
        (Request('<speak><emotion category="hapy">好</emotion></speak>'), TextError, "line 1, column 8.*'happy'"),
    ],
)  # fmt: skip
def test_bad_input_is_a_sentence(system: SambertHiFiGAN, request_: Request, error: type[LabError], words: str) -> None:
    with pytest.raises(error, match=words):
        say(system, request_)


def test_characters_without_a_reading_are_reported(system: SambertHiFiGAN) -> None:
    assert say(system, "你好😀世界").receipt.unknown == ("😀",)


def test_voices_of_two_rates_are_not_mixed(system: SambertHiFiGAN) -> None:
    def slow() -> VoiceParts:
        return VoiceParts(*(system.parts("mine").modules().values()), sample_rate=8000)  # type: ignore[arg-type]

    both = SambertHiFiGAN({"a": lambda: system.parts("mine"), "b": slow})
    with pytest.raises(WeightsError, match="8000 Hz, a at 16000 Hz"):
        say(both, Request("你好", voice="b"))


def test_random_weights_speak_and_say_so() -> None:
    system = load_system("sambert", "cpu", "random")
    assert system.voices == ("random",)
    speech = say(system, "你好")
    assert RANDOM_NOTE in speech.receipt.notes
    assert torch.isfinite(speech.samples).all()
    assert 0.2 < speech.receipt.audio_seconds < 2


def test_two_and_a_half_hours_stream_in_bounded_memory(system: SambertHiFiGAN) -> None:
    """Its first pieces come at once, whatever follows: only the text itself is held."""
    text = "".join(f"这是第{i}句话，它不太长，也不太短。" for i in range(3000))
    assert len(text) > 4.5 * 9000  # syllables of 2.5 hours, nearly
    read: list[str] = []

    class Watched(SambertHiFiGAN):
        def split(self, request: Request, recipe: Recipe) -> Iterator[Any]:
            for chunk in super().split(request, recipe):
                read.append(chunk.text)
                yield chunk

    watched = Watched(system.loaders)
    waves = list(itertools.islice(speak(watched, Request(text), Recipe()), 3))
    assert len(read) == 3
    assert sum(map(len, read)) < 200
    assert all(wave.samples.shape[1] < 30 * 16_000 for wave in waves)


# --- pictures ---


def test_syllables_stand_under_the_mel(system: SambertHiFiGAN) -> None:
    mel = say(system, "今天天气真好！").waves[0].mel
    found = labels(mel)
    assert [label.text for label in found] == ["jīn", "tiān", "tiān", "qì", "zhēn", "hǎo"]
    assert found[-1].end <= mel.semantic.frames * 200 / 16_000 + 1e-9
    ssml = say(system, '<speak><emotion category="sad">花儿</emotion>很红。</speak>').waves[0].mel
    assert [label.text for label in labels(ssml)] == ["huār", "hěn", "hóng"]


def test_a_mel_on_its_own_scale_is_drawn_from_its_lowest_to_its_highest(system: SambertHiFiGAN) -> None:
    speech = say(system, TEXT)
    figure = mel_figure(speech)
    values = np.concatenate([wave.mel.values[0].numpy() for wave in speech.waves], 1)
    image = figure.axes[1].images[0]
    assert (image.norm.vmin, image.norm.vmax) == pytest.approx((values.min(), values.max()))
    assert "own scale" in figure.axes[2].get_ylabel()


# --- memory ---

NARROW = VocoderConfig(14, 32)
PITCHED = VocoderConfig(12, 32, nsf_params=Source(7, 16_000))


def narrow(device: str, pitch: bool = False) -> VoiceParts:
    config = acoustic_config(
        recorded("acoustic_small")[1]["config"]
        | ({"NSF": True, "nsf_norm_type": "global", "speaker": 9} if pitch else {"speaker": 9})
    )
    return VoiceParts.build(config, PITCHED if pitch else NARROW, device="meta" if device == "meta" else "cpu")


def log(recipe: Recipe, device: str = "meta", pieces: tuple[tuple[int, int], ...] = ((9, 70), (12, 90)),
        pitch: bool = False, system: Any = stages, shorten: bool = True) -> EventLog:  # fmt: skip
    tracer = Tracer(device, shorten=shorten)
    kind = {} if system is stages else {"system": system}
    run_pieces(recipe, Lengths(pieces), tracer, narrow(device, pitch), **kind)
    return tracer.log


@pytest.mark.parametrize("pitch", [False, True])
@pytest.mark.parametrize(
    "levers",
    [
        {}, {"attention": "math"}, {"offload": "stage"}, {"offload": "voice"}, {"tile": 8}, {"precision": "fp16"},
        {"precision": "bf16", "offload": "stage", "tile": 16}, {"offload": "layers", "tile": 8},
    ],
)  # fmt: skip
def test_meta_equals_the_cpu_event_for_event(levers: dict[str, Any], pitch: bool) -> None:
    recipe = Recipe(**levers)
    assert_same(log(recipe, pitch=pitch), log(recipe, "cpu", pitch=pitch))


def test_meta_equals_the_cpu_for_the_public_way() -> None:
    assert_same(log(Recipe(), system=PublicSambert), log(Recipe(), "cpu", system=PublicSambert))


def test_shortening_keeps_the_peak() -> None:
    for system in (stages, PublicSambert):
        full, short = (log(Recipe(), pieces=((40, 300),) * 2, system=system, shorten=s) for s in (False, True))
        assert short.peak_bytes() == full.peak_bytes()


def test_one_resident_stage_leaves_nothing_behind() -> None:
    none, stage = (log(Recipe(offload=where)) for where in ("none", "stage"))
    weights = sum(p.nbytes for module in narrow("meta").modules().values() for p in module.state_dict().values())
    assert none.live_bytes()[-1] == weights
    assert stage.live_bytes()[-1] == 0


PIECE = 9.0  # seconds of speech in one piece


def peak(system: str, seconds: float, **options: Any) -> float:
    return vram(system, "8gb", seconds=seconds, **options).peak_allocated / MIB


def test_memory_does_not_depend_on_the_length_beyond_a_piece() -> None:
    assert peak("sambert", 6000) == pytest.approx(peak("sambert", 600), rel=0.001)
    assert peak("sambert", 600) == pytest.approx(peak("sambert", 39.9), rel=0.02)  # whose pieces are a little shorter
    assert peak("sambert", 30) < 160


def test_layers_leave_as_stages() -> None:
    layers, stage = (vram("sambert", "8gb", Recipe(offload=where), PIECE) for where in ("layers", "stage"))
    assert layers.peak_allocated == stage.peak_allocated
    assert any("works as offload stage" in note for note in layers.notes)


def test_levers_that_save_do() -> None:
    plain, tiled, half = (
        peak("sambert", PIECE, recipe=Recipe(**way)) for way in ({}, {"tile": 64}, {"precision": "fp16"})
    )
    assert tiled < 0.8 * plain
    assert half < 0.65 * plain


def test_the_public_way_keeps_its_maps() -> None:
    """12 layers, 8 heads, own and text maps of (frames / 3)^2 numbers: 2.3 GiB a minute, with the square of it."""
    maps = 12 * 2 * 8 * (60 * 80 / 3) ** 2 * 4 / MIB
    assert peak("sambert-public", 60) == pytest.approx(maps, rel=0.2)
    assert peak("sambert-public", 120) > 7 * 1024


def test_traces_do_not_run_away() -> None:
    """Equal pieces are left out of ours; the public way has none, and its trace grows with the speech."""
    assert vram("sambert", "8gb", seconds=300.5).about["operators"] < 100_000
    assert vram("sambert-public", "8gb", seconds=30.5).about["operators"] < 40_000


@pytest.mark.parametrize("pieces", [(), ((0, 5),), ((6, 5),), ((5,),)])
def test_a_missing_or_impossible_length_is_named(pieces: Any) -> None:
    with pytest.raises(LabError, match=r"needs explicit lengths|A piece"):
        Lengths(pieces)


@pytest.mark.parametrize(("units", "frames"), [(1, 5), (3, 3), (10, 70), (2, 100)])
def test_durations_add_up(units: int, frames: int) -> None:
    row = durations(units, frames)
    assert (len(row), sum(row)) == (units, frames)
    assert min(row) >= 1
