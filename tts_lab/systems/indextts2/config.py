"""Sizes of IndexTTS-2's language model as data, and a strict reading of the released `config_v2.yaml`.

Field names are those of the released file. The defaults are the released sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tts_lab.errors import WeightsError
from tts_lab.nearest import did_you_mean

FEATURES = 1024  # width of the w2v-bert features that both conformers read
EMOTION_WIDTH = 1024  # of the emotion perceiver's one latent
EMOTIONS = ("happy", "angry", "sad", "afraid", "disgusted", "melancholic", "surprised", "calm")


@dataclass(frozen=True)
class ConditionConfig:
    """A conformer and the perceiver behind it, which has as many heads, each 64 wide."""

    output_size: int = 512
    linear_units: int = 2048
    attention_heads: int = 8
    num_blocks: int = 6
    perceiver_mult: float = 2


@dataclass(frozen=True)
class GPTConfig:
    """UnifiedVoice: conditioners, embeddings and GPT-2. latents: of the speaker, not in the released file."""

    model_dim: int = 1280
    heads: int = 20
    layers: int = 24
    max_mel_tokens: int = 1815
    max_text_tokens: int = 600
    number_text_tokens: int = 12000
    number_mel_codes: int = 8194
    start_mel_token: int = 8192
    stop_mel_token: int = 8193
    start_text_token: int = 0
    stop_text_token: int = 1
    condition_module: ConditionConfig = field(default_factory=ConditionConfig)
    emo_condition_module: ConditionConfig = field(
        default_factory=lambda: ConditionConfig(linear_units=1024, attention_heads=4, num_blocks=4)
    )
    latents: int = 32

    @property
    def mel_positions(self) -> int:
        """Rows of the learned positions of codes."""
        return self.max_mel_tokens + 3

    @property
    def text_positions(self) -> int:
        return self.max_text_tokens + 2


SMALL = GPTConfig(
    model_dim=48, heads=4, layers=3, max_mel_tokens=40, max_text_tokens=30, number_text_tokens=60,
    number_mel_codes=66, start_mel_token=64, stop_mel_token=65,
    condition_module=ConditionConfig(24, 40, 4, 2, 2), emo_condition_module=ConditionConfig(16, 28, 2, 2, 0.05),
)  # fmt: skip
"""Every feature of the released model at a size for tests: 2.0 million parameters."""


@dataclass(frozen=True)
class ReleasedConfig:
    """What `config_v2.yaml` says. emo_num: stored voices per emotion; s2mel and semantic_codec: sections as they are,
    for whoever builds those parts; names of files are relative to the folder of the checkpoint."""

    gpt: GPTConfig
    s2mel: Mapping[str, Any]
    semantic_codec: Mapping[str, Any]
    emo_num: tuple[int, ...] = (3, 17, 2, 8, 4, 5, 10, 24)
    gpt_checkpoint: str = "gpt.pth"
    w2v_stat: str = "wav2vec2bert_stats.pt"
    s2mel_checkpoint: str = "s2mel.pth"
    emo_matrix: str = "feat2.pt"
    spk_matrix: str = "feat1.pt"
    qwen_emo_path: str = "qwen0.6bemo4-merge/"
    bpe_model: str = "bpe.model"
    vocoder: str = "nvidia/bigvgan_v2_22khz_80band_256x"


# Of the section gpt: what this code can be only one way, and what only training reads.
_FIXED: dict[str, Any] = {
    "use_mel_codes_as_input": True, "train_solo_embeddings": False, "condition_type": "conformer_perceiver",
    "input_layer": "conv2d2",
}  # fmt: skip
_TRAINING = ("mel_length_compression",)
_NESTED = ("condition_module", "emo_condition_module")
_FILES = ("gpt_checkpoint", "w2v_stat", "s2mel_checkpoint", "emo_matrix", "spk_matrix", "qwen_emo_path")
_SECTIONS = ("dataset", "gpt", "semantic_codec", "s2mel", "emo_num", "vocoder", "version", *_FILES)


def read_released(path: Path) -> ReleasedConfig:
    """Read a released `config_v2.yaml`. Raises WeightsError naming the file and the key that is wrong."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise WeightsError(f"The configuration {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WeightsError(f"The configuration {path} is not YAML: {error}.") from None
    try:
        return released_from(values)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def released_from(values: Mapping[str, Any]) -> ReleasedConfig:
    """The same from the file's content. Raises WeightsError."""
    _expect("the configuration", values, _SECTIONS)
    if str(values["version"]) not in ("2", "2.0"):
        raise WeightsError(f"version is {values['version']}, but only 2.0 is known: take the files of IndexTTS-2.")
    if len(values["emo_num"]) != len(EMOTIONS):
        raise WeightsError(f"emo_num has {len(values['emo_num'])} counts; one each is expected for {_list(EMOTIONS)}.")
    return ReleasedConfig(
        gpt_from(values["gpt"]), values["s2mel"], values["semantic_codec"], tuple(map(int, values["emo_num"])),
        **{name: str(values[name]) for name in _FILES},
        bpe_model=str(values["dataset"]["bpe_model"]), vocoder=str(values["vocoder"]["name"]),
    )  # fmt: skip


def gpt_from(values: Mapping[str, Any]) -> GPTConfig:
    """The section `gpt`. Raises WeightsError for an unknown, missing or unsupported value."""
    known = [f.name for f in fields(GPTConfig) if f.name != "latents"]
    fixed = [name for name in _FIXED if name != "input_layer"]
    _expect("gpt", values, (*known, *fixed, *_TRAINING))
    _as_fixed("gpt", values, fixed)
    sizes: dict[str, Any] = {name: _number(f"gpt.{name}", values[name]) for name in known if name not in _NESTED}
    return GPTConfig(**sizes | {name: _condition(f"gpt.{name}", values[name]) for name in _NESTED})


def _condition(where: str, values: Mapping[str, Any]) -> ConditionConfig:
    known = [f.name for f in fields(ConditionConfig)]
    _expect(where, values, (*known, "input_layer"))
    _as_fixed(where, values, ["input_layer"])
    sizes: dict[str, Any] = {n: _number(f"{where}.{n}", values[n]) for n in known if n != "perceiver_mult"}
    return ConditionConfig(**sizes, perceiver_mult=values["perceiver_mult"])


def _expect(where: str, values: Any, known: tuple[str, ...]) -> None:
    """All of the known keys and no others."""
    if not isinstance(values, Mapping):
        raise WeightsError(f"{where} must be a table of names and values, not {values!r}.")
    for name in values:
        if name not in known:
            guess = did_you_mean(name, known)
            raise WeightsError(f"{where} has an unknown key {name!r}{guess}; known are {_list(known)}.")
    missing = [name for name in known if name not in values]
    if missing:
        raise WeightsError(f"{where} lacks {_list(missing)}: take the file as it was released.")


def _as_fixed(where: str, values: Mapping[str, Any], names: list[str]) -> None:
    for name in names:
        if values[name] != _FIXED[name]:
            raise WeightsError(
                f"{where}.{name} is {values[name]!r}; the lab's model is made for {_FIXED[name]!r} only."
            )


def _number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise WeightsError(f"{name} is {value!r}; a whole number is expected.")
    return value


def _list(names: Any) -> str:
    return ", ".join(names)
