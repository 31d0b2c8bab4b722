"""Sizes of the released models, read from their own config.yaml: every key is known, or it is an error.

Names of the fields are the files' keys, so that a configuration can be compared with the file that it came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from tts_lab.errors import WeightsError
from tts_lab.nearest import did_you_mean

UNIT_SIZES = ("sy", "tone", "syllable_flag", "word_segment", "emotion", "speaker")
_TRAINING = ("encoder_dropout", "encoder_attention_dropout", "encoder_relu_dropout", "predictor_dropout",
             "decoder_dropout", "decoder_attention_dropout", "decoder_relu_dropout", "postnet_dropout")  # fmt: skip


@dataclass(frozen=True)
class SambertConfig:
    """The acoustic model. sy .. speaker: how many of each unit the voice knows. The defaults are the 16 kHz model's.

    max_len: phones that the stored table of positions covers. num_mels: bands of a frame; with NSF the last two are the
    fundamental frequency and whether the frame is voiced. outputs_per_step: frames that a decoder step writes.
    SE: the speaker is a given vector of speaker_units numbers, not a row of a table.
    """

    sy: int
    tone: int
    syllable_flag: int
    word_segment: int
    emotion: int
    speaker: int
    max_len: int = 800
    embedding_dim: int = 512
    encoder_num_layers: int = 8
    encoder_num_heads: int = 8
    encoder_num_units: int = 128
    encoder_ffn_inner_dim: int = 1024
    encoder_projection_units: int = 32
    speaker_units: int = 32
    emotion_units: int = 32
    predictor_filter_size: int = 41
    predictor_fsmn_num_layers: int = 3
    predictor_num_memory_units: int = 128
    predictor_ffn_inner_dim: int = 256
    predictor_shift: int = 0
    predictor_lstm_units: int = 128
    dur_pred_prenet_units: tuple[int, ...] = (128, 128)
    dur_pred_lstm_units: int = 128
    decoder_prenet_units: tuple[int, ...] = (256, 256)
    decoder_num_layers: int = 12
    decoder_num_heads: int = 8
    decoder_num_units: int = 128
    decoder_ffn_inner_dim: int = 1024
    outputs_per_step: int = 3
    num_mels: int = 80
    postnet_filter_size: int = 41
    postnet_fsmn_num_layers: int = 4
    postnet_num_memory_units: int = 256
    postnet_ffn_inner_dim: int = 512
    postnet_shift: int = 17
    postnet_lstm_units: int = 128
    MAS: bool = False
    NSF: bool = False
    SE: bool = False
    nsf_norm_type: str = "mean_std"
    nsf_f0_global_minimum: float = 30.0
    nsf_f0_global_maximum: float = 730.0

    @property
    def memory_units(self) -> int:
        """Width of what the decoder looks at: the text of a step's frames, the speaker and the emotion."""
        return self.encoder_projection_units * self.outputs_per_step + self.emotion_units + self.speaker_units

    @property
    def sound_bands(self) -> int:
        """Mel bands among num_mels."""
        return self.num_mels - 2 if self.NSF else self.num_mels

    @classmethod
    def read(cls, data: Mapping[str, Any], units: Mapping[str, int] | None = None) -> SambertConfig:
        """From an acoustic model's config.yaml. units: sizes of the unit tables, where the file does not hold them.

        Raises WeightsError for an unknown or missing key, a value of the wrong type, or a model that is not this one.
        """
        params = dict(_params(data, "KanTtsSAMBERT")) | dict(units or {})
        for key in ("FP", "using_byte"):
            if params.pop(key, False):
                raise WeightsError(f"The voice uses {key}, a variant of the model that the lab does not have.")
        for key in _TRAINING:
            params.pop(key, None)
        return cls(**_checked(cls, params, _TRAINING))


@dataclass(frozen=True)
class Source:
    """The harmonic source of a vocoder with pitch. nb_harmonics: beside the fundamental; sampling_rate in Hz."""

    nb_harmonics: int
    sampling_rate: int
    nsf_norm_type: str = "mean_std"
    nsf_f0_global_minimum: float = 30.0
    nsf_f0_global_maximum: float = 730.0


