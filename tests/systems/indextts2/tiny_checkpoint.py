"""A checkpoint in the released layout, at the sizes of `parts.SMALL`, with random values made from the tensors' names.

It has what the released files have: pairs of weight norm, a prefix `module.` that training left, the state of an
optimizer, tensors that inference never reads, and layers of w2v-bert that it never runs.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from recorded import value
from safetensors.torch import save_file
from torch import Tensor

from tts_lab.audio.backend import torchaudio
from tts_lab.nn.weight_norm import folded
from tts_lab.systems.indextts2 import codec, s2mel
from tts_lab.systems.indextts2.config import GPTConfig
from tts_lab.systems.indextts2.features import FeatureSizes, SemanticFeatures
from tts_lab.systems.indextts2.gpt_checkpoint import as_released
from tts_lab.systems.indextts2.parts import SMALL, AllSizes, Parts
from tts_lab.systems.indextts2.released import Layout, released_shapes
from tts_lab.systems.indextts2.vocoder_layout import bigvgan_layout, campplus_layout

State = dict[str, Tensor]
SENTENCES = ["你 好 , 世 界 .", "今 天 天 气 真 好 !", "我 们 去 公 园 吧 ?", "HELLO WORLD - XUAN4 ."] * 4
VOCABULARY = 58


def write(folder: Path, emotion: bool = True, sizes: AllSizes = SMALL) -> dict[str, State]:
    """Write everything in the layout of the public program. Returns for each module of Parts the state that it must
    have, and under `stored` the rows of stored voices and emotions."""
    cache = folder / "hf_cache"
    for sub in ("bigvgan", "w2v-bert-2.0"):
        (cache / sub).mkdir(parents=True)
    released = states(sizes)
    stored = {"feat1": value("feat1", (73, sizes.mel_side.campplus.embedding)),
              "feat2": value("feat2", (73, sizes.gpt.model_dim))}  # fmt: skip
    statistics = {"mean": value("mean", (1024,)), "var": value("var", (1024,)).abs() + 0.1}
    torch.save(released["gpt"], folder / "gpt.pth")
    torch.save(s2mel_file(released["s2mel"]), folder / "s2mel.pth")
    torch.save(statistics, folder / "wav2vec2bert_stats.pt")
    for name, rows in stored.items():
        torch.save(rows, folder / f"{name}.pt")
    save_file(released["codec"], cache / "semantic_codec_model.safetensors")
    torch.save(released["campplus"], cache / "campplus_cn_common.bin")
    torch.save({"generator": released["vocoder"]}, cache / "bigvgan" / "bigvgan_generator.pt")
    save_file(released["features"], cache / "w2v-bert-2.0" / "model.safetensors", {"format": "pt"})
    (folder / "bpe.model").write_bytes(tokenizer())
    (folder / "config.yaml").write_text(yaml.safe_dump(config(sizes)), encoding="utf-8")
    (cache / "bigvgan" / "config.json").write_text(json.dumps(vocoder_config()), encoding="utf-8")
    (cache / "w2v-bert-2.0" / "config.json").write_text(json.dumps(features_config()), encoding="utf-8")
    if emotion:
        write_emotion(folder / "qwen0.6bemo4-merge")
    return expected(released, statistics, sizes) | {"stored": stored}


def states(sizes: AllSizes = SMALL) -> dict[str, State]:
    """File by its field of `Located` -> its tensors under released names."""
    parts = Parts.build(sizes, "meta")
    with torch.device("meta"):
        gpt = {n: x for part in as_released(sizes.gpt) for n, x in part.state_dict().items()}
        features = SemanticFeatures(FeatureSizes(**asdict(sizes.features) | {"layers": sizes.features.layers + 1}))
    shapes = {
        "gpt": {name: tuple(x.shape) for name, x in gpt.items()},
        "features": {name: tuple(x.shape) for name, x in features.model.state_dict().items()},
    } | {role: released_shapes(getattr(parts, role), layout) for role, layout in layouts(sizes).items()}
    return {role: {name: _value(name, shape) for name, shape in named.items()} for role, named in shapes.items()}


def _value(name: str, shape: tuple[int, ...]) -> Tensor:
    return torch.tensor(3) if name.endswith("num_batches_tracked") else value(name, shape)


def layouts(sizes: AllSizes = SMALL) -> dict[str, Layout]:
    mel = sizes.mel_side
    return {"s2mel": s2mel.layout(mel.s2mel), "codec": codec.layout(mel.codec),
            "campplus": campplus_layout(mel.campplus), "vocoder": bigvgan_layout(mel.bigvgan)}  # fmt: skip


def expected(released: Mapping[str, State], statistics: State, sizes: AllSizes = SMALL) -> dict[str, State]:
    """Module of Parts -> its state, folded."""
    whole = {role: folded(released[role]) for role in layouts(sizes)}
    found = {role: {ours: whole[role][name] for name, ours in layout.names.items()}
             for role, layout in layouts(sizes).items()}  # fmt: skip
    parts = Parts.build(sizes, "meta")
    for name in ("conditioner", "gpt"):
        found[name] = {key: released["gpt"][key] for key in getattr(parts, name).state_dict()}
    features = {f"model.{key}": x for key, x in released["features"].items()}
    features |= {"mean": statistics["mean"], "deviation": statistics["var"].sqrt()}
    found["features"] = {key: features[key] for key in parts.features.state_dict()}
    return found


def s2mel_file(flat: State) -> dict[str, Any]:
    """A state for each network, the estimator's as training in parallel leaves it, and an optimizer's state."""
    net: dict[str, State] = {"cfm": {}, "length_regulator": {}, "gpt_layer": {}}
    for name, x in flat.items():
        part, _, rest = name.partition(".")
        net[part][f"module.{rest}" if part == "cfm" else rest] = x
    net["cfm"]["module.estimator.transformer.causal_mask"] = torch.ones(4, 4, dtype=torch.bool)
    optimizer = {"state": {0: {"step": torch.tensor(7.0), "exp_avg": torch.ones(500)}}, "param_groups": [{"lr": 1e-4}]}
    return {
        "net": net,
        "optimizer": {"cfm": optimizer},
        "scheduler": {"cfm": {"last_epoch": 3}},
        "iters": 9,
        "epoch": 1,
    }


def tokenizer(sentences: list[str] = SENTENCES, size: int = VOCABULARY) -> bytes:
    """A SentencePiece model with the released ids of start, stop and unknown."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=size, model_type="bpe", bos_id=0, eos_id=1,
        unk_id=2, pad_id=-1, character_coverage=1.0, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()


