"""Graphs in half precision: types where they belong, results close, the same tensors outside."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.errors import GraphError  # noqa: E402
from jiffexport.nets import HourglassEncoder  # noqa: E402
from jiffexport.onnx_graph import finish  # noqa: E402
from jiffexport.passes import compute_in_fp16  # noqa: E402
from jiffexport.passes.half import batch_norms_as_products  # noqa: E402
from jiffexport.to_onnx import encoder_to_onnx  # noqa: E402
from jiffexport.verify import compile_graph  # noqa: E402
from small_published import FACE_SHAPE  # noqa: E402
from untrained_checkpoints import network_of  # noqa: E402

IMAGE = np.random.default_rng(0).uniform(-1, 1, (1, 4, 32, 32)).astype(np.float32)


def value_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {tensor.name: tensor.data_type for tensor in graph.initializer}


def relative_error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(other).max())


def test_networks_stay_close_and_keep_their_tensors() -> None:
    encoder = network_of("shape").eval().encoder  # batch norms and a mean over the person
    model = encoder_to_onnx(encoder, IMAGE.shape, "encoder", "fp16")
    half = finish(compute_in_fp16(model), "encoder")
    assert half.graph.input == model.graph.input and half.graph.output == model.graph.output
    for engine in ("onnxruntime", "openvino"):
        outputs = compile_graph(half.SerializeToString(), engine)({"image": IMAGE})
        for name, expected in compile_graph(model.SerializeToString(), engine)({"image": IMAGE}).items():
            assert relative_error(outputs[name], expected) < 1e-2


def test_products_are_half_and_norms_and_sums_single_precision() -> None:
    torch.manual_seed(0)
    encoder = HourglassEncoder(FACE_SHAPE.body).eval()  # group norms
    half = finish(compute_in_fp16(encoder_to_onnx(encoder, (1, 3, 32, 32), "encoder", "fp32")), "encoder")
    types = value_types(half)
    seen = set()
    for node in half.graph.node:
        if node.op_type in ("Conv", "MatMul", "ReduceMean"):
            seen.add(node.op_type)
            is_norm = node.op_type == "ReduceMean"
            values = (node.input[0], *node.output) if is_norm else (*node.input, *node.output)
            wanted = TensorProto.FLOAT if is_norm else TensorProto.FLOAT16
            assert {types[name] for name in values} == {wanted}, node.op_type
    assert seen == {"Conv", "MatMul", "ReduceMean"}


def normed(values: np.ndarray, epsilon: float) -> onnx.ModelProto:
    """BatchNormalization of x (1, 3, 2) with scale, bias, mean and variance (4, 3)."""
    names = ["scale", "bias", "mean", "variance"]
    node = helper.make_node("BatchNormalization", ["x", *names], ["y"], epsilon=epsilon)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 2)) for name in "xy"]
    constants = [numpy_helper.from_array(v, name) for name, v in zip(names, values, strict=True)]
    graph = helper.make_graph([node], "norm", infos[:1], infos[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def test_batch_norm_becomes_a_product_and_a_sum() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0.1, 2, (4, 3)).astype(np.float32)
    model = normed(values, 0.25)
    plain = batch_norms_as_products(model)
    assert [node.op_type for node in plain.graph.node] == ["Mul", "Add"]
    x = rng.standard_normal((1, 3, 2)).astype(np.float32)
    scale, bias, mean, variance = values[:, None, :, None].astype(float)
    expected = (x - mean) / np.sqrt(variance + 0.25) * scale + bias
    outputs = compile_graph(plain.SerializeToString(), "onnxruntime")({"x": x})
    np.testing.assert_allclose(outputs["y"], expected, rtol=1e-5, atol=1e-6)


def test_a_constant_beyond_half_precision_is_named() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xy")
    large = numpy_helper.from_array(np.full(2, 7e4, np.float32), "large")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "large"], ["y"])], "g", [x], [y], [large])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(GraphError, match="constant 'large' reaches 7e.04, beyond float16; build fp32"):
        compute_in_fp16(model)


def test_places_are_exact_where_a_floor_is_taken_of_them() -> None:
    """Offsets next to the border of a cell: rounded to half first, they would be off by one."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3))
    nodes = [
        helper.make_node("Mul", ["x", "cells"], ["place"]),
        helper.make_node("Floor", ["place"], ["cell"]),
        helper.make_node("Sub", ["place", "cell"], ["offset"]),
        helper.make_node("Mul", ["offset", "two"], ["y"]),
    ]
    constants = [numpy_helper.from_array(np.float32(v), n) for n, v in (("cells", 40), ("two", 2))]
    graph = helper.make_graph(nodes, "offsets", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    half = finish(compute_in_fp16(model), "offsets")
    types = value_types(half)
    (last,) = (node for node in half.graph.node if "two__half" in node.input)
    assert types[last.output[0]] == TensorProto.FLOAT16
    coordinates = np.array([[0.4749999, 0.5001, 0.91]], np.float32)
    places = coordinates.astype(np.float64) * 40
    found = compile_graph(half.SerializeToString(), "onnxruntime")({"x": coordinates})["y"]
    np.testing.assert_allclose(found, 2 * (places - np.floor(places)), atol=2e-3)
