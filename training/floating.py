"""The teacher's graph in floating point, with its pitch to be moved, and with or without its sound.

The published graph rounds what flows through it to 8 bits as it runs. The corpus was made without that: its weights
are the rounded ones, everything else is float32. The 8-bit graph speaks half of the corpus's utterances at other
durations, and its mels differ (`docs/LOG.md`). So the graph is taken back to floating point before anything is made.

Axes: k frames of 12.5 ms, two for each of the teacher's frames of duration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

DURATIONS = "/encoder/Clip_output_0"  # frames per token, (1, n) or (n,)
CONTENT = "/decoder/decoder/decode.3/Div_4_output_0"  # what the sound is made of, (1, 512, k)
PITCH = "/encoder/Reshape_output_0"  # Hz, (1, k); far below a voice's where nothing is voiced
ENERGY = "/encoder/Reshape_1_output_0"  # (1, k), a number of the teacher's own
MOVES = ("centre", "range", "semitones")  # the pitch's further inputs, scalars
LOWEST = 20.0  # Hz; below it the curve is no pitch, and is left as it is
FLOAT = onnx.TensorProto.FLOAT


def in_float(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network without rounding on the way: float products with the weights that the 8-bit numbers stand for.

    What a product of integers was multiplied by stays in the graph; the factor of the rounded inputs becomes 1.
    """
    given = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    made: dict[str, np.ndarray] = {}
    nodes = [_node(node, given, made) for node in model.graph.node]
    used = {name for node in nodes for name in node.input}
    kept = [i for i in model.graph.initializer if i.name in used and i.name not in made]
    kept += [numpy_helper.from_array(value, name) for name, value in made.items() if name in used]
    graph = helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, kept)
    domains = [o for o in model.opset_import if o.domain in ("", "com.microsoft")]
    return helper.make_model(graph, opset_imports=domains, ir_version=model.ir_version)


def _node(node: onnx.NodeProto, given: dict[str, np.ndarray], made: dict[str, np.ndarray]) -> onnx.NodeProto:
    """The node without rounding; constants that it needs are added to `made`."""
    kind, inputs = node.op_type, list(node.input)
    if kind == "DynamicQuantizeLinear":
        made[node.output[1]] = np.array(1, dtype=np.float32)
        return helper.make_node("Identity", inputs, [node.output[0]], node.name)
    if kind in ("ConvInteger", "MatMulInteger"):
        zero = given[inputs[3]] if len(inputs) > 3 and inputs[1] in given else np.uint8(0)
        weight = _shifted(inputs[1], zero, -1 if kind == "MatMulInteger" else 0, given, made)
        return _like(node, kind.removesuffix("Integer"), [inputs[0], weight])
    if kind == "DynamicQuantizeLSTM":
        for name, (number, scale, zero) in {"W": (1, 8, 9), "R": (2, 10, 11)}.items():
            directions = len(given[inputs[number]])
            weight = given[inputs[number]].astype(np.float32) - given[inputs[zero]].reshape(directions, 1, -1)
            weight *= given[inputs[scale]].reshape(directions, 1, -1)  # one a direction, or one a column
            made[node.name + name] = np.ascontiguousarray(weight.transpose(0, 2, 1))
        return _like(node, "LSTM", [inputs[0], node.name + "W", node.name + "R", *inputs[3:7]])
    if node.name.endswith(("bias_quant_rounded", "bias_quantized_node")):  # a bias was rounded to join whole numbers
        return helper.make_node("Identity", inputs, node.output, node.name)
    return node


def _like(node: onnx.NodeProto, kind: str, inputs: list[str]) -> onnx.NodeProto:
    """A node of another kind with the outputs and attributes of one."""
    new = helper.make_node(kind, inputs, node.output, node.name)
    new.attribute.extend(node.attribute)
    return new


def _shifted(name: str, zero: Any, axis: int, given: dict[str, np.ndarray], made: dict[str, np.ndarray]) -> str:
    """Name of the weights less their zero points; those that are rounded as the graph runs are float already."""
    if name not in given:
        return name
    made[f"{name}_float"] = given[name].astype(np.float32) - _along(zero, given[name].ndim, axis)
    return f"{name}_float"


def _along(values: Any, dimensions: int, axis: int) -> np.ndarray:
    """One value, or one for each place of an axis, in a shape that joins an array of so many dimensions."""
    values = np.asarray(values, dtype=np.float32)
    if values.size == 1:
        return values.reshape(())
    shape = [1] * dimensions
    shape[axis] = values.size
    return values.reshape(shape)


def with_moves(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with three more inputs that move its pitch: log f0 -> centre + range * (log f0 - centre) + semitones.

    centre: natural log of Hz, of the voice; range: a factor; semitones: up. Speech is made for the moved pitch, as if
    the teacher had wanted it: what WORLD does to a recording, without WORLD's sound.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    place, output = next((n, o) for n, node in enumerate(moved.graph.node) for o, name in enumerate(node.output)
                         if name == PITCH)  # fmt: skip
    moved.graph.node[place].output[output] = "pitch_given"
    steps = [
        ("Max", ["pitch_given", "pitch_lowest"], "pitch_floored"),
        ("Log", ["pitch_floored"], "pitch_log"),
        ("Sub", ["pitch_log", "centre"], "pitch_above"),
        ("Mul", ["pitch_above", "range"], "pitch_ranged"),
        ("Add", ["pitch_ranged", "centre"], "pitch_about"),
        ("Mul", ["semitones", "pitch_semitone"], "pitch_shift"),
        ("Add", ["pitch_about", "pitch_shift"], "pitch_moved"),
        ("Exp", ["pitch_moved"], "pitch_hertz"),
        ("Greater", ["pitch_given", "pitch_lowest"], "pitch_is"),
        ("Where", ["pitch_is", "pitch_hertz", "pitch_given"], PITCH),
    ]
    nodes = list(moved.graph.node)
    nodes[place + 1 : place + 1] = [helper.make_node(kind, inputs, [name]) for kind, inputs, name in steps]
    del moved.graph.node[:]
    moved.graph.node.extend(nodes)
    constants = {"pitch_lowest": LOWEST, "pitch_semitone": np.log(2) / 12}
    moved.graph.initializer.extend(numpy_helper.from_array(np.float32(v), k) for k, v in constants.items())
    moved.graph.input.extend(helper.make_tensor_value_info(name, FLOAT, []) for name in MOVES)
    return moved


def until(model: onnx.ModelProto, outputs: list[str]) -> onnx.ModelProto:
    """Only what these values need. Without the part that makes its sound, the teacher takes a tenth of the time."""
    wanted = set(outputs)
    nodes: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output):
            nodes.insert(0, node)
            wanted.update(node.input)
    kept = [i for i in model.graph.initializer if i.name in wanted]
    inputs = [i for i in model.graph.input if i.name in wanted]
    values = [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, model.graph.name, inputs, values, kept)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
