"""Computing in half precision: everything but what sums or divides.

The graph's inputs and outputs stay float32, so that it takes the place of the one that it is made of. Each
value has its type in the graph: engines that obey types (TensorRT's strongly typed networks) need no
precision flags and have no say in it.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from ..errors import GraphError
from .constants import fold_constants
from .group_norms import PREFIX as GROUP_NORM

# Sums over many values lose their digits in half precision and leave its range; so do reciprocals.
_SINGLE = frozenset(
    {
        "Div",
        "Exp",
        "GlobalAveragePool",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "Log",
        "LogSoftmax",
        "Pow",
        "Reciprocal",
        "ReduceMean",
        "ReduceSum",
        "ReduceSumSquare",
        "Softmax",
        "Sqrt",
    }
)
_NOT_DATA = {"Resize": frozenset({1, 2})}
"""Inputs that are float32 whatever the type of the data: region and factors."""

_FP16_MAX = float(np.finfo(np.float16).max)


def compute_in_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes in float16, with norms, softmax, sums and quotients in float32.

    Batch norms, which sum nothing any more, become a product and a sum.

    Raises
    ------
    GraphError
        A constant is beyond the range of float16; the message names it.
    """
    model = batch_norms_as_products(fold_constants(model))
    model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return _Halving(model).model


def batch_norms_as_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose `BatchNormalization` nodes are `x * a + b` with constants a and b."""
    model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in (*graph.input, *graph.value_info)}
    nodes = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        scale, bias, mean, variance = (numpy_helper.to_array(constants[name]) for name in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
        sides = (-1, *(1 for _ in range(ranks[node.input[0]] - 2)))
        name = node.output[0]
        for kind, values in (("factor", factor), ("offset", bias - mean * factor)):
            shaped = values.astype(np.float32).reshape(sides)
            graph.initializer.append(numpy_helper.from_array(shaped, f"{name}_{kind}"))
        nodes.append(helper.make_node("Mul", [node.input[0], f"{name}_factor"], [f"{name}_scaled"]))
        nodes.append(helper.make_node("Add", [f"{name}_scaled", f"{name}_offset"], [name]))
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _around_floors(graph: onnx.GraphProto) -> set[str]:
    """Values that a `Floor` depends on, what it gives and what is made of that at once.

    A place that is rounded before its floor is taken may end up in the next cell.
    """
    producers = {name: node for node in graph.node for name in node.output}
    waiting = [node for node in graph.node if node.op_type == "Floor"]
    floors = {name for node in waiting for name in node.output}
    exact = {name for node in graph.node if floors.intersection(node.input) for name in node.output}
    while waiting:
        node = waiting.pop()
        exact.update(node.output)
        waiting += [producers[name] for name in node.input if name in producers and name not in exact]
    return exact


class _Halving:
    """One conversion: `model` is the result."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._constants = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
        others = [tensor for tensor in graph.initializer if tensor.data_type != TensorProto.FLOAT]
        values = (*graph.input, *graph.output, *graph.value_info)
        self._floats = {v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._inputs = {value.name for value in graph.input} & self._floats
        self._outputs = {value.name for value in graph.output} & self._floats
        self._halves: dict[str, onnx.TensorProto] = {}
        self._singles: set[str] = set()
        self._added: list[onnx.TensorProto] = []
        self._nodes: list[onnx.NodeProto] = []
        self._exact = _around_floors(graph)
        for node in graph.node:
            self._convert(node)
        for name in self._outputs:
            self._cast(self._half(name), name, TensorProto.FLOAT)
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend([*others, *self._halves.values(), *self._added])
        self.model = model

    def _convert(self, node: onnx.NodeProto) -> None:
        node = onnx.NodeProto.FromString(node.SerializeToString())
        exact = bool(self._exact.intersection(node.output))
        single = exact or node.op_type in _SINGLE or node.name.startswith(GROUP_NORM)
        not_data = _NOT_DATA.get(node.op_type, frozenset())
        for i, name in enumerate(node.input):
            if name in self._constants:
                node.input[i] = self._kept(name) if single or i in not_data else self._halved(name)
            elif name in self._floats:
                node.input[i] = self._as_single(name) if single else self._as_half(name)
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT:
            node.attribute[0].i = TensorProto.FLOAT16
        results = [(i, name) for i, name in enumerate(node.output) if name in self._floats]
        for i, name in results:
            node.output[i] = f"{name}__fp32" if single else self._half(name)
        self._nodes.append(node)
        for _, name in results if single else ():
            self._singles.add(name)
            self._cast(f"{name}__fp32", self._half(name), TensorProto.FLOAT16)

    def _half(self, name: str) -> str:
        """What a value is called in half precision: outputs keep their name for the float32 one."""
        return f"{name}__fp16" if name in self._inputs | self._outputs else name

    def _as_half(self, name: str) -> str:
        half = self._half(name)
        if name in self._inputs and half not in self._singles:
            self._singles.add(half)
            self._cast(name, half, TensorProto.FLOAT16)
        return half

    def _as_single(self, name: str) -> str:
        if name in self._inputs:
            return name
        single = f"{name}__fp32"
        if name not in self._singles:
            self._singles.add(name)
            self._cast(self._half(name), single, TensorProto.FLOAT)
        return single

    def _cast(self, source: str, target: str, to: int) -> None:
        self._nodes.append(helper.make_node("Cast", [source], [target], to=to))

    def _halved(self, name: str) -> str:
        values = numpy_helper.to_array(self._constants[name])
        if not np.abs(values).max(initial=0.0) <= _FP16_MAX:
            raise GraphError(
                f"constant {name!r} reaches {np.abs(values).max():.3g}, beyond float16; build fp32 instead"
            )
        target = f"{name}__half"
        self._halves[target] = numpy_helper.from_array(values.astype(np.float16), target)
        return target

    def _kept(self, name: str) -> str:
        if not any(tensor.name == name for tensor in self._added):
            self._added.append(self._constants[name])
        return name
