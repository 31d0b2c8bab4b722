"""The released weights of IndexTTS-2 from a folder into `Parts`.

Modules are built on the meta device; each tensor is then read from its mapped file straight into the number format that
stays. At no time is there a second copy of the weights, other than pages of the one file that is being read, which the
system can drop. Names and shapes must fit exactly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tts_lab.errors import WeightsError
from tts_lab.levers.residency import PRECISIONS
from tts_lab.nn.antialias import low_pass
from tts_lab.nn.bigvgan import BigVGAN
from tts_lab.nn.dit import TimeEmbedding
from tts_lab.systems.indextts2 import codec, gpt_checkpoint, s2mel
from tts_lab.systems.indextts2.config import ReleasedConfig, read_released
from tts_lab.systems.indextts2.converted import Converted, keep, kept
from tts_lab.systems.indextts2.emotion_text import EmotionText
from tts_lab.systems.indextts2.fitting import check, other_version
from tts_lab.systems.indextts2.located import FETCH, Located, check_folder, find, locate
from tts_lab.systems.indextts2.opened import AGAIN, pickled, tensor, tensors
from tts_lab.systems.indextts2.parts import STORED_VOICES, Parts
from tts_lab.systems.indextts2.released import Layout
from tts_lab.systems.indextts2.released_files import FILES
from tts_lab.systems.indextts2.released_sizes import sizes_from
from tts_lab.systems.indextts2.tokens import Tokens
from tts_lab.systems.indextts2.vocoder_layout import bigvgan_layout, campplus_layout

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Network:
    """How one file becomes modules.

    modules: fields of Parts that it fills; layout: of the file, from parts of its size and the names in it; fp32: kept
    so whatever the precision, for there a near tie decides a token or a voice.
    """

    modules: tuple[str, ...]
    layout: Callable[[Parts, State], Layout]
    fp32: bool = False


def _features_layout(parts: Parts, state: State) -> Layout:
    """Layers behind the last one that is used stay in the file."""
    used = parts.features.sizes.layers
    unused = [n for n in state if (m := re.match(r"encoder\.layers\.(\d+)\.", n)) and int(m[1]) >= used]
    names = {name: f"model.{name}" for name in parts.features.model.state_dict()}
    return Layout(names | {name: name for name in _STATISTICS}, unused=dict.fromkeys(unused, ()))


_STATISTICS = ("mean", "deviation")

# Field of Located -> what is made of the file; the largest first, so that its pages meet the least beside them.
NETWORKS: dict[str, Network] = {
    "gpt": Network(
        ("conditioner", "gpt"), lambda parts, state: gpt_checkpoint.layout(parts.conditioner, parts.gpt, state)
    ),
    "features": Network(("features",), _features_layout),
    "vocoder": Network(("vocoder",), lambda parts, _: bigvgan_layout(parts.vocoder.sizes)),
    "s2mel": Network(("s2mel",), lambda parts, _: s2mel.layout(parts.s2mel.sizes)),
    "codec": Network(("codec",), lambda parts, _: codec.layout(parts.codec.sizes), fp32=True),
    "campplus": Network(("campplus",), lambda parts, _: campplus_layout(parts.campplus.sizes), fp32=True),
}


def load_parts(folder: Path | str, precision: str = "fp32") -> Parts:
    """Every network with its released weights, on the CPU, ready to run.

    folder: in one of the layouts of `located.py`. precision: fp32, fp16 or bf16, of everything but the codec, the
    speaker encoder and the stored vectors. Pickles are converted once, into a copy (see `converted.py`). Raises
    WeightsError for files that are missing, damaged, unsafe, or of something else.
    """
    if precision not in PRECISIONS:
        raise WeightsError(f"Weights can be loaded as {', '.join(PRECISIONS)}; not as {precision!r}.")
    folder = Path(folder).expanduser()
    config = _config(folder)
    files = locate(folder, _names(config))
    states = {role: kept(getattr(files, role)) or _state(role, files) for role in NETWORKS}
    sizes = sizes_from(config, states["s2mel"], states["campplus"], *map(_beside, (files.vocoder, files.features)))
    parts = Parts.build(sizes, "meta")
    for role, network in NETWORKS.items():
        dtype = torch.float32 if network.fp32 else PRECISIONS[precision]
        _load(getattr(files, role), network, parts, states.pop(role), dtype)
    tokens = Tokens.load(files.tokenizer)
    if len(tokens) > sizes.gpt.number_text_tokens + 1:
        raise WeightsError(
            f"The tokenizer {files.tokenizer} has {len(tokens)} pieces, the language model knows "
            f"{sizes.gpt.number_text_tokens}: give the released files, all of the same release."
        )
    return replace(
        parts, speakers=_rows(files.speakers, parts.speakers), emotions=_rows(files.emotions, parts.emotions),
        groups=_groups(config), tokens=tokens, random=False,
        emotion_text=EmotionText(files.emotion) if files.emotion else None,
    )  # fmt: skip


def _config(folder: Path) -> ReleasedConfig:
    """Raises WeightsError: for another release, which is told by its version or by its sections, before all else."""
    check_folder(folder)
    path = find(folder, next(file for file in FILES if file.remote == "config.yaml")) or locate(folder).config
    _refuse_other_version(path)
    return read_released(path)


def _refuse_other_version(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    version = re.search(r"^version:\s*[\"']?([\w.]+)", text, re.MULTILINE)
    old = re.search(r"^(vqvae|dvae_checkpoint|bigvgan_checkpoint):", text, re.MULTILINE)
    found = version[1] if version else "1.x" if old else "2"
    if found not in ("2", "2.0"):
        raise WeightsError(
            f"{path} belongs to IndexTTS-{found}, and the lab loads IndexTTS-2: take IndexTeam/IndexTTS-2 ('{FETCH}')."
        )


def _names(config: ReleasedConfig) -> dict[str, str]:
    """What the configuration calls the files, where it says so."""
    return {
        "gpt": config.gpt_checkpoint, "s2mel": config.s2mel_checkpoint, "tokenizer": config.bpe_model,
        "statistics": config.w2v_stat, "speakers": config.spk_matrix, "emotions": config.emo_matrix,
        "emotion": config.qwen_emo_path,
    }  # fmt: skip


def _beside(path: Path) -> Path:
    return path.with_name("config.json")


def _state(role: str, files: Located) -> State:
    """Tensors of a file under released names, mapped and not yet read."""
    path: Path = getattr(files, role)
    if role == "s2mel":
        return _s2mel_state(path)
    state = tensors(path, "model", "generator")
    if role == "features":
        return {**state, **_statistics(files.statistics)}
    if role == "gpt" and (version := other_version(state)):
        raise WeightsError(
            f"{path} belongs to {version}, and the lab loads IndexTTS-2: take that of IndexTeam/IndexTTS-2 ('{FETCH}')."
        )
    return {name.removeprefix("module."): value for name, value in state.items()} if role == "gpt" else state


def _s2mel_state(path: Path) -> State:
    found = pickled(path)
    net = found.get("net") if isinstance(found, Mapping) else None
    if not isinstance(net, Mapping) or not all(isinstance(part, Mapping) for part in net.values()):
        raise WeightsError(f"{path} lacks the networks that s2mel.pth has under the name net: {AGAIN}.")
    return s2mel.flat(dict(net))


def _statistics(path: Path) -> dict[str, Tensor]:
    found = pickled(path)
    if not isinstance(found, Mapping) or not all(isinstance(found.get(name), Tensor) for name in ("mean", "var")):
        raise WeightsError(f"{path} lacks the tensors mean and var: {AGAIN}.")
    return {"mean": found["mean"], "deviation": found["var"].sqrt()}


def _load(path: Path, network: Network, parts: Parts, state: State, dtype: torch.dtype) -> None:
    """Put a file's state into its modules, and keep a converted copy of what was a pickle."""
    modules = [getattr(parts, name) for name in network.modules]
    layout = network.layout(parts, state)
    ours = Layout({name: name for name in layout.names.values()})
    if getattr(state, "metadata", {}).get("original"):
        check(path, state, ours, modules)
    else:
        check(path, state, layout, modules)
        state = Converted(state, layout)
        if path.suffix != ".safetensors":
            state = keep(path, state) or state
    for module in modules:
        fill(module, state, dtype)


