"""Whether the tensors of a file are those that modules need, and if not, how they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from tts_lab.errors import WeightsError
from tts_lab.systems.indextts2.released import BUFFERS, Layout, Shape, pair

SHOWN = 3  # names of each kind that a sentence shows


@dataclass(frozen=True)
class Difference:
    """Released names that are missing, that are not known, and that have another shape, with both shapes."""

    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    wrong: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unknown or self.wrong)

    def __str__(self) -> str:
        kinds = (("missing", self.missing), ("unknown", self.unknown), ("of another shape", self.wrong))
        return "; ".join(f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds if names)


def difference(state: Mapping[str, Tensor], layout: Layout, modules: Iterable[nn.Module]) -> Difference:
    """Compare a state with what `modules` (on any device) need. A weight may come as a pair or folded already; what
    inference never reads may be there or not, and of any shape."""
    found = {name for name in state if name.rpartition(".")[2] not in BUFFERS and name not in layout.unused}
    expected = _shapes(layout, modules)
    missing = [n for n in layout.names if n not in found and not (n in layout.normed and found >= set(pair(n)))]
    wrong = [
        f"{name} {_product(state[name].shape)} in place of {_product(expected[name])}"
        for name in sorted(found & set(expected))
        if tuple(state[name].shape) != expected[name]
    ]
    return Difference(tuple(missing), tuple(sorted(found - set(expected))), tuple(wrong))


def check(path: Path, state: Mapping[str, Tensor], layout: Layout, modules: Iterable[nn.Module]) -> None:
    """Raises WeightsError that names the file and the difference."""
    found = difference(state, layout, modules)
    if found:
        raise WeightsError(
            f"The tensors of {path} are not those of IndexTTS-2 at the size that its configuration says: {found}. "
            "Give the released files, all of the same release."
        )


def other_version(names: Iterable[str]) -> str | None:
    """Which other release a `gpt.pth` belongs to, by names that tell; None where nothing does."""
    first = {name.removeprefix("module.").partition(".")[0] for name in names}
    if "spk_emb_proj" in first:
        return "IndexTTS-2.5"
    if "text_embedding" in first and "emo_layer" not in first:
        return "IndexTTS 1.x"
    return None


def _shapes(layout: Layout, modules: Iterable[nn.Module]) -> dict[str, Shape]:
    """Shape of every released name, weights with weight norm under all three names."""
    ours = {name: tuple(tensor.shape) for module in modules for name, tensor in module.state_dict().items()}
    shapes: dict[str, Shape] = {}
    for name, mine in layout.names.items():
        shape = shapes[name] = ours[mine]
        if name in layout.normed:
            length, direction = pair(name)
            shapes[length], shapes[direction] = (shape[0], *[1] * (len(shape) - 1)), shape
    return shapes


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _product(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "a number"
