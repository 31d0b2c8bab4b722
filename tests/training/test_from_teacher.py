"""Factoring the teacher's decoder: exact where nothing is left out, and the directions that vary most first."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import from_teacher
from tts_lab.nn.adain import FactoredConv


def outputs(weight: torch.Tensor, bias: torch.Tensor, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (1, 5, 4000) and a convolution's outputs; inputs in `rank` directions alone if given."""
    x = torch.randn(1, 5, 4000, generator=torch.Generator().manual_seed(1))
    if rank:
        x = torch.randn(5, rank, generator=torch.Generator().manual_seed(2)) @ x[:, :rank]
    return x, torch.nn.functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2)


@pytest.fixture
def conv() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(8, 5, 1, generator=g), torch.randn(8, generator=g)


@pytest.mark.parametrize("rank", [8, 5])
def test_nothing_is_lost_where_the_outputs_need_no_more(rank, conv):
    x, y = outputs(*conv)
    spread = from_teacher.Spread()
    spread.see(y[0, :, :1500].numpy())
    spread.see(y[0, :, 1500:].numpy())
    target = FactoredConv(5, 8, 1, rank)
    share = from_teacher.factor(target, *conv, spread, spread.deviation)
    assert share == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(target(x), y, atol=1e-4, rtol=1e-4)


def test_what_varies_most_is_kept(conv):
    x, y = outputs(*conv)
    spread = from_teacher.Spread()
    spread.see(y[0].numpy())
    errors = []
    for rank in (1, 2, 4):
        target = FactoredConv(5, 8, 1, rank)
        share = from_teacher.factor(target, *conv, spread, spread.deviation)
        scale = torch.from_numpy(spread.deviation).float()[:, None]
        errors.append(((target(x) - y) / scale).square().mean().item())
        assert errors[-1] == pytest.approx(1 - share, rel=0.01)  # all that is lost is what the share says
    assert errors == sorted(errors, reverse=True)


def test_a_spread_is_that_of_all_that_was_seen():
    values = np.random.default_rng(0).normal(2, 3, (4, 900))
    spread = from_teacher.Spread()
    for part in np.split(values, 3, axis=1):
        spread.see(part)
    np.testing.assert_allclose(spread.covariance, np.cov(values, bias=True), rtol=1e-9)
    np.testing.assert_allclose(spread.mean, values.mean(1))


