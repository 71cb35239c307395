"""Large norms in stages: the same function, closer to what exact sums give."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jiffexport.onnx_graph import finish
from jiffexport.passes import compute_in_fp16, fold_constants, stage_norms
from jiffexport.passes.staged_norms import LEAST_SIZE
from jiffexport.verify import compile_graph

SCALE, BIAS = np.array([1.5, -0.5], np.float32), np.array([0.25, 2.0], np.float32)


def norm(size: int) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2, size)) for name in "xy")
    node = helper.make_node("InstanceNormalization", ["x", "scale", "bias"], ["y"], epsilon=1e-3)
    constants = [numpy_helper.from_array(SCALE, "scale"), numpy_helper.from_array(BIAS, "bias")]
    graph = helper.make_graph([node], "norm", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def exact(x: np.ndarray) -> np.ndarray:
    x = x.astype(np.float64)
    centered = x - x.mean(2, keepdims=True)
    normed = centered / np.sqrt((centered**2).mean(2, keepdims=True) + 1e-3)
    return normed * SCALE[:, None] + BIAS[:, None]


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("size", [LEAST_SIZE, 2**18, 3 * 5 * 7 * 1031])
def test_staged_norm_is_exact_to_rounding(engine: str, size: int) -> None:
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((1, 2, size)) * [[[0.1], [3.0]]] + [[[5.0], [-1.0]]]).astype(np.float32)
    staged = finish(fold_constants(stage_norms(norm(size))), "norm")
    assert "InstanceNormalization" not in {node.op_type for node in staged.graph.node}
    found = compile_graph(staged.SerializeToString(), engine)({"x": x})["y"]
    # A mean of 5 with a deviation of 0.1 loses two of the seven digits before any sum.
    assert np.abs(found - exact(x)).max() < 3e-5


def test_small_norms_stay_as_they_are() -> None:
    model = stage_norms(norm(LEAST_SIZE - 1))
    assert [node.op_type for node in model.graph.node] == ["InstanceNormalization"]


def test_staged_norms_stay_in_single_precision() -> None:
    x = np.random.default_rng(1).standard_normal((1, 2, LEAST_SIZE)).astype(np.float32)
    model = finish(compute_in_fp16(stage_norms(norm(LEAST_SIZE))), "norm")
    found = compile_graph(model.SerializeToString(), "onnxruntime")({"x": x})["y"]
    # The input and the output are rounded to half precision, nothing between them.
    assert np.abs(found - exact(x)).max() < 2e-2
    assert all(tensor.data_type != TensorProto.FLOAT16 for tensor in model.graph.initializer)
