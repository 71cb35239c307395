"""Bicubic upsampling as two matrix products.

With fixed sizes, separable resampling is linear in each axis: `Y = A X Bᵀ` with constant matrices.
ONNX Runtime's cubic `Resize` is a scalar loop (six times the time of the rest of the hourglass encoder),
while a matrix product is what every engine does best.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..errors import GraphError
from .constants import prune, static_shape


def cubic_matrix(num_out: int, num_in: int, coefficient: float = -0.75) -> np.ndarray:
    """Cubic convolution with aligned corners and a repeated border, as a matrix.

    Parameters
    ----------
    num_out, num_in
        Samples after and before; both at least 2, or equal.
    coefficient
        Keys' parameter `a`; torch uses -0.75.

    Returns
    -------
    numpy.ndarray
        (num_out, num_in) float64; each row sums to 1.
    """
    position = np.linspace(0.0, num_in - 1.0, num_out)
    left = np.minimum(np.floor(position), num_in - 1).astype(int)
    matrix = np.zeros((num_out, num_in))
    rows = np.arange(num_out)
    for offset in (-1, 0, 1, 2):
        weight = _keys_kernel(np.abs(position - (left + offset)), coefficient)
        np.add.at(matrix, (rows, np.clip(left + offset, 0, num_in - 1)), weight)
    return matrix


def cubic_resize_as_matmul(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which cubic `Resize` nodes with aligned corners are products with constant matrices.

    Needs inferred static shapes, else raises `GraphError`. Other `Resize` nodes stay as they are.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    shapes = {value.name: static_shape(value) for value in (*graph.input, *graph.value_info, *graph.output)}
    nodes: list[onnx.NodeProto] = []
    matrices: dict[str, np.ndarray] = {}
    for node in graph.node:
        if not _is_cubic(node):
            nodes.append(node)
            continue
        before, after = shapes.get(node.input[0]), shapes.get(node.output[0])
        if before is None or after is None or before[:-2] != after[:-2]:
            raise GraphError(f"{node.name}: cubic Resize needs static (N, C, H, W): {before} -> {after}")
        rows, columns = f"cubic_rows_{before[-2]}_{after[-2]}", f"cubic_columns_{before[-1]}_{after[-1]}"
        matrices[rows] = cubic_matrix(after[-2], before[-2])
        matrices[columns] = cubic_matrix(after[-1], before[-1]).T
        wide = f"{node.output[0]}_wide"
        nodes += [
            helper.make_node("MatMul", [node.input[0], columns], [wide], f"{node.name}_columns"),
            helper.make_node("MatMul", [rows, wide], list(node.output), f"{node.name}_rows"),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    for name, matrix in matrices.items():
        graph.initializer.append(numpy_helper.from_array(matrix.astype(np.float32), name))
    prune(model)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def _keys_kernel(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at non-negative distances (Keys 1981)."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _is_cubic(node: onnx.NodeProto) -> bool:
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return (
        node.op_type == "Resize"
        and attributes.get("mode") == b"cubic"
        and attributes.get("coordinate_transformation_mode") == b"align_corners"
        and abs(attributes.get("cubic_coeff_a", -0.75) + 0.75) < 1e-6
        and not attributes.get("exclude_outside", 0)
    )
