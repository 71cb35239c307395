"""Convolutions in 8 bits: whole numbers for weights and for what the convolutions read.

The form is QDQ: each input and each weight of a convolution passes a `QuantizeLinear` and a
`DequantizeLinear`, which an engine that multiplies 8-bit numbers takes into its kernel (OpenVINO does, with
VNNI or AMX). What convolutions give, sums, norms and all else stay float32, so nothing but the operands of
products is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..errors import GraphError
from .constants import fold_constants, static_shape

Range = tuple[float, float]
Tensors = Mapping[str, np.ndarray]

MIN_MULTIPLY_ADDS = 1_000_000
"""Smaller convolutions stay float32: they take no time."""
_LEAST_SCALE = 1e-8


def measure_ranges(
    model: onnx.ModelProto,
    compile_graph: Callable[[bytes], Callable[[Tensors], Tensors]],
    examples: Iterable[Tensors],
) -> dict[str, Range]:
    """Smallest and largest value of everything that a convolution reads, over real inputs of the graph.

    Parameters
    ----------
    compile_graph
        Makes a function of a serialized graph.
    examples
        The graph's inputs by name; at least one.

    Raises
    ------
    GraphError
        Without examples.
    """
    model = fold_constants(model)
    names = sorted({node.input[0] for node in _convolutions(model)})
    for name in names:
        for operator in ("ReduceMin", "ReduceMax"):
            target = f"{name}__{operator}"
            model.graph.node.append(helper.make_node(operator, [name], [target], keepdims=0))
            model.graph.output.append(helper.make_tensor_value_info(target, TensorProto.FLOAT, ()))
    run = compile_graph(model.SerializeToString())
    ranges: dict[str, Range] = {}
    for given in examples:
        values = run(given)
        for name in names:
            low, high = (float(values[f"{name}__{operator}"]) for operator in ("ReduceMin", "ReduceMax"))
            old_low, old_high = ranges.get(name, (low, high))
            ranges[name] = (min(low, old_low), max(high, old_high))
    if not ranges and names:
        raise GraphError(f"{model.graph.name}: 8-bit ranges are measured on real inputs, and there are none")
    return ranges


def compute_in_int8(model: onnx.ModelProto, ranges: Mapping[str, Range]) -> onnx.ModelProto:
    """A copy whose convolutions multiply 8-bit numbers.

    Inputs are unsigned with one scale and zero point a tensor; weights are signed, symmetric, with a scale
    for each output channel: w = scale * q with q in [-127, 127].

    Parameters
    ----------
    ranges
        From `measure_ranges`.
    """
    model = fold_constants(model)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    read: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    quantized = {node.output[0] for node in _convolutions(model)}
    for node in graph.node:
        if node.output[0] in quantized:
            x, weight = node.input[:2]
            if x not in read:
                read[x] = f"{x}__dq"
                scale, zero = _scale_and_zero(ranges[x])
                graph.initializer.append(numpy_helper.from_array(np.float32(scale), f"{x}__scale"))
                graph.initializer.append(numpy_helper.from_array(np.uint8(zero), f"{x}__zero"))
                parameters = [f"{x}__scale", f"{x}__zero"]
                nodes.append(helper.make_node("QuantizeLinear", [x, *parameters], [f"{x}__q"]))
                nodes.append(helper.make_node("DequantizeLinear", [f"{x}__q", *parameters], [read[x]]))
            if f"{weight}__dq" not in constants:
                tensors = _quantized_weight(numpy_helper.to_array(constants[weight]), weight)
                graph.initializer.extend(tensors)
                constants[f"{weight}__dq"] = tensors[0]
                names = [tensor.name for tensor in tensors]
                nodes.append(helper.make_node("DequantizeLinear", names, [f"{weight}__dq"], axis=0))
            node.input[0], node.input[1] = read[x], f"{weight}__dq"
        nodes.append(node)
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    needed = {name for node in copied for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    tensors = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in tensors]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(copied)
    graph.initializer.extend(tensors)
    return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def count_multiply_adds(model: onnx.ModelProto) -> int:
    """Of the convolutions that `compute_in_int8` takes."""
    model = fold_constants(model)
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    values = {v.name: static_shape(v) for v in (*model.graph.output, *model.graph.value_info)}
    return sum(
        _multiply_adds(values[node.output[0]], weights[node.input[1]]) for node in _convolutions(model)
    )


def _multiply_adds(output: tuple[int, ...] | None, weight: tuple[int, ...]) -> int:
    return 0 if output is None else int(np.prod(output)) * int(np.prod(weight[1:]))


def _convolutions(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The convolutions that are worth it."""
    graph = model.graph
    constants = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes = {v.name: static_shape(v) for v in (*graph.input, *graph.output, *graph.value_info)}
    found = []
    for node in graph.node:
        if node.op_type != "Conv" or node.input[1] not in constants or node.input[0] in constants:
            continue
        if _multiply_adds(shapes.get(node.output[0]), constants[node.input[1]]) >= MIN_MULTIPLY_ADDS:
            found.append(node)
    return found


def _scale_and_zero(of: Range) -> tuple[float, int]:
    """x = scale * (q - zero) with q in [0, 255]; zero itself is met exactly, for the padding."""
    low, high = min(of[0], 0.0), max(of[1], 0.0)
    scale = max((high - low) / 255, _LEAST_SCALE)
    return scale, int(np.clip(round(-low / scale), 0, 255))


def _quantized_weight(values: np.ndarray, name: str) -> list[onnx.TensorProto]:
    axes = tuple(range(1, values.ndim))
    scales = np.maximum(np.abs(values).max(axes) / 127, _LEAST_SCALE).astype(np.float32)
    sides = (-1, *(1 for _ in axes))
    numbers = np.clip(np.rint(values / scales.reshape(sides)), -127, 127).astype(np.int8)
    zeros = np.zeros(len(scales), np.int8)
    return [
        numpy_helper.from_array(each, f"{name}__{what}")
        for each, what in ((numbers, "q"), (scales, "scales"), (zeros, "zeros"))
    ]
