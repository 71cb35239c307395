"""Norms over a volume whose sums are taken in stages.

`InstanceNormalization` over a million values is one sum in float32 in the engines, which costs digits that
the steep ends of the heads do not forgive. Here it is taken of rows first, and then of the rows' means.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from .constants import static_shape

PREFIX = "staged_norm"
"""Names of the nodes begin so; they stay in float32 where the rest of a graph computes in less."""
LEAST_SIZE = 65_536
"""Norms over fewer values are left as they are."""
_LONGEST_ROW = 4096


def stage_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which large norms of one axis, (N, C, L), are means of means, differences and a quotient.

    Between the stages stands a `Reshape`, so that no engine joins them again.
    """
    model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = model.graph
    shapes = {value.name: static_shape(value) for value in (*graph.input, *graph.value_info)}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        shape = shapes.get(node.input[0]) if node.op_type == "InstanceNormalization" else None
        if shape is None or len(shape) != 3 or shape[2] < LEAST_SIZE:
            nodes.append(node)
            continue
        staged, constants = _staged(node, shape)
        nodes.extend(staged)
        graph.initializer.extend(constants)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return model


def _staged(
    node: onnx.NodeProto, shape: tuple[int, ...]
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    num, channels, size = shape
    row = max(length for length in range(1, _LONGEST_ROW + 1) if size % length == 0)
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    x, scale, bias = node.input
    base = f"{PREFIX}/{node.output[0]}"
    nodes: list[onnx.NodeProto] = []
    constants = {
        "rows": np.array([num, channels * (size // row), row], np.int64),
        "means": np.array([num, channels, size // row], np.int64),
        "last": np.array([2], np.int64),
        "epsilon": np.array(epsilon, np.float32),
        "by_channel": np.array([1, channels, 1], np.int64),
    }

    def add(operator: str, result: str, *inputs: str, output: str | None = None) -> str:
        output = output or f"{base}/{result}"
        named = [f"{base}/{name}" if name in constants else name for name in inputs]
        nodes.append(helper.make_node(operator, named, [output], name=f"{base}/{result}"))
        return output

    def mean(of: str, name: str) -> str:
        rows = add("Reshape", f"{name}_rows", of, "rows")
        means = add("ReduceMean", f"{name}_of_rows", rows, "last")
        return add("ReduceMean", name, add("Reshape", f"{name}_columns", means, "means"), "last")

    centered = add("Sub", "centered", x, mean(x, "mean"))
    variance = mean(add("Mul", "squares", centered, centered), "variance")
    deviation = add("Sqrt", "deviation", add("Add", "positive", variance, "epsilon"))
    normed = add("Div", "normed", centered, deviation)
    scaled = add("Mul", "scaled", normed, add("Reshape", "scales", scale, "by_channel"))
    add("Add", "shifted", scaled, add("Reshape", "biases", bias, "by_channel"), output=node.output[0])
    return nodes, [numpy_helper.from_array(value, f"{base}/{name}") for name, value in constants.items()]