def test_styles_are_fitted_and_manners_change_nothing():
    g = torch.Generator().manual_seed(0)
    styles, manner, values = torch.randn(4, 8, generator=g), torch.randn(2, 8, generator=g), torch.randn(4, 3)
    layer = torch.nn.Linear(8, 3)
    from_teacher.fitted(layer, styles, manner, values)
    torch.testing.assert_close(layer(styles), values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(layer(styles + 0.7 * manner[0]), values, atol=1e-4, rtol=1e-4)


# --- the reader ---


def tiny_reader(content: int) -> from_teacher.Graph:
    """The parts of a graph that hold a reader, under the teacher's names."""
    onnx = from_teacher.onnx
    rng, place = np.random.default_rng(0), from_teacher.READER.strip("/").replace("/", ".")
    embedding, node, nodes = f"{place}.embedding.weight", onnx.helper.make_node, []
    values = {f"{embedding}_quantized": rng.integers(0, 255, (60, content), dtype=np.uint8), "zero": np.uint8(128),
              f"{embedding}_scale": np.float32(0.02)}  # fmt: skip
    where = f"{from_teacher.READER}/embedding/Gather_quant_DequantizeLinear"
    nodes.append(node("DequantizeLinear", ["ids", f"{embedding}_scale", "zero"], ["table"], name=where))
    for i, path in enumerate(from_teacher.READING):
        values[f"w{i}_quantized_float"] = rng.normal(0, 0.2, (content, content, 5)).astype(np.float32)
        values[f"w{i}_scale"] = np.float32(0.5)
        for name in ("0.bias", "1.gamma", "1.beta"):
            values[f"{place}.cnn.{i}.{name}"] = rng.normal(0.5, 0.3, content).astype(np.float32)
        nodes.append(node("Conv", ["x", f"w{i}_quantized_float"], [f"y{i}"], name=f"{path}/Conv_quant"))
    half = content // 2
    for name, shape in {"W": (2, 4 * half, content), "R": (2, 4 * half, half), "B": (2, 8 * half)}.items():
        values[name] = rng.normal(0, 0.4, shape).astype(np.float32)
    lstm = node(
        "LSTM", ["x", "W", "R", "B"], ["y"], name=from_teacher.LSTM, hidden_size=half, direction="bidirectional"
    )
    return from_teacher.Graph(values, onnx.helper.make_model(onnx.helper.make_graph([*nodes, lstm], "tiny", [], [])))


def read_by_hand(graph: from_teacher.Graph, rows: list[int]) -> torch.Tensor:
    """What the graph's numbers make of rows of its table, (l, c); the LSTM by the graph's own runtime."""
    onnx, onnxruntime = from_teacher.onnx, pytest.importorskip("onnxruntime")
    place = from_teacher.READER.strip("/").replace("/", ".")
    v = {name: torch.from_numpy(np.asarray(value)).float() for name, value in graph.values.items()}
    x = ((v[f"{place}.embedding.weight_quantized"] - 128) * 0.02)[rows]
    for i in range(3):
        bias, gamma, beta = (v[f"{place}.cnn.{i}.{name}"] for name in ("0.bias", "1.gamma", "1.beta"))
        y = torch.nn.functional.conv1d(x.T[None], 0.5 * v[f"w{i}_quantized_float"], bias, padding=2)[0].T
        x = torch.nn.functional.leaky_relu(torch.nn.functional.layer_norm(y, gamma.shape, gamma, beta), 0.2)
    kinds, value = onnx.TensorProto, onnx.helper.make_tensor_value_info
    numbers = [onnx.numpy_helper.from_array(graph.values[name], name) for name in "WRB"]
    rows_in, rows_out = value("x", kinds.FLOAT, [len(rows), 1, 8]), value("y", kinds.FLOAT, None)
    lstm = onnx.helper.make_graph([graph.node(from_teacher.LSTM)], "lstm", [rows_in], [rows_out], numbers)
    made = onnx.helper.make_model(lstm, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    return torch.from_numpy(session.run(None, {"x": x[:, None].numpy()})[0])[:, :, 0].flatten(1)


def test_the_reader_is_the_teachers():
    """With as many directions as there are, it gives what the graph's numbers give, order of gates and all."""
    config = from_teacher.EncoderConfig(content=8, rank=8)
    graph, spreads = tiny_reader(8), {}
    for path in from_teacher.READING:
        spreads[f"{path}/Conv_output_0"] = spread = from_teacher.Spread()
        spread.see(np.random.default_rng(1).normal(size=(8, 200)))
    vocabulary = {token: 2 + i for i, token in enumerate(from_teacher.TOKENS[2:])}
    reader = from_teacher.reader_of(graph, spreads, config, vocabulary).eval()
    tokens = torch.tensor([[1, 5, 20, 3, 40, 7, 1]])
    places = torch.arange(7)[None, :, None].expand(-1, -1, 2)
    with torch.inference_mode():
        found = reader(tokens, places, batched=False)[0, :, 0]
    rows = [0, *tokens[0, 1:-1].tolist(), 0]
    torch.testing.assert_close(found, read_by_hand(graph, rows), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/decoder/decoder/asr_res/asr_res.0", "decoder.decoder.asr_res.0"),
        ("/decoder/decoder/decode.0/conv1", "decoder.decoder.decode.0.conv1"),
        ("/encoder/text_encoder/cnn.1/cnn.1.0", "encoder.text_encoder.cnn.1.0"),
    ],
)
def test_parameters_are_found_by_their_modules_paths(path, name):
    assert from_teacher._parameter(path) == name
