"""Weight normalisation undone: checkpoints store a direction and a length, inference needs their product only.

Folding saves the product's recomputation in every call, and the memory that it takes there.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

# Pairs (length, direction) as torch.nn.utils.weight_norm and torch.nn.utils.parametrizations.weight_norm write them.
PAIRS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


def folded(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair of length g and direction v by weight = g v / |v| (norm over all but the first axis)."""
    result = {k: v for k, v in state.items() if not k.endswith(sum(PAIRS, ()))}
    for length, direction in PAIRS:
        for key in (k for k in state if k.endswith(length)):
            stem = key.removesuffix(length)
            g, v = state[key], state[stem + direction]
            norm = v.flatten(1).norm(dim=1).view(-1, *[1] * (v.ndim - 1))
            result[stem + "weight"] = g * v / norm
    return result
