"""Every parameter of the released models, by name and shape; and their configuration files."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sambert_recorded import acoustic_config, recorded, released, vocoder_config

from tts_lab.errors import WeightsError
from tts_lab.systems.sambert.acoustic import Sambert, acoustic_state, unit_sizes
from tts_lab.systems.sambert.config import SambertConfig, VocoderConfig
from tts_lab.systems.sambert.vocoder import KanHiFiGAN, vocoder_state

VARIANTS = {
    "am_sambert_16k": {},
    "am_sambert_16k_MAS": {"MAS": True},
    "am_sambert_nsf_16k": {"num_mels": 82, "NSF": True},
    "am_sambert_se_nsf_global_16k": {"num_mels": 82, "NSF": True, "SE": True, "speaker_units": 192,
                                     "nsf_norm_type": "global", "nsf_f0_global_minimum": 30.0,
                                     "nsf_f0_global_maximum": 730.0},
    "am_sambert_48k": {"max_len": 900, "num_mels": 128},
}  # fmt: skip
NUMBERS = {"am_sambert_16k": 12_706_787, "voc_hifigan_noncausal_v1_16k_folded": 4_866_001,
           "voc_hifigan_v1_16k_folded": 4_857_809, "voc_hifigan_noncausal_nsf_v1_16k_folded": 4_872_026}  # fmt: skip
VOCODERS = [name for name in released() if name.startswith("voc") and not name.endswith("folded")]


def params(name: str) -> dict[str, Any]:
    """The network's part of the variant's config.yaml; dropouts and all."""
    return recorded("acoustic_16k")[1]["config"] | VARIANTS[name] | released()[name]["ling_unit_size"]


def shapes(state: dict[str, torch.Tensor]) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in state.items()}


@pytest.mark.parametrize("name", VARIANTS)
def test_acoustic_model(name: str) -> None:
    with torch.device("meta"):
        model = Sambert(acoustic_config(params(name)))
        theirs = {k: torch.empty(v) for k, v in released()[name]["state_dict"].items()}
    assert shapes(model.state_dict()) == shapes(acoustic_state(theirs))
    left_out = sum(v.numel() for k, v in theirs.items() if k not in acoustic_state(theirs))
    assert sum(p.numel() for p in model.parameters()) + left_out == released()[name]["numbers"]
    assert bool(left_out) == (name == "am_sambert_16k_MAS")
    sizes = unit_sizes(theirs)
    assert sizes == released()[name]["ling_unit_size"] | ({"speaker": 0} if "SE" in VARIANTS[name] else {})
    without = {k: v for k, v in params(name).items() if k not in sizes}
    assert shapes(Sambert(_read(without, sizes)).state_dict()) == shapes(model.state_dict())


def _read(acoustic: dict[str, Any], units: dict[str, int] | None = None) -> SambertConfig:
    return SambertConfig.read({"Model": {"KanTtsSAMBERT": {"params": acoustic}}}, units)


@pytest.mark.parametrize("name", VOCODERS)
def test_vocoder(name: str) -> None:
    about, folded = released()[name], released()[name + "_folded"]
    with torch.device("meta"):
        model = KanHiFiGAN(vocoder_config(about["params"]))
        theirs = {k: torch.empty(v) for k, v in about["state_dict"].items()}
    assert shapes(model.state_dict()) == shapes(vocoder_state(theirs)) == folded["state_dict"]
    assert sum(p.numel() for p in model.parameters()) == folded["numbers"]


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_are_the_published_ones(name: str) -> None:
    assert released()[name]["numbers"] == NUMBERS[name]


def test_defaults_are_the_16k_models() -> None:
    assert acoustic_config(params("am_sambert_16k")) == SambertConfig(147, 10, 8, 8, 36, 4)
    assert vocoder_config(released()["voc_hifigan_noncausal_v1_16k"]["params"]) == VocoderConfig()


@pytest.mark.parametrize(("change", "says"), [
    ({"decoder_num_layer": 12}, "unknown key 'decoder_num_layer' .did you mean 'decoder_num_layers'"),
    ({"num_mels": "80"}, "num_mels must be of the kind int"),
    ({"num_mels": True}, "num_mels must be of the kind int"),
    ({"decoder_prenet_units": 256}, "decoder_prenet_units"),
    ({"using_byte": True}, "using_byte"),
    ({"FP": True}, "FP"),
])  # fmt: skip
def test_what_an_acoustic_configuration_cannot_hold(change: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        _read(params("am_sambert_16k") | change)


def test_what_an_acoustic_configuration_must_hold() -> None:
    with pytest.raises(WeightsError, match="lacks sy, tone"):
        _read({k: v for k, v in params("am_sambert_16k").items() if k not in ("sy", "tone")})
    with pytest.raises(WeightsError, match="another kind of model"):
        SambertConfig.read({"Model": {"Generator": {"params": {}}}})
    with pytest.raises(WeightsError, match="another kind of model"):
        unit_sizes({"conv_pre.weight": torch.empty(1)})


@pytest.mark.parametrize(("change", "says"), [
    ({"channel": 1}, "unknown key 'channel'"),
    ({"nonlinear_activation": "ReLU"}, "nonlinear_activation must be 'LeakyReLU'"),
    ({"repeat_upsample": False}, "repeat_upsample"),
    ({"out_channels": 4}, "out_channels"),
    ({"upsample_scales": [10, 5]}, "equally many"),
    ({"resblock_dilations": [[1, 3]]}, "equally many"),
    ({"nsf_params": {"nb_harmonics": 7}}, "lacks sampling_rate"),
    ({"nsf_params": {"nb_harmonics": 7, "sampling_rate": 16000, "f": 1}}, "unknown key 'f'"),
])  # fmt: skip
def test_what_a_vocoder_configuration_cannot_hold(change: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        vocoder_config(released()["voc_hifigan_v1_16k"]["params"] | change)


def test_a_vocoder_configuration_must_be_whole() -> None:
    with pytest.raises(WeightsError, match="lacks in_channels"):
        vocoder_config({k: v for k, v in released()["voc_hifigan_v1_16k"]["params"].items() if k != "in_channels"})
