"""The released `gpt.pth`: which of its tensors speech needs, and the model as the public program holds it in memory.

`UnifiedVoice` there is `Conditioner` and `VoiceModel` here, two modules that can be on a card at different times. Names
and shapes of the two together are the released ones, less what speech never uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tts_lab.nn.conformer import sinusoids
from tts_lab.nn.gpt2 import GPT2Attention
from tts_lab.systems.indextts2.conditioner import Conditioner
from tts_lab.systems.indextts2.config import GPTConfig
from tts_lab.systems.indextts2.released import Layout
from tts_lab.systems.indextts2.voice_model import VoiceModel

# Pattern of a name -> why the lab's model does without it.
UNUSED: dict[str, str] = {
    r"text_head\.(weight|bias)": "predicts text, which only training asks for",
    r"(emo_)?conditioning_encoder\.embed\.pos_enc\.pe": "sinusoids, computed when they are needed",
    r"gpt\.h\.\d+\.attn\.(bias|masked_bias)": "GPT-2's causal mask, which the attention kernel does without",
    r"gpt\.(wte|wpe)\.weight": "GPT-2's own embeddings, which are replaced",
    r"inference_model\..*": "other names of the same tensors",
}
POSITION_ROWS = 5000  # of the table `pe`


def unused(names: Iterable[str]) -> dict[str, str]:
    """Those names that speech never uses, with the reason."""
    found = {name: next((why for p, why in UNUSED.items() if re.fullmatch(p, name)), "") for name in names}
    return {name: why for name, why in found.items() if why}


def layout(conditioner: Conditioner, model: VoiceModel, names: Iterable[str]) -> Layout:
    """Of a file with these names: ours are the released ones."""
    own = [*conditioner.state_dict(), *model.state_dict()]
    return Layout({name: name for name in own}, unused=dict.fromkeys(unused(names), ()))


class Table(nn.Module):
    """A named tensor that nothing reads."""

    def __init__(self, **buffers: Tensor) -> None:
        super().__init__()
        for name, value in buffers.items():
            self.register_buffer(name, value)


def as_released(config: GPTConfig) -> tuple[Conditioner, VoiceModel]:
    """Both modules with all that the public program keeps beside them, unused, for a measure of what that costs.

    Random weights, on the default device. Beside the tensors of the file these are GPT-2's causal masks.
    """
    conditioner, model = Conditioner(config), VoiceModel(config)
    device = model.mel_head.weight.device
    for encoder in (conditioner.conditioning_encoder, conditioner.emo_conditioning_encoder):
        width = encoder.embed.width
        encoder.embed.pos_enc = Table(pe=sinusoids(POSITION_ROWS, width, device)[None])
    model.text_head = nn.Linear(config.model_dim, config.number_text_tokens + 1)
    rows = config.mel_positions + config.text_positions
    for part in model.modules():
        if isinstance(part, GPT2Attention):
            mask = torch.ones(rows, rows, dtype=torch.bool, device=device).tril()
            part.register_buffer("bias", mask[None, None], persistent=False)
    return conditioner, model
