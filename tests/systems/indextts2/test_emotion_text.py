"""The emotion model's answers, read as eight weights; and the model itself, tiny and random."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_checkpoint import write_emotion

from tts_lab.errors import TextError, VoiceError, WeightsError
from tts_lab.systems.indextts2.config import EMOTIONS
from tts_lab.systems.indextts2.emotion_text import NAMES, EmotionText, read

WHOLE = '{"高兴": 0.9, "愤怒": 0.1, "悲伤": 0.0, "恐惧": 0, "反感": 0.05, "低落": 0.0, "惊讶": 0.3, "自然": 0.02}'


def weights(**given: float) -> tuple[float, ...]:
    return tuple(given.get(name, 0.0) for name in EMOTIONS)


def test_names_are_in_the_order_of_the_weights() -> None:
    assert tuple(NAMES.values()) == EMOTIONS


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (WHOLE, weights(happy=0.9, angry=0.1, disgusted=0.05, surprised=0.3, calm=0.02)),
        (f"好的：\n```json\n{WHOLE}\n```", weights(happy=0.9, angry=0.1, disgusted=0.05, surprised=0.3, calm=0.02)),
        ('{"悲伤": 0.7, "自然"', weights(sad=0.7)),
        ("悲伤: 0.7, 自然：0.2", weights(sad=0.7, calm=0.2)),
        ('{"高兴": 5, "愤怒": -1}', weights(happy=1.2)),
        ('{"高兴": "0.5", "悲伤": null, "反感": true}', weights(happy=0.5, disgusted=1.0)),
        ('{"高兴": NaN, "愤怒": 0.4}', weights(angry=0.4)),
        ('{"emotion": "惊讶"}', weights(surprised=1.0)),
        ('{"高兴": "愤怒"}', weights(angry=1.0)),
        ('{"高兴": "高兴"}', weights(happy=1.0)),
        ("愤怒。", weights(angry=1.0)),
        ("Calm", weights(calm=1.0)),
        ('"恐惧"', weights(afraid=1.0)),
        ('{"高兴": 0, "愤怒": 0}', weights(calm=1.0)),
    ],
)
def test_answers(answer: str, found: tuple[float, ...]) -> None:
    assert read(answer) == pytest.approx(found)


def test_a_text_about_melancholy_is_not_merely_sad() -> None:
    answer = '{"悲伤": 0.8, "低落": 0.1}'
    assert read(answer, "他很难过") == weights(sad=0.8, melancholic=0.1)
    assert read(answer, "他情绪低落") == read(answer, "So GLOOMY") == weights(sad=0.1, melancholic=0.8)


@pytest.mark.parametrize("answer", ["", "我不知道", "{}", "[1, 2]", '{"weather": 0.5}', "{{{", "7", "null"])
def test_nonsense_is_a_sentence(answer: str) -> None:
    with pytest.raises(VoiceError, match=r"names no emotion: word the text otherwise, or give .* happy, angry"):
        read(answer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("emotion") / "qwen0.6bemo4-merge"
    write_emotion(path)
    return path


def test_the_model_is_loaded_when_it_is_asked_and_leaves_again(folder: Path) -> None:
    model = EmotionText(folder)
    assert not model.loaded
    first = model.answer("我太高兴了")
    assert model.loaded
    assert model._loaded[1].dtype is torch.float32  # on a CPU
    assert model.answer("我太高兴了") == first
    assert model.to("cpu").loaded
    model.unload()
    assert not model.loaded
    assert not model.to("meta").loaded


def test_thoughts_are_left_out_and_the_prompt_is_the_released_one(folder: Path, monkeypatch) -> None:
    model = EmotionText(folder)
    tokenizer, network = model._load()
    asked = []

    class Spoken:
        eos_token_id = 1

        def apply_chat_template(self, messages, **options):
            asked.append((messages, options))
            return tokenizer.apply_chat_template(messages, **options)

        def __call__(self, *args, **kwargs):
            return tokenizer(*args, **kwargs)

        def decode(self, *_, **__):
            return f"<think>maybe {{sad}}</think>\n\n{WHOLE}"

    model._loaded = Spoken(), network
    assert model.weights("真好")[0] == 0.9
    ((messages, options),) = asked
    assert [m["content"] for m in messages] == ["文本情感分类", "真好"]
    assert options == {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}


def test_a_random_model_answers_nonsense_and_an_empty_text_is_refused(folder: Path) -> None:
    with pytest.raises(VoiceError, match="names no emotion"):
        EmotionText(folder).weights("我太高兴了")
    with pytest.raises(TextError, match="no text to read an emotion from"):
        EmotionText(folder).weights("  ")


def test_a_folder_without_the_model_is_a_sentence(tmp_path: Path, folder: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in folder.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "model.safetensors").write_bytes(b"short")
    for place in (tmp_path, tmp_path / "none", damaged):
        with pytest.raises(WeightsError, match=r"cannot be loaded \(.*'tts-lab fetch indextts2 --only emotion'"):
            EmotionText(place).answer("你好")
