"""From semantic tokens to the mel: s2mel.pth's three networks, and its released names.

Axes: b batch, n semantic tokens, t mel frames, c content width.
"""

from __future__ import annotations

from torch import Tensor, nn

from tts_lab.nn.dit import DiT, DiTSizes
from tts_lab.systems.indextts2 import length_regulator
from tts_lab.systems.indextts2.length_regulator import LengthRegulator
from tts_lab.systems.indextts2.released import Layout, Shape, pair, renamed, together
from tts_lab.systems.indextts2.sizes import S2MelSizes

POSITIONS = 16_384  # length of a released index buffer that nothing here needs
CODEBOOK = 1024  # entries of a released embedding for discrete content


class S2Mel(nn.Module):
    """gpt_layer: GPT latents (b, n, 1280) -> what is added to a token's embedding (b, n, 1024); three linear layers
    with nothing between. length_regulator: (b, n, 1024) -> content (b, t, c). dit: the velocity (`tts_lab.nn.dit`).
    """

    def __init__(self, sizes: S2MelSizes) -> None:
        super().__init__()
        self.sizes = sizes
        widths = sizes.latent
        self.gpt_layer = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)))
        self.length_regulator = LengthRegulator(sizes.regulator)
        self.dit = DiT(sizes.dit)

    def content(self, embedded: Tensor, latent: Tensor, frames: int) -> Tensor:
        """Token embeddings (b, n, 1024) and GPT latents (b, n, 1280) -> content of the speech to be made (b, t, c)."""
        return self.length_regulator(embedded + self.gpt_layer(latent), frames)


# Released module of the estimator -> ours.
ONCE = (
    ("cond_projection", "content"),
    ("cond_x_merge_linear", "merge"),
    ("t_embedder.mlp.0", "time.enter"),
    ("t_embedder.mlp.2", "time.leave"),
    ("transformer.norm.project_layer", "norm.project"),
    ("skip_linear", "long_skip"),
    ("conv1", "final.enter"),
    ("t_embedder2.mlp.0", "final.time.enter"),
    ("t_embedder2.mlp.2", "final.time.leave"),
    ("wavenet.cond_layer.conv.conv", "final.wavenet.condition"),
    ("res_projection", "final.residual"),
    ("final_layer.adaLN_modulation.1", "final.modulation"),
    ("final_layer.linear", "final.linear"),
    ("conv2", "final.leave"),
)
LAYER_NORMS = (("attention_norm", "attention_norm"), ("ffn_norm", "ffn_norm"))
LAYER_WEIGHTS = (
    ("attention.wqkv", "attention.qkv"),
    ("attention.wo", "attention.out"),
    ("feed_forward.w1", "feed_forward.w1"),
    ("feed_forward.w2", "feed_forward.w2"),
    ("feed_forward.w3", "feed_forward.w3"),
)
WAVENET = (("wavenet.in_layers.{}.conv.conv", "final.wavenet.gates.{}"),
           ("wavenet.res_skip_layers.{}.conv.conv", "final.wavenet.outputs.{}"))  # fmt: skip


def dit_layout(sizes: DiTSizes, codebook: int = CODEBOOK) -> Layout:
    """Of the estimator. codebook: entries of the unused embedding for discrete content."""
    first = sizes.layers - (sizes.layers - 1) // 2  # layers from here on take a skip back
    names = renamed(ONCE) | {"transformer.norm.norm.weight": "norm.norm.gain"}
    for i in range(sizes.layers):
        theirs, ours = f"transformer.layers.{i}.", f"layers.{i}."
        names |= renamed(((theirs + a, ours + b) for a, b in LAYER_WEIGHTS), ("weight",))
        names |= renamed((f"{theirs}{a}.project_layer", f"{ours}{b}.project") for a, b in LAYER_NORMS)
        names |= {f"{theirs}{a}.norm.weight": f"{ours}{b}.norm.gain" for a, b in LAYER_NORMS}
        if i >= first:
            names |= renamed([(theirs + "skip_in_linear", f"skips.{i - first}")])
    rows = [(a.format(i), b.format(i)) for i in range(sizes.wavenet_layers) for a, b in WAVENET]
    names |= renamed(rows)
    normed = [a for a, _ in rows] + ["wavenet.cond_layer.conv.conv", "final_layer.linear"]
    return Layout(names, frozenset(a + ".weight" for a in normed), _unused(sizes, first, codebook))


def _unused(sizes: DiTSizes, first: int, codebook: int) -> dict[str, Shape]:
    d = sizes.width
    length, direction = pair("x_embedder.weight")
    unused: dict[str, Shape] = {
        "input_pos": (POSITIONS,), "t_embedder.freqs": (128,), "t_embedder2.freqs": (128,),
        "x_embedder.bias": (d,), length: (d, 1), direction: (d, sizes.mels),
        "cond_embedder.weight": (codebook, d), "content_mask_embedder.weight": (1, d),
    }  # fmt: skip
    for i in range(first):
        unused[f"transformer.layers.{i}.skip_in_linear.weight"] = (d, 2 * d)
        unused[f"transformer.layers.{i}.skip_in_linear.bias"] = (d,)
    return unused


def layout(sizes: S2MelSizes) -> Layout:
    """Of s2mel.pth's key `net`, flattened as in `flat`."""
    latent = Layout(renamed((str(i), str(i)) for i in range(len(sizes.latent) - 1)))
    return together(
        dit_layout(sizes.dit).under("cfm.estimator.", "dit."),
        length_regulator.layout(sizes.regulator).under("length_regulator.", "length_regulator."),
        latent.under("gpt_layer.", "gpt_layer."),
    )


def flat(net: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """s2mel.pth's `net`, a state for each network, as one state; a prefix `module.` that training leaves is cut."""
    return {f"{part}.{k.removeprefix('module.')}": v for part, state in net.items() for k, v in state.items()}
