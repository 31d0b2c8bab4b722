"""Names and shapes of the released checkpoint, count for count, and loading it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from gpt_recorded import FOLDER, weight

from tts_lab.errors import WeightsError
from tts_lab.systems.indextts2.checkpoint import fill
from tts_lab.systems.indextts2.conditioner import Conditioner
from tts_lab.systems.indextts2.config import SMALL, GPTConfig
from tts_lab.systems.indextts2.fitting import check
from tts_lab.systems.indextts2.gpt_checkpoint import as_released, layout, unused
from tts_lab.systems.indextts2.voice_model import VoiceModel

MIB = 2**20
GPT = Path("gpt.pth")


def released_names() -> dict[str, list[int]]:
    lines = (FOLDER / "released_names.txt").read_text().splitlines()
    return {name: [int(n) for n in shape.split("x")] for name, shape in (line.split() for line in lines)}


def shapes(*modules: torch.nn.Module) -> dict[str, list[int]]:
    return {name: list(x.shape) for module in modules for name, x in module.state_dict().items()}


def count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_names_and_shapes_are_the_released_ones() -> None:
    names = released_names()
    with torch.device("meta"):
        everything, lean = as_released(GPTConfig()), (Conditioner(GPTConfig()), VoiceModel(GPTConfig()))
    assert shapes(*everything) == names
    assert count(*everything) == 865_980_639
    left_out = unused(names)
    assert shapes(*lean) == {name: shape for name, shape in names.items() if name not in left_out}
    assert set(left_out) == {
        "text_head.weight", "text_head.bias",
        "conditioning_encoder.embed.pos_enc.pe", "emo_conditioning_encoder.embed.pos_enc.pe",
    }  # fmt: skip
    assert count(*lean) == 865_980_639 - 1280 * 12001 - 12001
    assert [count(part) for part in lean] == [338_899_964, 511_707_394]


def test_what_the_public_program_keeps_unused_in_memory() -> None:
    with torch.device("meta"):
        parts = as_released(GPTConfig())
    buffers = {n: b.numel() * b.itemsize / MIB for part in parts for n, b in part.named_buffers()}
    masks = sum(size for name, size in buffers.items() if name.endswith("attn.bias"))
    assert masks == pytest.approx(24 * 2420**2 / MIB) == pytest.approx(134, abs=0.1)
    assert sum(buffers.values()) - masks == pytest.approx(2 * 5000 * 512 * 4 / MIB)
    with torch.device("meta"):
        lean = Conditioner(GPTConfig()), VoiceModel(GPTConfig())
    assert not [b for part in lean for b in part.buffers()]


def small_state(**more: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        names = shapes(*as_released(SMALL))
    return {name: weight(name, tuple(shape)) for name, shape in names.items()} | more


def meta_models() -> tuple[Conditioner, VoiceModel]:
    with torch.device("meta"):
        return Conditioner(SMALL), VoiceModel(SMALL)


def test_loading_copies_and_says_what_it_left_out() -> None:
    parts = conditioner, model = meta_models()
    state = small_state(**{"gpt.h.0.attn.bias": torch.ones(1), "gpt.wte.weight": torch.ones(1)})
    left_out = unused(state)
    assert len(left_out) == 6
    assert all(left_out.values())
    check(GPT, state, layout(*parts, state), parts)
    for part in parts:
        fill(part, state)
    assert torch.equal(model.mel_head.weight, state["mel_head.weight"])
    assert torch.equal(conditioner.speed_emb.weight, state["speed_emb.weight"])
    assert model.mel_head.weight.data_ptr() != state["mel_head.weight"].data_ptr()  # the file can go
    assert not any(p.requires_grad or p.is_meta for part in parts for p in part.parameters())
    assert not model.training


def test_weights_of_something_else_are_named() -> None:
    def refused(state: dict[str, torch.Tensor], what: str) -> None:
        with pytest.raises(WeightsError, match=f"gpt.pth are not those of IndexTTS-2 .*: {what}"):
            check(GPT, state, layout(*parts, state), parts)

    parts = meta_models()
    state = small_state()
    del state["mel_head.bias"]
    refused(state, r"1 missing \(mel_head\.bias\)\.")
    refused(small_state(**{"spk_emb_proj.weight": torch.ones(2)}), r"1 unknown \(spk_emb_proj\.weight\)\.")
    refused(
        small_state(**{"mel_head.bias": torch.ones(2)}), r"1 of another shape \(mel_head\.bias 2 in place of 66\)\."
    )
    refused({}, r"\d+ missing \(.*, .*, .*, \.\.\.\)\.")


def test_weights_of_the_full_size_are_what_the_table_says() -> None:
    sizes = {}
    for name, shape in released_names().items():
        if not name.endswith(".pe"):
            part = name.split(".")[0]
            sizes[part] = sizes.get(part, 0) + math.prod(shape)
    assert sizes["gpt"] == 472_261_120
    assert sizes["conditioning_encoder"] / 1e6 == pytest.approx(159.3, abs=0.1)
    assert sizes["emo_conditioning_encoder"] / 1e6 == pytest.approx(146.6, abs=0.1)
