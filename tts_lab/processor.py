"""Which number formats this computer's processor has units for."""

from __future__ import annotations

from functools import cache


@cache
def computes(precision: str) -> bool:
    """Whether the CPU path computes in this format: fp32 always, bf16 where the processor multiplies it in hardware
    (AVX512_BF16 or AMX: AMD from Zen 4 on, Intel's servers from Cooper Lake on), fp16 never.

    Elsewhere half precision is computed by way of single and slower than that.
    """
    if precision == "fp32":
        return True
    if precision != "bf16":
        return False
    import torch

    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # not public; a torch without them says no
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in asked)
