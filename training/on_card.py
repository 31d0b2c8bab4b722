"""An ONNX graph run by PyTorch, on a card or on the CPU: onnxruntime's builds for a card are not needed to use one.

Only the operators of the teacher's graph (`teacher.py`) are here. Whole numbers, and what is computed from shapes
alone, stay in the computer's memory, so that the card is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor
from torch.nn import functional

Values = list[Tensor | None]
DTYPES = {onnx.TensorProto.FLOAT: torch.float32, onnx.TensorProto.INT64: torch.int64,
          onnx.TensorProto.INT32: torch.int32, onnx.TensorProto.BOOL: torch.bool}  # fmt: skip


class Graph:
    """model: with all its weights inside; outputs: names of the values that `run` gives; device: of the float weights.

    Raises NotImplementedError for a graph with an operator that is not here.
    """

    def __init__(self, model: onnx.ModelProto, outputs: Iterable[str], device: str) -> None:
        self.device, self.outputs = torch.device(device), list(outputs)
        self.weights = {i.name: self._placed(numpy_helper.to_array(i)) for i in model.graph.initializer}
        unknown = {n.op_type for n in model.graph.node} - set(OPERATORS)
        if unknown:
            raise NotImplementedError(f"No operators {', '.join(sorted(unknown))} are written here.")
        self.steps = [
            (OPERATORS[n.op_type], list(n.input), [o for o in n.output if o],
             {a.name: helper.get_attribute_value(a) for a in n.attribute})
            for n in model.graph.node
        ]  # fmt: skip
        last = {name: k for k, (_, inputs, _, _) in enumerate(self.steps) for name in inputs}
        self.over = [[] for _ in self.steps]
        for name, k in last.items():
            if name and name not in self.weights and name not in self.outputs:
                self.over[k].append(name)

    def _placed(self, array: np.ndarray) -> Tensor:
        value = torch.from_numpy(np.array(array))  # a copy: what it is of cannot be written to
        weight = value.is_floating_point() or value.element_size() == 1  # 8-bit tables too
        return value.to(self.device) if weight and value.ndim else value

    @torch.no_grad()
    def run(self, given: dict[str, np.ndarray]) -> list[np.ndarray]:
        """What onnxruntime's `InferenceSession.run` gives for these inputs."""
        values = self.weights | {name: self._placed(value) for name, value in given.items()}
        for (operator, inputs, outputs, attributes), over in zip(self.steps, self.over, strict=True):
            found = operator([values[name] if name else None for name in inputs], attributes)
            for name, value in zip(outputs, found if isinstance(found, tuple | list) else (found,), strict=False):
                values[name] = value
            for name in over:
                values.pop(name, None)
        return [values[name].cpu().numpy() for name in self.outputs]


def together(*values: Tensor) -> list[Tensor]:
    """The same values where they can meet: on the card if one is there; a single number may stay behind."""
    place = next((v.device for v in values if v.device.type != "cpu"), None)
    return [v if place is None or v.ndim == 0 or v.device == place else v.to(place) for v in values]


def elementwise(act: Callable[..., Tensor]) -> Callable[[Values, dict[str, Any]], Tensor]:
    return lambda values, _: act(*together(*values))


def ints(value: Tensor) -> list[int]:
    return value.reshape(-1).tolist()


def axes_of(value: Tensor | None, ndim: int) -> list[int]:
    return list(range(ndim)) if value is None else [int(a) % ndim for a in ints(value)]


def divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def gather(values: Values, attributes: dict[str, Any]) -> Tensor:
    data, indices = values
    axis = attributes.get("axis", 0) % data.ndim
    indices = indices.to(data.device)
    index = torch.where(indices < 0, indices + data.shape[axis], indices)
    flat = data.index_select(axis, index.reshape(-1))
    return flat.reshape([*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]])


def reshape(values: Values, attributes: dict[str, Any]) -> Tensor:
    data, shape = values[0], ints(values[1])
    return data.reshape([data.shape[k] if s == 0 else s for k, s in enumerate(shape)])


def unsqueeze(values: Values, _: dict[str, Any]) -> Tensor:
    data, axes = values[0], ints(values[1])
    rank = data.ndim + len(axes)
    for axis in sorted(a % rank for a in axes):
        data = data.unsqueeze(axis)
    return data


def squeeze(values: Values, _: dict[str, Any]) -> Tensor:
    return values[0].squeeze(tuple(axes_of(values[1], values[0].ndim)))


