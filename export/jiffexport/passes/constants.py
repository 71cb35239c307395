"""Constant folding: what a graph would compute anew for every image is computed once.

Exporters leave chains of shape arithmetic and identities behind. With static shapes all of them are
constants, and the engines' memory planning and fusion work best when they are gone.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ..errors import GraphError


def with_static_shapes(model: onnx.ModelProto, input_shapes: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A copy whose inputs have the given shapes and whose every value's shape is inferred and static.

    Parameters
    ----------
    model
        A graph without control flow.
    input_shapes
        The shape of each graph input, by name.

    Raises
    ------
    GraphError
        If an input is missing, or a shape stays unknown after folding; the message names it.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    for value in model.graph.input:
        if value.name not in input_shapes:
            raise GraphError(f"input {value.name!r} needs a shape; got shapes for {sorted(input_shapes)}")
        elem_type = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, elem_type, input_shapes[value.name]))
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    model = fold_constants(model)
    for value in (*model.graph.output, *model.graph.value_info):
        if static_shape(value) is None:
            raise GraphError(f"shape of {value.name!r} is not static: {value.type.tensor_type.shape}")
    return model


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every value that does not depend on a graph input is an initializer.

    `Shape` of a static value counts as constant. Identities and unused nodes are dropped; shapes are
    inferred along the way.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    changed = True
    while changed:
        model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        changed = _fold_once(model)
        _bypass_identities(model)
        prune(model)
    return model


def static_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """The shape of a tensor value, or None if a dimension is unknown."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    return tuple(dim.dim_value for dim in dims) if all(dim.HasField("dim_value") for dim in dims) else None


def prune(model: onnx.ModelProto) -> None:
    """Drops, in place, nodes, initializers and value infos that no output depends on."""
    graph = model.graph
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):  # nodes are in topological order
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    _replace(graph.node, reversed(kept))
    _replace(graph.initializer, (tensor for tensor in graph.initializer if tensor.name in needed))
    computed = {name for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    _replace(graph.value_info, (v for v in graph.value_info if v.name in computed and v.name not in outputs))


def _fold_once(model: onnx.ModelProto) -> bool:
    """Turns, in place, the nodes that are constant by now into initializers; whether there were any."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {value.name: static_shape(value) for value in (*graph.input, *graph.value_info)}
    kept, folded = [], []
    for node in graph.node:
        if node.op_type == "Shape" and not node.attribute and shapes.get(node.input[0]) is not None:
            results = [np.array(shapes[node.input[0]], dtype=np.int64)]
        elif all(name == "" or name in constants for name in node.input):
            results = _evaluate(model, node, constants)
        else:
            kept.append(node)
            continue
        for name, result in zip(node.output, results, strict=True):
            folded.append(numpy_helper.from_array(np.asarray(result), name))
            constants[name] = folded[-1]
    _replace(graph.node, kept)
    graph.initializer.extend(folded)
    return bool(folded)


def _evaluate(
    model: onnx.ModelProto, node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]
) -> list[np.ndarray]:
    """The outputs of one node whose inputs are all constant."""
    inputs = [constants[name] for name in dict.fromkeys(node.input) if name]
    outputs = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in node.output]
    graph = helper.make_graph([node], "constant", [], outputs, inputs)
    single = helper.make_model(graph, opset_imports=model.opset_import)
    return list(ReferenceEvaluator(single).run(None, {}))


def _bypass_identities(model: onnx.ModelProto) -> None:
    """Rewires, in place, the readers of identities to what the identities pass on.

    A cast to the type that a value has is one. One that gives a graph output leaves its name to the node
    before it: engines that drop it otherwise may forget what the output is called.
    """
    graph = model.graph
    outputs = {value.name for value in graph.output}
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    producers = {name: node for node in graph.node for name in node.output}
    source: dict[str, str] = {}
    for node in graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = source.get(name, name)
        is_idle_cast = node.op_type == "Cast" and types.get(node.input[0]) == node.attribute[0].i
        if node.op_type != "Identity" and not is_idle_cast:
            continue
        given, passed = node.input[0], node.output[0]
        if passed not in outputs:
            source[passed] = given
        elif given in producers and given not in outputs:
            producer = producers[given]
            producer.output[list(producer.output).index(given)] = passed
            node.output[0] = f"{passed}_idle"  # nothing reads it: pruned
            for reader in graph.node:
                for i, name in enumerate(reader.input):
                    if name == given:
                        reader.input[i] = passed
            source[given] = passed


def _replace(field, items) -> None:  # type: ignore[no-untyped-def]
    """Sets a repeated protobuf field."""
    items = list(items)
    del field[:]
    field.extend(items)
