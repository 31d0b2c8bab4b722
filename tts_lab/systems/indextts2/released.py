"""Released tensor names and ours: an exact table for each checkpoint, readable both ways.

Ours leave out what inference never reads, and hold weight norm folded; a table accounts for every released tensor all
the same, so that a checkpoint with a name that is not its own, or without one that is needed, can be refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

Shape = tuple[int, ...]

# What the public code keeps in buffers and builds anew; whether a checkpoint holds them depends on its age.
BUFFERS = ("input_pos", "freqs_cis", "causal_mask", "k_cache", "v_cache")


@dataclass(frozen=True)
class Layout:
    """How one released checkpoint is laid out.

    names: released name of each tensor that inference reads, weight norm folded -> our name.
    normed: those of them that are released as a pair weight_g, weight_v.
    unused: released name of every other tensor -> its shape. Some were for training only; some are constants, which
    ours compute.
    """

    names: Mapping[str, str]
    normed: frozenset[str] = frozenset()
    unused: Mapping[str, Shape] = field(default_factory=dict)

    def under(self, released: str, ours: str) -> Layout:
        """The same as a part of something larger: prefixes for both sides."""
        return Layout(
            {released + a: ours + b for a, b in self.names.items()},
            frozenset(released + a for a in self.normed),
            {released + a: shape for a, shape in self.unused.items()},
        )


def together(*layouts: Layout) -> Layout:
    """One layout of several parts."""
    names: dict[str, str] = {}
    unused: dict[str, Shape] = {}
    for layout in layouts:
        names.update(layout.names)
        unused.update(layout.unused)
    return Layout(names, frozenset().union(*(layout.normed for layout in layouts)), unused)


def renamed(rows: Iterable[tuple[str, str]], leaves: tuple[str, ...] = ("weight", "bias")) -> dict[str, str]:
    """Names of tensors from names of modules: (released, ours) -> each with the same leaves."""
    return {f"{a}.{leaf}": f"{b}.{leaf}" for a, b in rows for leaf in leaves}


def pair(name: str) -> tuple[str, str]:
    """Names of the length and the direction that weight norm stores for a weight."""
    return name + "_g", name + "_v"


def to_released(state: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Our state under the released names, weight norm folded, without what inference never reads."""
    return {name: state[ours] for name, ours in layout.names.items()}


def released_shapes(module: nn.Module, layout: Layout, fold: bool = False) -> dict[str, Shape]:
    """Name and shape of every tensor of the checkpoint that fits `module`, which may be on the meta device.

    fold: as after folding weight norm; otherwise with its pairs.
    """
    shapes: dict[str, Shape] = dict(layout.unused)
    for name, tensor in to_released(module.state_dict(), layout).items():
        if fold or name not in layout.normed:
            shapes[name] = tuple(tensor.shape)
        else:
            length, direction = pair(name)
            shapes[length] = (tensor.shape[0], *[1] * (tensor.ndim - 1))
            shapes[direction] = tuple(tensor.shape)
    return shapes
