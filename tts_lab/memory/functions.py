"""Every function call of a run, seen from Python: what the operators below cannot tell.

That a tensor was made on the card or moved there, that attention was called, that a value was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tts_lab.memory.attention_route import MATH, Call, outputs, prepared, route
from tts_lab.memory.problems import at, data_dependent
from tts_lab.memory.recurrent import CUDNN_RNN, LstmCall
from tts_lab.memory.work import attention_flops, bytes_of

if TYPE_CHECKING:
    from tts_lab.memory.tracer import Tracer


class Functions(TorchFunctionMode):
    """Functions that need more than their operators tell."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self.tracer, self.ledger = tracer, tracer.ledger

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("device") is not None:
            kwargs = self._device_given(kwargs)
        special = _SPECIAL.get(func)
        operators = self.tracer._operators
        before, operators.call = operators.call, (args, kwargs)
        try:
            return special(self, func, args, kwargs) if special else func(*args, **kwargs)
        finally:
            operators.call = before

    def _device_given(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Code that asks for "cuda" gets the card; the card draws with no generator of another device."""
        if torch.device(kwargs["device"]).type in ("cuda", self.tracer.device):
            kwargs = kwargs | {"device": torch.device(self.tracer.device)}
            if self.tracer.device == "meta":
                kwargs.pop("generator", None)
        return kwargs

    def to(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`Tensor.to`: a move to the card is a copy there, even where both are one device."""
        device, dtype = _target(args[1:], kwargs)
        if device is None:
            return func(*args, **kwargs)
        device = self.tracer.device if device in ("cuda", self.tracer.device) else device
        return self._moved(args[0], device, dtype)

    def cuda(self, func: Any, args: Any, kwargs: Any) -> Any:
        return self._moved(args[0], self.tracer.device, None)

    def cpu(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`Tensor.cpu`: a copy on the host. On meta it stays without values."""
        if not self.tracer._operators.on_card(args[0]):
            return args[0]
        return self._copied(args[0], args[0].dtype, None, card=False)

    def _moved(self, t: Tensor, device: str, dtype: torch.dtype | None) -> Tensor:
        to_card, on_card = device == self.tracer.device, self.tracer._operators.on_card(t)
        if to_card and on_card:
            return t if dtype in (None, t.dtype) else torch.ops.aten._to_copy.default(t, dtype=dtype)
        if to_card:
            return self._copied(t, dtype or t.dtype, torch.device(device), card=True)
        return self._copied(t, dtype or t.dtype, None, card=False) if on_card else t.to(device, dtype or t.dtype)

    def _copied(self, t: Tensor, dtype: torch.dtype, device: torch.device | None, card: bool) -> Tensor:
        with self.tracer._operators.as_role(card):
            return torch.ops.aten._to_copy.default(t, dtype=dtype, device=device)

    def literal(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`torch.tensor`: values from Python, which reach the operators already made."""
        operators = self.tracer._operators
        with operators.as_role(None, silent=True):
            out = func(*args, **kwargs)
        operators._see(out, "aten.lift_fresh.default", kwargs.get("device") is not None)
        return out

    def assign(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`x[i] = 0.5`: a card takes the number from the host, while meta would make a tensor of it there."""
        if not isinstance(args[2], Tensor):
            self.tracer._operators.call = ((), {})
        return func(*args, **kwargs)

    def value(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`.item()` and its like."""
        if isinstance(args[0], Tensor) and args[0].device.type == "meta":
            where = self.ledger.where
            raise data_dependent(f"Tensor.{func.__name__}()", at(where.module, where.stage))
        return func(*args, **kwargs)

    def attention(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`scaled_dot_product_attention`: the kernel that the card would take."""
        call, operators = Call(*args, **kwargs), self.tracer._operators
        if not operators.on_card(call.query):
            return func(*args, **kwargs)
        operator = route(call, self.tracer.capability)
        self.tracer.kernels[operator.split(".")[1]] += 1
        if operator == MATH:
            return _math(call)
        return self._fused(call, prepared(call, operator), operator)

    def multihead(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`nn.MultiheadAttention`: PyTorch tells a mode of this function and hides the attention that it calls."""
        plain = F.scaled_dot_product_attention

        def seen(*inner: Any, **named: Any) -> Any:
            self.tracer._operators.call = (inner, named)
            return self.attention(plain, inner, named)

        F.scaled_dot_product_attention = seen
        try:
            return func(*args, **kwargs)
        finally:
            F.scaled_dot_product_attention = plain

    def _fused(self, asked: Call, call: Call, operator: str) -> Tensor:
        operators = self.tracer._operators
        with operators.as_role(None, silent=True):
            made = outputs(call, operator)
            if self.tracer.device == "cpu":
                made[0].copy_(_ATTENTION(*call.tensors, call.attn_mask, call.dropout_p,
                              call.is_causal, scale=call.scale, enable_gqa=call.enable_gqa))  # fmt: skip
        for t in made:
            operators._see(t, operator, True)
        operators.count += 1
        q, k, _ = call.tensors
        size = bytes_of(operator, call.tensors, made[:1])
        operators.launched(operator, q, attention_flops(q, k, call.is_causal), size)
        return made[0] if made[0].shape[-1] == asked.value.shape[-1] else made[0][..., : asked.value.shape[-1]]

    def recurrent(self, func: Any, args: Any, kwargs: Any) -> Any:
        """`torch.lstm`: one kernel on the card, which gives the outputs and the last states."""
        call, operators = LstmCall.of(args), self.tracer._operators
        if call is None or kwargs or not operators.on_card(call.input):
            return func(*args, **kwargs)
        for w in call.weights:
            if self.ledger.row(w) is None:
                self.ledger.before(w, "", "weight")
        with operators.as_role(None, silent=True):
            made = call.outputs()
            if self.tracer.device == "cpu":
                for new, value in zip(made, func(*args), strict=True):
                    new.copy_(value)
        for t in made:
            operators._see(t, CUDNN_RNN, True)
        operators._read(call.weights)
        operators.count += 1
        size = bytes_of(CUDNN_RNN, (call.input, *call.weights), made)
        operators.launched(CUDNN_RNN, made[0], call.flops(), size)
        return made


def _math(call: Call) -> Tensor:
    mask = prepared(call, MATH).attn_mask
    run = torch.ops.aten._scaled_dot_product_attention_math.default
    return run(*call.tensors, mask, call.dropout_p, call.is_causal, scale=call.scale, enable_gqa=call.enable_gqa)[0]


def _target(args: Any, kwargs: Any) -> tuple[str | None, torch.dtype | None]:
    """Device kind and dtype that `Tensor.to` is asked for; no device: it stays where it is."""
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    other = kwargs.get("other")
    for value in (*args, other):
        if isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, torch.dtype):
            dtype = value
        elif isinstance(value, str | torch.device | int) and not isinstance(value, bool):
            device = value
    return None if device is None else torch.device(device).type, dtype


_ATTENTION = F.scaled_dot_product_attention
_VALUES = ("item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__index__", "__complex__")
_SPECIAL: dict[Any, Callable[[Functions, Any, Any, Any], Any]] = {
    torch.Tensor.to: Functions.to,
    torch.Tensor.cuda: Functions.cuda,
    torch.Tensor.cpu: Functions.cpu,
    torch.Tensor.__setitem__: Functions.assign,
    torch.tensor: Functions.literal,
    torch.as_tensor: Functions.literal,
    F.scaled_dot_product_attention: Functions.attention,
    F.multi_head_attention_forward: Functions.multihead,
    torch.lstm: Functions.recurrent,
    **{getattr(torch.Tensor, name): Functions.value for name in _VALUES},
}
