"""TorchScript made of ONNX graphs computes what ONNX Runtime does, operator by operator."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.errors import GraphError  # noqa: E402
from jiffexport.onnx_graph import finish  # noqa: E402
from jiffexport.passes import compute_in_fp16  # noqa: E402
from jiffexport.to_onnx import encoder_to_onnx  # noqa: E402
from jiffexport.to_torchscript import to_torchscript  # noqa: E402
from jiffexport.verify import compile_graph  # noqa: E402
from untrained_checkpoints import network_of  # noqa: E402

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


NONE = np.zeros(0, np.float32)

# Operator, attributes, shape of the input, and the constants that are its other inputs.
CASES: list[tuple[str, dict[str, Any], tuple[int, ...], list[np.ndarray]]] = [
    ("Conv", {"strides": [2, 2], "pads": [1, 1, 1, 1]}, (1, 4, 9, 7), [weights(6, 4, 3, 3), weights(6)]),
    ("Conv", {"group": 2, "dilations": [2, 2]}, (1, 4, 9, 7), [weights(6, 2, 3, 3)]),
    ("Conv", {"pads": [1] * 6}, (1, 2, 5, 4, 3), [weights(3, 2, 3, 3, 3)]),
    ("Conv", {}, (2, 3, 5), [weights(4, 3, 1), weights(4)]),
    ("Gemm", {"transB": 1, "alpha": 0.5, "beta": 2.0}, (3, 4), [weights(5, 4), weights(5)]),
    ("MatMul", {}, (2, 3, 4), [weights(4, 5)]),
    ("Clip", {}, (3, 4), [np.float32(-0.5), np.float32(0.25)]),
    ("LeakyRelu", {"alpha": 0.2}, (3, 4), []),
    ("PRelu", {}, (2, 3, 4, 4), [weights(3, 1, 1)]),
    ("Softmax", {"axis": 1}, (2, 3, 4), []),
    (
        "BatchNormalization",
        {"epsilon": 0.1},
        (2, 3, 4),
        [*weights(3, 3), weights(3) ** 2],
    ),
    ("InstanceNormalization", {"epsilon": 0.1}, (2, 3, 50), [weights(3), weights(3)]),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, (1, 2, 8, 9), []),
    ("MaxPool", {"kernel_shape": [2] * 3, "strides": [2] * 3}, (1, 2, 4, 6, 8), []),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4}, (1, 2, 5, 6), []),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}, (1, 2, 5, 6), []),
    ("GlobalAveragePool", {}, (1, 2, 5, 6), []),
    ("Pad", {"mode": "reflect"}, (1, 2, 5, 6), [integers(0, 0, 1, 2, 0, 0, 3, 1)]),
    ("Pad", {"mode": "edge"}, (1, 2, 5, 6), [integers(0, 0, 1, 2, 0, 0, 3, 1)]),
    ("Pad", {}, (2, 3), [integers(1, 0, 0, 2), np.float32(0.5)]),
    ("Transpose", {"perm": [2, 0, 1]}, (2, 3, 4), []),
    ("Flatten", {"axis": 2}, (2, 3, 4, 5), []),
    ("Reshape", {}, (2, 3, 4), [integers(0, -1)]),
    ("Expand", {}, (1, 3, 1), [integers(2, 1, 4)]),
    ("Unsqueeze", {}, (2, 3), [integers(0, 2)]),
    ("Squeeze", {}, (1, 2, 1, 3), [integers(0, 2)]),
    ("Slice", {}, (5, 6), [integers(1, -5), integers(4, 1000), integers(0, 1), integers(1, 2)]),
    ("ReduceSum", {"keepdims": 0}, (2, 3, 4), [integers(1, 2)]),
    ("ReduceMean", {}, (2, 3, 4), [integers(-1)]),
    ("ReduceMax", {"keepdims": 0}, (2, 3, 4), [integers(2)]),
    ("Resize", {"mode": "linear"}, (1, 2, 5, 6), [NONE, np.array([1, 1, 2, 2], np.float32)]),
    (
        "Resize",
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        (1, 2, 3, 4, 5),
        [NONE, NONE, integers(1, 2, 6, 8, 10)],
    ),
    (
        "Resize",
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
        (1, 2, 5, 6),
        [NONE, NONE, integers(1, 2, 9, 4)],
    ),
    ("Sigmoid", {}, (3, 4), []),
    ("Tanh", {}, (3, 4), []),
    ("Neg", {}, (3, 4), []),
    ("Sin", {}, (3, 4), []),
    ("Cos", {}, (3, 4), []),
    ("Floor", {}, (3, 4), []),
    ("Gather", {"axis": 1}, (3, 4), [integers(2, 0)]),
    ("Gather", {"axis": 1}, (3, 4), [np.int64(2)]),
    ("Split", {"axis": 1}, (3, 4), [integers(4)]),
    ("Abs", {}, (3, 4), []),
    ("Div", {}, (3, 4), [weights(4)]),
    ("Sub", {}, (3, 4), [weights(3, 1)]),
]


def single(
    operator: str, attributes: dict[str, Any], shape: tuple[int, ...], constants: list[np.ndarray]
) -> onnx.ModelProto:
    names = [f"c{i}" for i in range(len(constants))]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *names], ["y"], **attributes)],
        operator,
        [x],
        [y],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in zip(names, constants, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_operator_is_onnx_runtimes(case: tuple[str, dict, tuple[int, ...], list[np.ndarray]]) -> None:
    model = single(*case)
    x = {"x": np.random.default_rng(1).standard_normal(case[2]).astype(np.float32)}
    expected = compile_graph(model.SerializeToString(), "onnxruntime")(x)["y"]
    found = compile_graph(to_torchscript(model), "torchscript")(x)["y"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_network_is_loaded_without_this_package(precision: str) -> None:
    image = np.random.default_rng(2).uniform(-1, 1, (1, 4, 32, 32)).astype(np.float32)
    encoder = network_of("shape").eval().encoder
    model = encoder_to_onnx(encoder, image.shape, "encoder", "fp16")
    expected = compile_graph(model.SerializeToString(), "onnxruntime")({"image": image})
    if precision == "fp16":
        model = finish(compute_in_fp16(model), "encoder")
    extra = {"jiff.json": b""}
    module = torch.jit.load(io.BytesIO(to_torchscript(model)), _extra_files=extra)
    interface = json.loads(extra["jiff.json"])
    assert interface["inputs"] == [["image", [1, 4, 32, 32]]]
    assert [name for name, _ in interface["outputs"]] == list(expected)
    for (name, shape), output in zip(interface["outputs"], module(torch.from_numpy(image)), strict=True):
        assert list(output.shape) == shape and output.dtype == torch.float32
        error = np.abs(output.detach().numpy() - expected[name]).max() / np.abs(expected[name]).max()
        assert error < (1e-2 if precision == "fp16" else 1e-5)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (("Erf", {}, (3,), []), "Erf: operator Erf has no TorchScript form"),
        (("Conv", {"pads": [0, 0, 1, 1]}, (1, 1, 4, 4), [weights(1, 1, 3, 3)]), "Conv .* pads .* differ"),
        (("Resize", {"mode": "cubic"}, (1, 1, 4, 4), [NONE, np.ones(4, np.float32)]), "cubic of half_pixel"),
        (("Slice", {}, (4,), [integers(3), integers(0), integers(0), integers(-1)]), "go backwards"),
    ],
)
def test_a_form_that_is_not_known_is_refused_by_name(case: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        to_torchscript(single(*case))