@dataclass(frozen=True)
class VocoderConfig:
    """The vocoder. The defaults are the 16 kHz model's that is not causal."""

    in_channels: int = 80
    channels: int = 256
    kernel_size: int = 7
    upsample_scales: tuple[int, ...] = (10, 5, 2, 2)
    upsample_kernal_sizes: tuple[int, ...] = (20, 11, 4, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5, 7),) * 3
    causal: bool = False
    nsf_params: Source | None = None

    @property
    def hop_length(self) -> int:
        """Samples of a mel frame."""
        return math.prod(self.upsample_scales)

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> VocoderConfig:
        """From a vocoder's config.yaml.

        Raises WeightsError for an unknown or missing key, a value of the wrong type, or a model that is not this one.
        """
        params = dict(_params(data, "Generator"))
        fixed = {"out_channels": 1, "bias": True, "use_weight_norm": True, "repeat_upsample": True,
                 "nonlinear_activation": "LeakyReLU",
                 "nonlinear_activation_params": {"negative_slope": 0.1}}  # fmt: skip
        for key, value in fixed.items():
            if params.pop(key, value) != value:
                raise WeightsError(f"The vocoder's {key} must be {value!r}: the lab has no other variant.")
        if isinstance(params.get("nsf_params"), Mapping):
            params["nsf_params"] = Source(**_checked(Source, dict(params["nsf_params"])))
        params.setdefault("nsf_params", None)
        params.setdefault("causal", True)  # what the public code takes where the file is silent
        config = cls(**_checked(cls, params, tuple(fixed), every=True))
        if len(config.upsample_scales) != len(config.upsample_kernal_sizes):
            raise WeightsError("The vocoder's upsample_scales and upsample_kernal_sizes must be equally many.")
        if len(config.resblock_kernel_sizes) != len(config.resblock_dilations):
            raise WeightsError("The vocoder's resblock_kernel_sizes and resblock_dilations must be equally many.")
        return config


def _params(data: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """The part of a config.yaml that describes one network."""
    here: Any = data
    for key in ("Model", model, "params"):
        if not isinstance(here, Mapping) or key not in here:
            raise WeightsError(f"The configuration lacks Model: {model}: params; it is that of another kind of model.")
        here = here[key]
    if not isinstance(here, Mapping):
        raise WeightsError(f"Model: {model}: params must be a mapping of names to sizes, but is {here!r}.")
    return here


def _checked(cls: type, params: Mapping[str, Any], also: Iterable[str] = (), every: bool = False) -> dict[str, Any]:
    """Keyword arguments for `cls`, lists made tuples. every: defaults do not excuse a missing key."""
    known = {f.name: f for f in fields(cls)}
    for key in params:
        if key not in known:
            raise WeightsError(f"The configuration has an unknown key {key!r}{did_you_mean(key, known)}; known are "
                               f"{', '.join(sorted([*known, *also]))}.")  # fmt: skip
    needed = [name for name, f in known.items() if every or f.default is MISSING]
    missing = [name for name in needed if name not in params]
    if missing:
        raise WeightsError(f"The configuration lacks {', '.join(missing)}.")
    return {key: _typed(key, value, str(known[key].type)) for key, value in params.items()}


def _typed(key: str, value: Any, wanted: str) -> Any:
    value = _tuples(value)
    fits = {
        "int": isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        "bool": isinstance(value, bool),
        "str": isinstance(value, str),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "tuple[int, ...]": _whole(value),
        "tuple[tuple[int, ...], ...]": isinstance(value, tuple) and all(map(_whole, value)),
        "Source | None": value is None or isinstance(value, Source),
    }
    if not fits[wanted]:
        raise WeightsError(f"The configuration's {key} must be of the kind {wanted}, but is {value!r}.")
    return value


def _whole(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(x, int) and not isinstance(x, bool) and x > 0 for x in value)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(x) for x in value) if isinstance(value, list | tuple) else value