def config(sizes: AllSizes = SMALL) -> dict[str, Any]:
    """`config.yaml` with small sizes."""
    gpt: dict[str, Any] = {f.name: getattr(sizes.gpt, f.name) for f in fields(GPTConfig) if f.name != "latents"}
    for name in ("condition_module", "emo_condition_module"):
        gpt[name] = asdict(gpt[name]) | {"input_layer": "conv2d2"}
    gpt |= {"use_mel_codes_as_input": True, "train_solo_embeddings": False, "condition_type": "conformer_perceiver",
            "mel_length_compression": 1024}  # fmt: skip
    return {
        "dataset": {"bpe_model": "bpe.model", "sample_rate": 24000}, "gpt": gpt, "semantic_codec": codec_config(),
        "s2mel": s2mel_config(), "gpt_checkpoint": "gpt.pth", "w2v_stat": "wav2vec2bert_stats.pt",
        "s2mel_checkpoint": "s2mel.pth", "emo_matrix": "feat2.pt", "spk_matrix": "feat1.pt",
        "emo_num": [3, 17, 2, 8, 4, 5, 10, 24], "qwen_emo_path": "qwen0.6bemo4-merge/",
        "vocoder": {"type": "bigvgan", "name": "nvidia/bigvgan_v2_22khz_80band_256x"}, "version": 2.0,
    }  # fmt: skip


def codec_config() -> dict[str, int]:
    z = SMALL.mel_side.codec
    return {"codebook_size": z.codebook, "hidden_size": z.features, "codebook_dim": z.entry, "vocos_dim": z.width,
            "vocos_intermediate_dim": z.inner, "vocos_num_layers": z.layers}  # fmt: skip


def s2mel_config() -> dict[str, Any]:
    dit, regulator = SMALL.mel_side.s2mel.dit, SMALL.mel_side.s2mel.regulator
    spectrum = {"n_fft": 1024, "win_length": 1024, "hop_length": 256, "n_mels": dit.mels, "fmin": 0, "fmax": "None"}
    return {
        "preprocess_params": {"sr": 22050, "spect_params": spectrum}, "dit_type": "DiT", "reg_loss_type": "l1",
        "style_encoder": {"dim": dit.style},
        "length_regulator": {
            "channels": regulator.width, "is_discrete": False, "in_channels": regulator.content,
            "content_codebook_size": regulator.codebook, "sampling_ratios": [1] * regulator.convolutions,
            "f0_condition": False,
        },
        "DiT": {
            "hidden_dim": dit.width, "num_heads": dit.heads, "depth": dit.layers, "in_channels": dit.mels,
            "content_dim": dit.content, "style_condition": True, "final_layer_type": "wavenet", "f0_condition": False,
            "is_causal": False, "long_skip_connection": True, "time_as_token": False, "style_as_token": False,
            "uvit_skip_connection": True, "add_resblock_in_transformer": False,
        },
        "wavenet": {"hidden_dim": dit.width, "num_layers": dit.wavenet_layers, "kernel_size": dit.wavenet_kernel},
    }  # fmt: skip


def vocoder_config() -> dict[str, Any]:
    z = SMALL.mel_side.bigvgan
    return {
        "resblock": "1", "num_mels": z.mels, "upsample_initial_channel": z.channels, "upsample_rates": z.rates,
        "upsample_kernel_sizes": z.kernels, "resblock_kernel_sizes": z.block_kernels, "activation": "snakebeta",
        "resblock_dilation_sizes": [z.dilations] * len(z.block_kernels), "snake_logscale": True,
        "use_tanh_at_final": False, "use_bias_at_final": False, "sampling_rate": 22050,
    }  # fmt: skip


def features_config() -> dict[str, int]:
    z = SMALL.features
    return {"hidden_size": z.width, "num_hidden_layers": z.layers + 1, "num_attention_heads": z.heads,
            "intermediate_size": z.inner}  # fmt: skip


CHAT = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)


def write_emotion(folder: Path) -> None:
    """A random Qwen3 of a few thousand parameters and a tokenizer of letters."""
    torchaudio()  # transformers imports it
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    letters = {c: i for i, c in enumerate(["<unk>", "<eos>", *'{}":,. 0123456789高兴愤怒悲伤恐惧反感低落惊讶自然'])}
    plain = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    wrapped = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", eos_token="<eos>", chat_template=CHAT)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=len(letters), hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=512, tie_word_embeddings=True,
    ))  # fmt: skip
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
