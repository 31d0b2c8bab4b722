"""A graph that rounds to 8 bits as it runs, taken back to floating point; its pitch moved; its end cut off."""

import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
quantization = pytest.importorskip("onnxruntime.quantization")

from onnx import helper, numpy_helper  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import floating  # noqa: E402

FLOAT = onnx.TensorProto.FLOAT
RNG = np.random.default_rng(0)
WEIGHTS = {
    "w_conv": RNG.normal(size=(6, 4, 3)).astype(np.float32), "b_conv": RNG.normal(size=6).astype(np.float32),
    "w_mat": RNG.normal(size=(6, 5)).astype(np.float32), "w_lstm": RNG.normal(size=(2, 12, 5)).astype(np.float32),
    "r_lstm": RNG.normal(size=(2, 12, 3)).astype(np.float32), "b_lstm": RNG.normal(size=(2, 24)).astype(np.float32),
}  # fmt: skip


def network() -> onnx.ModelProto:
    """(1, 4, 8) through a convolution, a product and a bidirectional LSTM."""
    nodes = [
        helper.make_node("Conv", ["x", "w_conv", "b_conv"], ["conv"], "conv_node", kernel_shape=[3], pads=[1, 1]),
        helper.make_node("Transpose", ["conv"], ["turned"], "turn", perm=[2, 0, 1]),
        helper.make_node("MatMul", ["turned", "w_mat"], ["product"], "mat_node"),
        helper.make_node("LSTM", ["product", "w_lstm", "r_lstm", "b_lstm"], ["y"], "lstm_node", hidden_size=3,
                         direction="bidirectional"),
    ]  # fmt: skip
    given = [helper.make_tensor_value_info("x", FLOAT, [1, 4, 8])]
    made = [helper.make_tensor_value_info("y", FLOAT, None)]
    weights = [numpy_helper.from_array(v, k) for k, v in WEIGHTS.items()]
    graph = helper.make_graph(nodes, "net", given, made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, **given: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, given)


@pytest.fixture(scope="module", params=[False, True], ids=["one scale", "a scale a channel"])
def rounded(request, tmp_path_factory) -> onnx.ModelProto:
    folder = tmp_path_factory.mktemp("graph")
    onnx.save(network(), folder / "float.onnx")
    quantization.quantize_dynamic(folder / "float.onnx", folder / "8bit.onnx", per_channel=request.param,
                                  weight_type=quantization.QuantType.QUInt8)  # fmt: skip
    model = onnx.load(folder / "8bit.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert {"ConvInteger", "MatMulInteger", "DynamicQuantizeLSTM", "DynamicQuantizeLinear"} <= kinds
    return model


def stood_for(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The weights that 8-bit numbers stand for, found by their names and not as floating.py finds them."""
    given = {i.name: numpy_helper.to_array(i).astype(np.float64) for i in model.graph.initializer}
    found = dict(WEIGHTS)
    for name in ("w_conv", "w_mat", "w_lstm", "r_lstm"):
        numbers, scale, zero = (given[f"{name}_{kind}"] for kind in ("quantized", "scale", "zero_point"))
        if name == "w_conv":
            scale, zero = scale.reshape(-1, 1, 1), zero.reshape(-1, 1, 1)
        if "lstm" in name:
            scale, zero = scale.reshape(2, 1, -1), zero.reshape(2, 1, -1)
        weight = (numbers - zero) * scale
        found[name] = (weight.transpose(0, 2, 1) if "lstm" in name else weight).astype(np.float32)
    return found


def test_nothing_is_rounded_on_the_way(rounded):
    x = RNG.normal(size=(1, 4, 8)).astype(np.float32)
    wanted = network()
    del wanted.graph.initializer[:]
    wanted.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in stood_for(rounded).items())
    mended = floating.in_float(rounded)
    assert not {n.op_type for n in mended.graph.node} & {"ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"}
    (expected,), (got,), (eight_bits,) = run(wanted, x=x), run(mended, x=x), run(rounded, x=x)
    np.testing.assert_allclose(got, expected, atol=2e-6)
    assert np.abs(eight_bits - expected).max() > 1e-3  # the rounding was there to be taken out


def voice() -> onnx.ModelProto:
    """A pitch curve that is given, times two, and a sound of its own weights."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], [floating.PITCH], "pitch"),
        helper.make_node("Add", [floating.PITCH, "one"], [floating.CONTENT], "content"),
        helper.make_node("Mul", [floating.CONTENT, "two"], ["audio"], "sound"),
    ]
    given = [helper.make_tensor_value_info("x", FLOAT, ["k"]), helper.make_tensor_value_info("unused", FLOAT, [1])]
    made = [helper.make_tensor_value_info("audio", FLOAT, None)]
    constants = [numpy_helper.from_array(np.float32(v), k) for k, v in {"one": 1, "two": 2}.items()]
    graph = helper.make_graph(nodes, "voice", given, made, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_pitch_is_moved_about_a_centre_and_what_is_no_pitch_stays():
    model = floating.until(floating.with_moves(voice()), [floating.PITCH])
    given = {"x": np.array([50, 100, 200, 5, -3], dtype=np.float32)}
    move = {"centre": np.log(200.0), "range": 1.5, "semitones": 3.0}
    (pitch,) = run(model, **given, **{k: np.array(v, dtype=np.float32) for k, v in move.items()})
    up = 2 ** (3 / 12)
    np.testing.assert_allclose(pitch, [200 * 0.5**1.5 * up, 200 * up, 200 * 2**1.5 * up, 10, -6], rtol=1e-5)


def test_a_graph_without_its_end_keeps_what_it_needs_and_no_more():
    cut = floating.until(voice(), [floating.CONTENT])
    assert [n.name for n in cut.graph.node] == ["pitch", "content"]
    assert [i.name for i in cut.graph.input] == ["x"]
    (content,) = run(cut, x=np.array([3.0], dtype=np.float32))
    assert content.tolist() == [7.0]
