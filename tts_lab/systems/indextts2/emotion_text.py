"""Eight emotion weights from a text: the small language model that is released beside IndexTTS-2.

Prompt and answer are those of the public program (index-tts, indextts/infer_v2.py, `QwenEmotion`): a system message,
the text, no thinking, and JSON with the names of emotions in Chinese. Ours takes the likeliest answer in place of a
drawn one, so that the same text gives the same emotion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tts_lab.audio.backend import torchaudio
from tts_lab.errors import LabError, TextError, VoiceError, WeightsError
from tts_lab.systems.indextts2.config import EMOTIONS

PROMPT = "文本情感分类"
NAMES = dict(zip(("高兴", "愤怒", "悲伤", "恐惧", "反感", "低落", "惊讶", "自然"), EMOTIONS, strict=True))
LABELS = ("emotion", "emotion_label", "label", "情感", "情绪")  # under which an answer may name one emotion
# The model calls all of these sad; the public program then takes melancholic in its place.
MELANCHOLIC = ("低落", "melancholy", "melancholic", "depression", "depressed", "gloomy")
MOST = 1.2  # of a weight
LONGEST = 256  # tokens of an answer, which has about 60
THOUGHT = "</think>"


class EmotionText:
    """The model, loaded when it is first asked; float16 on a card, float32 on a CPU. folder: `qwen0.6bemo4-merge`."""

    def __init__(self, folder: Path | str, device: str | torch.device = "cpu") -> None:
        self.folder = Path(folder)
        self.device = torch.device(device)
        self._loaded: tuple[Any, Any] | None = None

    @property
    def loaded(self) -> bool:
        return self._loaded is not None

    def to(self, device: str | torch.device) -> EmotionText:
        """Where it runs from now on; a model that is loaded elsewhere is dropped."""
        if torch.device(device) != self.device:
            self.device = torch.device(device)
            self.unload()
        return self

    def unload(self) -> None:
        """Leave memory; the next question loads it again."""
        self._loaded = None

    def weights(self, text: str) -> tuple[float, ...]:
        """Eight weights, 0 to 1.2, in the order of `config.EMOTIONS`.

        Raises TextError without a text, VoiceError where the answer names no emotion, WeightsError where the model
        cannot be loaded.
        """
        if not text.strip():
            raise TextError("There is no text to read an emotion from; give some words, such as 我太高兴了！")
        return read(self.answer(text), text)

    @torch.inference_mode()
    def answer(self, text: str) -> str:
        """What the model says, without its thoughts."""
        tokenizer, model = self._loaded = self._loaded or self._load()
        messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": text}]
        asked = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        given = tokenizer([asked], return_tensors="pt")["input_ids"].to(self.device)
        written = model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=LONGEST, do_sample=False,
            temperature=None, top_p=None, top_k=None, pad_token_id=tokenizer.eos_token_id,
        )  # fmt: skip
        said: str = tokenizer.decode(written[0, given.shape[1] :], skip_special_tokens=True)
        return said.rpartition(THOUGHT)[2].strip()

    def _load(self) -> tuple[Any, Any]:
        torchaudio()  # transformers imports it, which fails on a CPU build of torch unless it was prepared
        try:
            from transformers import AutoModelForCausalLM, AutoTokenizer
            from transformers.utils import logging
        except ModuleNotFoundError:
            raise LabError(
                "Emotions from a text need transformers, which is not installed; run ./lab install."
            ) from None
        dtype = torch.float32 if self.device.type == "cpu" else torch.float16
        bars = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # it would write into a receipt
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model: Any = AutoModelForCausalLM.from_pretrained(self.folder, local_files_only=True, dtype=dtype)
        except Exception as error:  # the library raises many kinds for a damaged folder
            reason = str(error).strip().split("\n")[0]
            raise WeightsError(
                f"The emotion model in {self.folder} cannot be loaded ({reason}): download it again with "
                "'tts-lab fetch indextts2 --only emotion', or give the emotion by name or by eight weights."
            ) from error
        finally:
            if bars:
                logging.enable_progress_bar()
        return tokenizer, model.to(self.device).eval().requires_grad_(False)


def read(answer: str, text: str = "") -> tuple[float, ...]:
    """Weights from an answer: a JSON object, JSON that is broken, or the name of one emotion.

    text: that was asked about, which may say what the model cannot tell apart. Weights that are all 0 mean calm. Raises
    VoiceError where no emotion is named.
    """
    found = _named(answer)
    if not found:
        raise VoiceError(
            f"The emotion model answered {answer[:60]!r}, which names no emotion: word the text otherwise, or give the "
            f"emotion by name or as eight weights for {', '.join(EMOTIONS)}."
        )
    if any(word in text.lower() for word in MELANCHOLIC):
        found["sad"], found["melancholic"] = found.get("melancholic", 0.0), found.get("sad", 0.0)
    weights = [min(max(found.get(name, 0.0), 0.0), MOST) for name in EMOTIONS]
    if not any(weights):
        weights[EMOTIONS.index("calm")] = 1.0
    return tuple(weights)


def _named(answer: str) -> dict[str, float]:
    """Emotions in English -> weight, as far as the answer has them."""
    values = _json(answer)
    if values is None:
        pairs = re.findall(r"([^\W\d_]+)[\"'”]?\s*[:：]\s*(\d+(?:\.\d+)?|\.\d+)", answer)
        values = dict(pairs) if pairs else answer
    if isinstance(values, str):
        return {label: 1.0} if (label := _label(values)) else {}
    found: dict[str, float] = {}
    for name, value in values.items():
        if name in LABELS and (label := _label(value)):
            found.setdefault(label, 1.0)
        elif label := _label(name):
            found[label] = _number(value, label, found)
    return found


def _json(answer: str) -> Mapping[str, Any] | str | None:
    """The first JSON object in the answer, or a JSON string; None where there is neither."""
    start, end = answer.find("{"), answer.rfind("}")
    try:
        values = json.loads(answer[start : end + 1] if 0 <= start < end else answer)
    except ValueError:
        return None
    return values if isinstance(values, dict | str) else None


def _label(name: Any) -> str | None:
    name = str(name).strip(" \t\n\"'。.，,")
    if name in NAMES:
        return NAMES[name]
    return name.lower() if name.lower() in EMOTIONS else None


def _number(value: Any, label: str, found: dict[str, float]) -> float:
    """A weight. A name in its place, as in {"高兴": "高兴"}, is a whole weight for the one that it names."""
    other = _label(value)
    if other is not None and other != label:
        found[other] = 1.0
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 1.0 if other == label else 0.0
    return number if number == number else 0.0
