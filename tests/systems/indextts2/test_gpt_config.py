"""The released configuration is read strictly, and its sizes are the defaults."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tts_lab.errors import WeightsError
from tts_lab.systems.indextts2.config import GPTConfig, gpt_from, read_released, released_from

CONDITION = {"output_size": 512, "linear_units": 2048, "attention_heads": 8, "num_blocks": 6, "input_layer": "conv2d2",
             "perceiver_mult": 2}  # fmt: skip
GPT: dict[str, Any] = {
    "model_dim": 1280, "max_mel_tokens": 1815, "max_text_tokens": 600, "heads": 20, "use_mel_codes_as_input": True,
    "mel_length_compression": 1024, "layers": 24, "number_text_tokens": 12000, "number_mel_codes": 8194,
    "start_mel_token": 8192, "stop_mel_token": 8193, "start_text_token": 0, "stop_text_token": 1,
    "train_solo_embeddings": False, "condition_type": "conformer_perceiver", "condition_module": CONDITION,
    "emo_condition_module": CONDITION | {"linear_units": 1024, "attention_heads": 4, "num_blocks": 4},
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "dataset": {"bpe_model": "bpe.model", "sample_rate": 24000}, "gpt": GPT, "semantic_codec": {"codebook_size": 8192},
    "s2mel": {"DiT": {"depth": 13}}, "gpt_checkpoint": "gpt.pth", "w2v_stat": "wav2vec2bert_stats.pt",
    "s2mel_checkpoint": "s2mel.pth", "emo_matrix": "feat2.pt", "spk_matrix": "feat1.pt",
    "emo_num": [3, 17, 2, 8, 4, 5, 10, 24], "qwen_emo_path": "qwen0.6bemo4-merge/",
    "vocoder": {"type": "bigvgan", "name": "nvidia/bigvgan_v2_22khz_80band_256x"}, "version": 2.0,
}  # fmt: skip


def changed(path: str, value: Any = None) -> dict[str, Any]:
    """The whole with one value changed, or without it."""
    out = copy.deepcopy(WHOLE)
    *parents, name = path.split(".")
    inner = out
    for parent in parents:
        inner = inner[parent]
    if value is None:
        del inner[name]
    else:
        inner[name] = value
    return out


def test_the_released_sizes_are_the_defaults(tmp_path) -> None:
    assert gpt_from(GPT) == GPTConfig()
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(WHOLE), encoding="utf-8")
    config = read_released(path)
    assert config.gpt == GPTConfig()
    assert config.s2mel == {"DiT": {"depth": 13}}
    assert sum(config.emo_num) == 73
    assert (GPTConfig().mel_positions, GPTConfig().text_positions) == (1818, 602)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (changed("gpt.layer", 3), r"gpt has an unknown key 'layer' \(did you mean 'layers'\?\)"),
        (changed("gpt.heads"), "gpt lacks heads"),
        (changed("gpt.heads", "many"), "heads is 'many'; a whole number"),
        (changed("gpt.layers", True), "layers is True; a whole number"),
        (changed("gpt.condition_type", "perceiver"), "made for 'conformer_perceiver' only"),
        (changed("gpt.condition_module.input_layer", "linear"), "condition_module.input_layer is 'linear'"),
        (changed("gpt.emo_condition_module.depth", 3), "unknown key 'depth'"),
        (changed("gpt", "large"), "gpt must be a table"),
        (changed("version", 2.5), "version is 2.5, but only 2.0 is known"),
        (changed("emo_num", [1, 2]), "emo_num has 2 counts"),
        (changed("vocoder"), "the configuration lacks vocoder"),
    ],
)
def test_anything_else_is_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        released_from(values)


def test_a_file_that_is_not_one_is_named(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.yaml cannot be read"):
        read_released(tmp_path / "nothing.yaml")
    for content, says in (("a: [", "is not YAML"), ("- 1", "must be a table"), ("gpt: {}", r"c\.yaml: .* lacks")):
        (tmp_path / "c.yaml").write_text(content)
        with pytest.raises(WeightsError, match=says):
            read_released(tmp_path / "c.yaml")