def cut(values: Values, _: dict[str, Any]) -> Tensor:
    data, starts, ends, axes, steps = (*values, None, None)[:5]
    starts, ends = ints(starts), ints(ends)
    axes = list(range(len(starts))) if axes is None else axes_of(axes, data.ndim)
    steps = [1] * len(starts) if steps is None else ints(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        kept = range(data.shape[axis])[start:end:step]
        if step < 0:
            data = data.index_select(axis, torch.tensor(list(kept), device=data.device))
        else:
            data = data[(slice(None),) * axis + (slice(kept.start, kept.stop, step),)]
    return data


def split(values: Values, attributes: dict[str, Any]) -> list[Tensor]:
    axis = attributes.get("axis", 0)
    if len(values) > 1 and values[1] is not None:
        return list(values[0].split(ints(values[1]), axis))
    raise NotImplementedError("A split into equal parts.")


def expand(values: Values, _: dict[str, Any]) -> Tensor:
    data, shape = values[0], ints(values[1])
    return data.expand(torch.broadcast_shapes(data.shape, tuple(shape)))


def constant(values: Values, attributes: dict[str, Any]) -> Tensor:
    fill = torch.from_numpy(np.array(numpy_helper.to_array(attributes["value"])))
    return fill.expand(ints(values[0])).clone()


def convolve(values: Values, attributes: dict[str, Any]) -> Tensor:
    data, weight, bias = (*values, None)[:3]
    assert attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    left, right = attributes["pads"]
    if left != right:
        data, left = functional.pad(data, (left, right)), 0
    return functional.conv1d(data, weight, bias, attributes["strides"], left, attributes["dilations"],
                             attributes["group"])  # fmt: skip


def convolve_back(values: Values, attributes: dict[str, Any]) -> Tensor:
    data, weight, bias = (*values, None)[:3]
    left, right = attributes["pads"]
    assert left == right
    return functional.conv_transpose1d(data, weight, bias, attributes["strides"], left,
                                       attributes.get("output_padding", 0), attributes["group"])  # fmt: skip


def recur(values: Values, attributes: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """A bidirectional LSTM: data (t, b, c); ONNX has the gates' rows in the order i o f c, PyTorch i f c o."""
    data, weight, recurrent, bias, _, first, cell = values
    assert attributes["direction"] == b"bidirectional"
    size = attributes["hidden_size"]
    order = torch.cat([torch.arange(k * size, (k + 1) * size) for k in (0, 2, 3, 1)]).to(data.device)
    flat: list[Tensor] = []
    for d in range(2):
        own, other = bias[d, : 4 * size], bias[d, 4 * size :]
        flat += [weight[d][order], recurrent[d][order], own[order], other[order]]
    state = tuple(x.to(data.device).contiguous() for x in (first, cell))
    out, last, last_cell = torch._VF.lstm(data, state, flat, True, 1, 0.0, False, True, False)
    steps, batch = data.shape[:2]
    return out.reshape(steps, batch, 2, size).transpose(1, 2), last, last_cell


def resize(values: Values, attributes: dict[str, Any]) -> Tensor:
    data, scale = values[0], float(values[2].reshape(-1)[-1])
    if attributes["mode"] == b"nearest":
        return data.repeat_interleave(round(scale), -1)
    return functional.interpolate(data, scale_factor=scale, mode="linear", align_corners=False,
                                  recompute_scale_factor=False)  # fmt: skip


def pad(values: Values, attributes: dict[str, Any]) -> Tensor:
    amounts = ints(values[1])
    rank = len(amounts) // 2
    assert not any(amounts[: rank - 1])
    assert not any(amounts[rank:-1])
    data = values[0]
    lifted = data[None] if data.ndim < 3 else data
    mode = attributes.get("mode", b"constant").decode()
    return functional.pad(lifted, (amounts[rank - 1], amounts[-1]), mode).reshape([*data.shape[:-1], -1])


def spectrum(values: Values, attributes: dict[str, Any]) -> Tensor:
    """By onnxruntime, on the CPU. Where nothing is voiced the teacher reads the phase of what is zero but for rounding,
    and hears in it a noise of one certain kind: another transform's rounding errors make another sound."""
    data, step, window, length = values
    session = _spectrum_session(int(attributes.get("onesided", 1)))
    given = {"data": data.reshape(data.shape[0], -1, 1), "step": step, "window": window, "length": length}
    (found,) = session.run(None, {name: value.cpu().numpy() for name, value in given.items()})
    return torch.from_numpy(found).to(data.device)


@cache
def _spectrum_session(onesided: int) -> Any:
    import onnxruntime

    kinds = {"data": onnx.TensorProto.FLOAT, "step": onnx.TensorProto.INT64, "window": onnx.TensorProto.FLOAT,
             "length": onnx.TensorProto.INT64}  # fmt: skip
    node = helper.make_node("STFT", list(kinds), ["spectrum"], onesided=onesided)
    inputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("spectrum", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "spectrum", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def scatter(values: Values, _: dict[str, Any]) -> Tensor:
    data, indices, updates = together(*values)
    made = data.clone()
    made[tuple(indices.movedim(-1, 0))] = updates
    return made


def normalise_sum(values: Values, attributes: dict[str, Any]) -> Tensor:
    data, skip, scale, shift = values[:4]
    whole = data + skip + (values[4] if len(values) > 4 else 0)
    return functional.layer_norm(whole, scale.shape, scale, shift, attributes["epsilon"])


def mean(values: Values, attributes: dict[str, Any]) -> Tensor:
    return values[0].mean(axes_of(values[1], values[0].ndim), keepdim=bool(attributes.get("keepdims", 1)))


def total(values: Values, attributes: dict[str, Any]) -> Tensor:
    return values[0].sum(axes_of(values[1], values[0].ndim), keepdim=bool(attributes.get("keepdims", 1)))


def clip(values: Values, _: dict[str, Any]) -> Tensor:
    data, low, high = (*values, None, None)[:3]
    return data.clamp(None if low is None else float(low), None if high is None else float(high))


def power(a: Tensor, b: Tensor) -> Tensor:
    return torch.pow(a, b.to(a.dtype))


def dequantise(values: Values, _: dict[str, Any]) -> Tensor:
    data, scale, zero = together(*values)
    return (data.float() - zero.float()) * scale


def product(values: Values, attributes: dict[str, Any]) -> Tensor:
    a, b = together(*values)
    a = a.transpose(-1, -2) if attributes.get("transA") else a
    b = b.transpose(-1, -2) if attributes.get("transB") else b
    return attributes.get("alpha", 1.0) * (a @ b)


def joined(values: Values, attributes: dict[str, Any]) -> Tensor:
    return torch.cat(together(*values), attributes["axis"])


OPERATORS: dict[str, Callable[[Values, dict[str, Any]], Any]] = {
    "Add": elementwise(torch.add), "Sub": elementwise(torch.sub), "Mul": elementwise(torch.mul),
    "Div": elementwise(divide), "Pow": elementwise(power), "Max": elementwise(torch.maximum),
    "And": elementwise(torch.logical_and), "Equal": elementwise(torch.eq), "Greater": elementwise(torch.gt),
    "GreaterOrEqual": elementwise(torch.ge), "Less": elementwise(torch.lt), "Where": elementwise(torch.where),
    "Atan": elementwise(torch.atan), "Cos": elementwise(torch.cos), "Sin": elementwise(torch.sin),
    "Exp": elementwise(torch.exp), "Log": elementwise(torch.log), "Sqrt": elementwise(torch.sqrt),
    "Tanh": elementwise(torch.tanh), "Sigmoid": elementwise(torch.sigmoid), "Floor": elementwise(torch.floor),
    "Round": elementwise(torch.round), "Identity": lambda values, _: values[0], "MatMul": elementwise(torch.matmul),
    "FusedMatMul": product, "Clip": clip, "Concat": joined, "ConstantOfShape": constant, "Conv": convolve,
    "ConvTranspose": convolve_back, "LSTM": recur, "Resize": resize, "Pad": pad, "STFT": spectrum,
    "ScatterND": scatter, "SkipLayerNormalization": normalise_sum, "ReduceMean": mean, "ReduceSum": total,
    "Gather": gather, "Reshape": reshape, "Unsqueeze": unsqueeze, "Squeeze": squeeze, "Slice": cut, "Split": split,
    "Expand": expand, "DequantizeLinear": dequantise,
    "Cast": lambda values, attributes: values[0].to(DTYPES[attributes["to"]]),
    "CumSum": lambda values, _: values[0].cumsum(int(values[1])),
    "FastGelu": lambda values, _: functional.gelu(values[0] + values[1], approximate="tanh"),
    "LayerNormalization": lambda values, attributes: functional.layer_norm(
        values[0], values[1].shape, values[1], values[2], attributes["epsilon"]
    ),
    "LeakyRelu": lambda values, attributes: functional.leaky_relu(values[0], attributes["alpha"]),
    "NonZero": lambda values, _: values[0].nonzero().T,
    "Range": lambda values, _: torch.arange(*(v.item() for v in values)),
    "Shape": lambda values, _: torch.tensor(values[0].shape),
    "Softmax": lambda values, attributes: values[0].softmax(attributes["axis"]),
    "Transpose": lambda values, attributes: values[0].permute(attributes["perm"]),
}  # fmt: skip
