"""Sizes of all networks from the released configurations, and what those leave out from the shapes of tensors.

The public code has several of these sizes in its text: those of the speaker encoder and of the layers between the
language model and the codec's features.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tts_lab.errors import WeightsError
from tts_lab.nn.bigvgan import BigVGANSizes
from tts_lab.nn.campplus import BOTTLENECK, CAMPPlusSizes
from tts_lab.nn.dit import DiTSizes
from tts_lab.systems.indextts2.config import ReleasedConfig
from tts_lab.systems.indextts2.features import USED_LAYERS, FeatureSizes
from tts_lab.systems.indextts2.parts import AllSizes
from tts_lab.systems.indextts2.sizes import CodecSizes, LengthRegulatorSizes, S2MelSizes, Sizes

# What the lab's networks can be only one way: where in the section s2mel -> the value.
_FIXED: dict[str, Any] = {
    "preprocess_params.sr": 22_050, "preprocess_params.spect_params.n_fft": 1024,
    "preprocess_params.spect_params.win_length": 1024, "preprocess_params.spect_params.hop_length": 256,
    "dit_type": "DiT", "length_regulator.is_discrete": False, "length_regulator.f0_condition": False,
    "DiT.style_condition": True, "DiT.final_layer_type": "wavenet", "DiT.f0_condition": False, "DiT.is_causal": False,
    "DiT.long_skip_connection": True, "DiT.time_as_token": False, "DiT.style_as_token": False,
    "DiT.uvit_skip_connection": True, "DiT.add_resblock_in_transformer": False,
}  # fmt: skip
_VOCODER_FIXED = {
    "resblock": "1", "activation": "snakebeta", "snake_logscale": True, "use_tanh_at_final": False,
    "use_bias_at_final": False, "sampling_rate": 22_050,
}  # fmt: skip


def sizes_from(
    config: ReleasedConfig, s2mel: Mapping[str, Tensor], campplus: Mapping[str, Tensor], vocoder: Path, features: Path
) -> AllSizes:
    """s2mel, campplus: their tensors; vocoder, features: their `config.json`, the released sizes where there is none.

    Raises WeightsError where a value is missing or is one that the lab's networks are not made for.
    """
    style = _value("s2mel", config.s2mel, "style_encoder.dim")
    mel_side = Sizes(
        S2MelSizes(_dit(config.s2mel, style), _regulator(config.s2mel), _latent(s2mel)),
        _codec(config.semantic_codec), _campplus(campplus), _vocoder(vocoder),
    )  # fmt: skip
    if mel_side.campplus.embedding != style:
        raise WeightsError(
            f"The speaker encoder gives {mel_side.campplus.embedding} numbers for a voice, the configuration's "
            f"s2mel.style_encoder.dim says {style}: the two files do not belong together."
        )
    return AllSizes(config.gpt, mel_side, _features(features))


def _dit(section: Mapping[str, Any], style: int) -> DiTSizes:
    for where, expected in _FIXED.items():
        _expect("s2mel", section, where, expected)
    dit = {name: _value("s2mel", section, f"DiT.{name}") for name in ("in_channels", "content_dim", "hidden_dim")}
    width = dit["hidden_dim"]
    inner = -(-int(2 * 4 * width / 3) // 256) * 256  # SwiGLU: two thirds of four widths, rounded up to 256
    _expect("s2mel", section, "wavenet.hidden_dim", width)
    return DiTSizes(
        dit["in_channels"], dit["content_dim"], style, width, _value("s2mel", section, "DiT.num_heads"),
        _value("s2mel", section, "DiT.depth"), inner, prompt=True, final="wavenet", long_skip=True,
        wavenet_layers=_value("s2mel", section, "wavenet.num_layers"),
        wavenet_kernel=_value("s2mel", section, "wavenet.kernel_size"),
    )  # fmt: skip


def _regulator(section: Mapping[str, Any]) -> LengthRegulatorSizes:
    names = ("in_channels", "channels", "sampling_ratios", "content_codebook_size")
    content, width, ratios, codebook = (_value("s2mel", section, f"length_regulator.{name}") for name in names)
    return LengthRegulatorSizes(content, width, len(ratios), codebook)


def _latent(s2mel: Mapping[str, Tensor]) -> tuple[int, ...]:
    weights = [s2mel[name] for name in (f"gpt_layer.{i}.weight" for i in range(9)) if name in s2mel]
    return (weights[0].shape[1], *(weight.shape[0] for weight in weights)) if weights else S2MelSizes().latent


def _codec(section: Mapping[str, Any]) -> CodecSizes:
    names = {
        "features": "hidden_size", "codebook": "codebook_size", "entry": "codebook_dim", "width": "vocos_dim",
        "inner": "vocos_intermediate_dim", "layers": "vocos_num_layers",
    }  # fmt: skip
    return CodecSizes(**{ours: _value("semantic_codec", section, theirs) for ours, theirs in names.items()})


def _campplus(state: Mapping[str, Tensor]) -> CAMPPlusSizes:
    names = [name for name in state if name.startswith("xvector.block")]
    blocks = [
        len({m[1] for name in names if (m := re.match(rf"xvector\.block{b}\.tdnnd(\d+)\.", name))}) for b in (1, 2, 3)
    ]
    try:
        return CAMPPlusSizes(
            embedding=state["xvector.dense.linear.weight"].shape[0],
            growth=state["xvector.block1.tdnnd1.linear1.weight"].shape[0] // BOTTLENECK,
            width=state["xvector.tdnn.linear.weight"].shape[0],
            blocks=(blocks[0], blocks[1], blocks[2]),
            planes=state["head.conv1.weight"].shape[0],
        )
    except KeyError:
        return CAMPPlusSizes()  # what is missing is told by the comparison of names


def _vocoder(path: Path) -> BigVGANSizes:
    if not path.is_file():
        return BigVGANSizes()
    values = json_table(path)
    for name, expected in _VOCODER_FIXED.items():
        _expect(str(path), values, name, expected)
    names = ("num_mels", "upsample_initial_channel", "upsample_rates", "upsample_kernel_sizes",
             "resblock_kernel_sizes", "resblock_dilation_sizes")  # fmt: skip
    mels, channels, rates, kernels, block_kernels, dilations = (_value(str(path), values, name) for name in names)
    return BigVGANSizes(mels, channels, tuple(rates), tuple(kernels), tuple(block_kernels), tuple(dilations[0]))


def _features(path: Path) -> FeatureSizes:
    if not path.is_file():
        return FeatureSizes()
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    width, layers, heads, inner = (_value(str(path), json_table(path), name) for name in names)
    return FeatureSizes(width, min(USED_LAYERS, layers - 1), heads, inner)


def json_table(path: Path) -> Mapping[str, Any]:
    """A JSON file that holds names and values. Raises WeightsError."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"The configuration {path} cannot be read as JSON ({error}): download it again.") from None
    if not isinstance(values, Mapping):
        raise WeightsError(f"The configuration {path} must be a table of names and values: download it again.")
    return values


def _value(what: str, section: Any, where: str) -> Any:
    for name in where.split("."):
        if not isinstance(section, Mapping) or name not in section:
            raise WeightsError(f"{what} lacks {where}: take the configuration as it was released.")
        section = section[name]
    return section


def _expect(what: str, section: Mapping[str, Any], where: str, expected: Any) -> None:
    value = _value(what, section, where)
    if value != expected:
        raise WeightsError(f"{what}: {where} is {value!r}; the lab's networks are made for {expected!r} only.")
