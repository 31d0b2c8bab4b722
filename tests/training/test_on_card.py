"""The teacher's operators in PyTorch, one by one, against onnxruntime."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

onnx = pytest.importorskip("onnx", reason="needs the extra `train`")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `train`")
on_card = pytest.importorskip("on_card")

RANDOM = np.random.default_rng(0)
KINDS = {np.dtype("float32"): onnx.TensorProto.FLOAT, np.dtype("int64"): onnx.TensorProto.INT64,
         np.dtype("bool"): onnx.TensorProto.BOOL}  # fmt: skip


def numbers(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def whole(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def convolution(**more: Any) -> dict[str, Any]:
    return {"auto_pad": "NOTSET", "dilations": [1], "group": 1, "strides": [1]} | more


SCALE = np.array([1, 1, 2], dtype=np.float32)
WINDOW = np.hanning(9)[:-1].astype(np.float32)
EMPTY = np.zeros(0, dtype=np.float32)
CASES: dict[str, tuple[str, list[np.ndarray], dict[str, Any]]] = {
    "divide whole numbers": ("Div", [whole(7, -7), whole(2, 2)], {}),
    "power": ("Pow", [numbers(3, 4), np.float32(2)], {}),
    "where": ("Where", [np.array([True, False]), numbers(2), numbers(2)], {}),
    "clip": ("Clip", [numbers(9), np.float32(-0.5), np.float32(0.5)], {}),
    "gather from the end": ("Gather", [numbers(3, 5), whole(-1, 0)], {"axis": 1}),
    "gather one": ("Gather", [whole(4, 5, 6), np.array(1)], {"axis": 0}),
    "reshape": ("Reshape", [numbers(2, 6), whole(0, 3, -1)], {}),
    "unsqueeze": ("Unsqueeze", [numbers(2, 3), whole(0, -1)], {}),
    "squeeze": ("Squeeze", [numbers(1, 3, 1), whole(0, 2)], {}),
    "slice": ("Slice", [numbers(4, 9), whole(1), whole(-1), whole(1), whole(2)], {}),
    "slice backwards": ("Slice", [numbers(4, 9), whole(-1), whole(-5), whole(1), whole(-1)], {}),
    "slice of all axes": ("Slice", [numbers(4, 9), whole(1, 2), whole(3, 100)], {}),
    "expand": ("Expand", [numbers(3, 1), whole(2, 1, 4)], {}),
    "mean": ("ReduceMean", [numbers(2, 3, 4), whole(-1)], {"keepdims": 1}),
    "sum": ("ReduceSum", [numbers(2, 3, 4), whole(1)], {"keepdims": 0}),
    "running sum": ("CumSum", [numbers(2, 5), np.array(1)], {}),
    "cast": ("Cast", [numbers(5) * 3], {"to": onnx.TensorProto.INT64}),
    "rounding halves": ("Round", [np.array([0.5, 1.5, -2.5], np.float32)], {}),
    "leak": ("LeakyRelu", [numbers(5)], {"alpha": 0.2}),
    "places": ("NonZero", [np.array([[True, False], [True, True]])], {}),
    "shape": ("Shape", [numbers(2, 5)], {}),
    "transpose": ("Transpose", [numbers(2, 3, 4)], {"perm": [2, 0, 1]}),
    "layer norm": ("LayerNormalization", [numbers(2, 6), numbers(6), numbers(6)], {"axis": -1, "epsilon": 1e-5}),
    "convolution": ("Conv", [numbers(1, 4, 9), numbers(6, 2, 3), numbers(6)],
                    convolution(group=2, kernel_shape=[3], pads=[2, 2], dilations=[2])),
    "uneven padding": ("Conv", [numbers(1, 4, 9), numbers(6, 4, 3)], convolution(kernel_shape=[3], pads=[2, 0])),
    "convolution back": ("ConvTranspose", [numbers(1, 4, 5), numbers(4, 1, 3), numbers(4)],
                         convolution(group=4, kernel_shape=[3], pads=[1, 1], strides=[2], output_padding=[1])),
    "nearest": ("Resize", [numbers(1, 2, 5), EMPTY, SCALE],
                {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}),
    "linear": ("Resize", [numbers(1, 2, 6), EMPTY, np.array([1, 1, 0.5], np.float32)], {"mode": "linear"}),
    "mirrored": ("Pad", [numbers(1, 2, 6), whole(0, 0, 3, 0, 0, 1)], {"mode": "reflect"}),
    "spectrum": ("STFT", [numbers(1, 40, 1), np.array(4), WINDOW, np.array(8)], {"onesided": 1}),
    "scatter": ("ScatterND", [numbers(4, 2), np.array([[0], [3]]), numbers(2, 2)], {}),
    "long short-term memory": ("LSTM", [numbers(7, 1, 3), numbers(2, 16, 3), numbers(2, 16, 4), numbers(2, 32), EMPTY,
                                        numbers(2, 1, 4), numbers(2, 1, 4)],
                               {"direction": "bidirectional", "hidden_size": 4}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_an_operator_gives_what_onnxruntime_gives(case: str) -> None:
    kind, given, attributes = CASES[case]
    given = [np.asarray(value) for value in given]
    names = [f"x{k}" if value.size else "" for k, value in enumerate(given)]
    outputs = ["y", "h", "c"] if kind == "LSTM" else ["y"]
    node = onnx.helper.make_node(kind, names, outputs, **attributes)
    values = {name: value for name, value in zip(names, given, strict=True) if name}
    inputs = [onnx.helper.make_tensor_value_info(n, KINDS[v.dtype], v.shape) for n, v in values.items()]
    made = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = onnx.helper.make_graph([node], "one", inputs, made)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(
        on_card.Graph(model, outputs, "cpu").run(values), session.run(outputs, values), strict=True
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_spectrum_keeps_the_rounding_of_what_is_nearly_zero() -> None:
    """Of a constant, all but the lowest bins are rounding errors, and the teacher reads their phase."""
    flat, window = torch.full((1, 40, 1), 0.1), torch.from_numpy(WINDOW)
    found = on_card.spectrum([flat, torch.tensor(4), window, torch.tensor(8)], {"onesided": 1})
    frames = flat[0, :8, 0] * window
    assert found[0, 0, 3:].abs().max() < 1e-5
    assert found[0, 0, 0, 0] == pytest.approx(float(frames.sum()), rel=1e-5)
    assert torch.equal(found[0, 0], found[0, 3])  # the same errors wherever it is


def test_an_unknown_operator_is_named() -> None:
    node = onnx.helper.make_node("Hardmax", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "one", [], [])
    with pytest.raises(NotImplementedError, match="Hardmax"):
        on_card.Graph(onnx.helper.make_model(graph), ["y"], "cpu")
