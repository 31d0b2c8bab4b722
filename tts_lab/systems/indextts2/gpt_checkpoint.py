"""The released `gpt.pth`: which of its tensors speech needs, and the model as the public program holds it in memory.

`UnifiedVoice` there is `Conditioner` and `VoiceModel` here, two modules that can be on a card at different times. Names
and shapes of the two together are the released ones, less what speech never uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tts_lab.errors import WeightsError
from tts_lab.nn.conformer import sinusoids
from tts_lab.nn.gpt2 import GPT2Attention
from tts_lab.systems.indextts2.conditioner import Conditioner
from tts_lab.systems.indextts2.config import GPTConfig
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


def unused(names: Mapping[str, object]) -> dict[str, str]:
    """Those names that speech never uses, with the reason."""
    found = {name: next((why for p, why in UNUSED.items() if re.fullmatch(p, name)), "") for name in names}
    return {name: why for name, why in found.items() if why}


def load_state(conditioner: Conditioner, model: VoiceModel, state: Mapping[str, Tensor]) -> dict[str, str]:
    """Put released weights into both modules. Returns what was left out, with the reasons.

    Tensors are taken over as they are, so nothing is there twice and the modules may have been built on the meta
    device; both are set to run, without gradients. Raises WeightsError where a tensor is missing, unknown or of another
    shape.
    """
    left_out = unused(state)
    mine = {name: value for name, value in state.items() if name not in left_out}
    expected = {**conditioner.state_dict(), **model.state_dict()}
    missing, unknown = sorted(expected.keys() - mine.keys()), sorted(mine.keys() - expected.keys())
    wrong = [name for name in expected.keys() & mine.keys() if expected[name].shape != mine[name].shape]
    for what, names in (("lack", missing), ("have the unknown", unknown), ("have another shape of", sorted(wrong))):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise WeightsError(
                f"The weights {what} {', '.join(names[:3])}{more}: they are not IndexTTS-2's, or not of this size."
            )
    for module in (conditioner, model):
        module.load_state_dict({name: mine[name] for name in module.state_dict()}, assign=True)
        module.eval().requires_grad_(False)
    return left_out


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