def fill(module: nn.Module, state: State, dtype: torch.dtype = torch.float32) -> None:
    """Copy a state under our names into a module, which may be on the meta device and is then ready to run."""
    named = {name: _as(state[name], mine, dtype) for name, mine in module.state_dict().items()}
    module.load_state_dict(named, assign=True)
    _constants(module, dtype)
    module.eval().requires_grad_(False)


def _as(tensor: Tensor, mine: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy that does not depend on the file any more; what counts, as `mine` does, stays a whole number."""
    return tensor.to(dtype if mine.is_floating_point() else mine.dtype, copy=True).contiguous()


def _constants(module: nn.Module, dtype: torch.dtype) -> None:
    """Buffers that no checkpoint holds, for a module that was built on the meta device."""
    for part in module.modules():
        if isinstance(part, TimeEmbedding):
            part.bits = TimeEmbedding(1, len(part.bits)).bits
        elif isinstance(part, BigVGAN):
            part.taps = low_pass().to(dtype)
    left = [name for name, buffer in (*module.named_buffers(), *module.named_parameters()) if buffer.is_meta]
    assert not left, f"nothing fills {left}"


def _rows(path: Path, expected: Tensor) -> Tensor:
    found = tensor(path)
    if found.shape != expected.shape:
        raise WeightsError(
            f"{path} has the shape {tuple(found.shape)} where {tuple(expected.shape)} is expected: give the released "
            "files, all of the same release."
        )
    return found.float().clone()


def _groups(config: ReleasedConfig) -> tuple[int, ...]:
    if sum(config.emo_num) != STORED_VOICES:
        raise WeightsError(f"emo_num counts {sum(config.emo_num)} stored voices, but there are {STORED_VOICES}.")
    return config.emo_num
