"""Which fused attention kernel a card takes, and what that kernel allocates.

On the meta device and on a CPU, `scaled_dot_product_attention` ends in other kernels than on a card: on meta in the
written-out one, whose memory grows with the square of the length. So the choice is made here, by the rules of PyTorch's
`aten/src/ATen/native/transformers/cuda/sdp_utils.cpp`, and the chosen kernel's own outputs are allocated.

Axes: b batch, h heads, t queries, s keys, d width of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Capability = tuple[int, int]

FLASH = "aten._scaled_dot_product_flash_attention.default"
EFFICIENT = "aten._scaled_dot_product_efficient_attention.default"
CUDNN = "aten._scaled_dot_product_cudnn_attention.default"
MATH = "aten._scaled_dot_product_attention_math.default"
HALF = (torch.float16, torch.bfloat16)
NEWEST = (12, 1)  # last compute capability that PyTorch's fused kernels are built for


@dataclass(frozen=True)
class Call:
    """Arguments of `scaled_dot_product_attention`. query (b, h, t, d); key, value (b, h, s, d)."""

    query: Tensor
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.query, self.key, self.value

    @property
    def needs_gradient(self) -> bool:
        return torch.is_grad_enabled() and any(t.requires_grad for t in self.tensors)


def route(call: Call, capability: Capability) -> str:
    """The operator that PyTorch takes on a card of this compute capability: CUDNN, FLASH, EFFICIENT or MATH."""
    if not _fits_any(call):
        return MATH
    if _prefers_cudnn(capability) and _fits_cudnn(call):
        return CUDNN
    if _fits_flash(call, capability):
        return FLASH
    return EFFICIENT if _fits_efficient(call, capability) else MATH


def family(capability: Capability) -> Capability:
    """A compute capability that stands for all that take the same kernels: one trace serves them all."""
    if capability > NEWEST or capability < (7, 0):
        return capability
    if _prefers_cudnn(capability):
        return (9, 0)
    return (8, 6) if capability >= (8, 0) else (7, 5)


def _fits_any(call: Call) -> bool:
    """Four axes, one dtype, nothing empty, last axis dense, heads alike or grouped."""
    q, k, v = call.tensors
    if any(t.ndim != 4 or t.dtype != q.dtype or not t.numel() or t.stride(-1) != 1 for t in call.tensors):
        return False
    shared = k.shape[1] == v.shape[1] and (
        q.shape[1] == k.shape[1] or (call.enable_gqa and not q.shape[1] % k.shape[1])
    )
    return shared and q.shape[0] == k.shape[0] == v.shape[0]


def _prefers_cudnn(capability: Capability) -> bool:
    """Since torch 2.9 data-centre cards of the Hopper and Blackwell generations try cuDNN first."""
    return capability[0] in (9, 10)


def _fits_cudnn(call: Call) -> bool:
    q, k, v = call.tensors
    widths = q.shape[-1], v.shape[-1]
    return (
        q.dtype in HALF and max(widths) <= 128 and not any(w % 8 for w in widths) and k.shape[-2] > 1
        and not (call.attn_mask is not None and call.attn_mask.requires_grad)
    )  # fmt: skip


def _fits_flash(call: Call, capability: Capability) -> bool:
    q, k, v = call.tensors
    return (
        (8, 0) <= capability <= NEWEST and q.dtype in HALF and call.attn_mask is None
        and q.shape[-1] == k.shape[-1] == v.shape[-1] <= 256
        and not (call.is_causal and q.shape[-2] != k.shape[-2])
    )  # fmt: skip


def _fits_efficient(call: Call, capability: Capability) -> bool:
    q, k, v = call.tensors
    dtypes = (torch.float16, torch.float32, torch.bfloat16)[: 3 if capability >= (8, 0) else 2]
    step = _alignment(q.dtype, capability)
    aligned = capability < (8, 0) or not any(t.storage_offset() % step for t in call.tensors)
    return (
        (5, 0) <= capability <= NEWEST and q.dtype in dtypes and q.shape[-1] == k.shape[-1]
        and not q.shape[-1] % step and not v.shape[-1] % step and aligned
    )  # fmt: skip


def _alignment(dtype: torch.dtype, capability: Capability) -> int:
    """Elements that a width must be a multiple of, for the matrix units (`minimum_gemm_alignment`)."""
    half = dtype in HALF
    least = 4 if capability >= (8, 0) else 1
    return max(least, 128 // (16 if half else 32)) if capability >= (8, 0) or (capability >= (7, 0) and half) else least


def prepared(call: Call, operator: str) -> Call:
    """The arguments as the kernel gets them; what this makes are tensors of the run, like on a card.

    Masks of truths become numbers; flash wants widths of a multiple of 8, the memory-efficient kernel masks with rows
    of a multiple of 8.
    """
    q, k, v = call.tensors
    scale = call.scale if call.scale is not None else q.shape[-1] ** -0.5
    mask = None if call.attn_mask is None else _additive(call.attn_mask, q.dtype)
    if mask is not None and operator == EFFICIENT:
        if any(step % 8 for step in mask.stride()[:-1]) or mask.stride(-1) != 1:
            mask = F.pad(mask, (0, 8 - mask.shape[-1] % 8))[..., : mask.shape[-1]]
        mask = mask.expand(q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    if operator == FLASH and q.shape[-1] % 8:
        q, k, v = (F.pad(t, (0, 8 - t.shape[-1] % 8)) for t in (q, k, v))
    return Call(q, k, v, mask, call.dropout_p, call.is_causal, scale, call.enable_gqa)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.where(mask, 0.0, torch.scalar_tensor(-torch.inf, dtype=dtype, device=mask.device))


def outputs(call: Call, operator: str) -> tuple[Tensor, ...]:
    """What the kernel allocates, in its order: the output (b, h, t, d) first, then what a backward pass would need.

    The strides of the output decide whether the code behind it copies: flash keeps the query's, the others write
    (b, t, h, d).
    """
    q, _, v = call.tensors
    b, h, t, d = (*q.shape[:3], v.shape[-1])
    if operator == FLASH:
        return torch.empty_like(q), _float(q, b, h, t), _counter(q, 2), _counter(q)
    out = q.new_empty((b, t, h, d)).transpose(1, 2)
    if operator == CUDNN:
        statistics = _float(q, b, h, t, 1) if call.needs_gradient else _float(q, 0)
        return _cudnn_output(q, d), statistics, _counter(q), _counter(q)
    statistics = _float(q, b, h, -(-t // 32) * 32 if call.needs_gradient else 0)
    # Wider heads than the registers hold are summed up in float32 first.
    sums = (_float(q, b, t, h, d),) if q.dtype in HALF and d > 128 else ()
    return out, statistics, _counter(q), _counter(q), *sums


def _cudnn_output(q: Tensor, d: int) -> Tensor:
    """cuDNN's output follows the query's order of axes (`alloc_with_matching_layout`)."""
    if q.shape[-1] == d:
        return torch.empty_like(q)
    order = sorted(range(4), key=lambda axis: q.stride(axis), reverse=True)
    shape = (*q.shape[:3], d)
    return q.new_empty([shape[axis] for axis in order]).permute([order.index(axis) for axis in range(4)])


def _float(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=like.device)


def _counter(like: Tensor, *shape: int) -> Tensor:
    """State of the random numbers for dropout, which the kernel allocates with and without dropout."""
    return torch.empty(shape, dtype=torch.int64, device=like.device)
