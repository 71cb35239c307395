"""Exported graphs compute what the networks compute, on every engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.errors import GraphError, VerificationError  # noqa: E402
from jiffexport.nets import (  # noqa: E402
    COMPACT_COLOR,
    COMPACT_SHAPE,
    PAPER_COLOR,
    PAPER_SHAPE,
    ColorConfig,
    ColorNet,
    ShapeConfig,
    ShapeNet,
)
from jiffexport.nets.upsample import upsample_bicubic  # noqa: E402
from jiffexport.passes import fold_constants, store_weights_fp16, with_static_shapes  # noqa: E402
from jiffexport.passes.storage import MIN_ELEMENTS  # noqa: E402
from jiffexport.to_onnx import encoder_to_onnx, reference_features  # noqa: E402
from jiffexport.verify import Example, compile_graph, verify_graph  # noqa: E402

IMAGE_SIZE_PX = 64
SHAPE_CONFIGS = {
    "compact": replace(
        COMPACT_SHAPE, stem_channels=(16, 32, 32), feature_channels=32, num_stacks=2, hourglass_depth=2
    ),
    "paper": replace(PAPER_SHAPE, stem_channels=(64, 128, 128), feature_channels=128, num_stacks=1),
}
COLOR_CONFIGS = {
    "compact": replace(COMPACT_COLOR, base_channels=8, num_blocks=2, shape_feature_channels=32),
    "paper": replace(PAPER_COLOR, base_channels=32, num_blocks=2),
}


def random_images(num: int, channels: int) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    shape = (1, channels, IMAGE_SIZE_PX, IMAGE_SIZE_PX)
    return [generator.uniform(-1, 1, shape).astype(np.float32) for _ in range(num)]


def warmed_up(network: torch.nn.Module, channels: int) -> torch.nn.Module:
    """Gives batch norms statistics that are not those of the start, so that folding them is tested."""
    network.train()
    with torch.no_grad():
        for image in random_images(3, channels):
            network.encoder(torch.from_numpy(np.concatenate([image, image[..., ::-1]])))
    return network.eval()


def shape_encoder(config: ShapeConfig) -> torch.nn.Module:
    torch.manual_seed(3)
    return warmed_up(ShapeNet(config), config.in_channels).encoder


def color_encoder(config: ColorConfig) -> torch.nn.Module:
    torch.manual_seed(4)
    return warmed_up(ColorNet(config), config.in_channels).encoder


def verified(encoder: torch.nn.Module, channels: int, store: str, tolerance: float) -> onnx.ModelProto:
    shape = (1, channels, IMAGE_SIZE_PX, IMAGE_SIZE_PX)
    model = encoder_to_onnx(encoder, shape, "encoder", store)
    examples = reference_features(encoder, random_images(2, channels))
    reports = verify_graph("encoder", model.SerializeToString(), examples, tolerance=tolerance)
    assert {report.engine for report in reports} == {"openvino", "onnxruntime"}
    return model


@pytest.mark.parametrize("name", SHAPE_CONFIGS)
def test_shape_graph_equals_torch_on_both_engines(name: str) -> None:
    config = SHAPE_CONFIGS[name]
    model = verified(shape_encoder(config), config.in_channels, "fp32", 2e-5)  # worst seen: 1.5e-6
    outputs = {value.name: value for value in model.graph.output}
    assert set(outputs) == {"features"} | ({"log_size_m"} if config.estimates_size else set())
    dims = [dim.dim_value for dim in outputs["features"].type.tensor_type.shape.dim]
    assert dims == [1, config.feature_channels, IMAGE_SIZE_PX // 4, IMAGE_SIZE_PX // 4]


@pytest.mark.parametrize("name", COLOR_CONFIGS)
def test_color_graph_equals_torch_on_both_engines(name: str) -> None:
    config = COLOR_CONFIGS[name]
    model = verified(color_encoder(config), config.in_channels, "fp32", 2e-5)  # worst seen: 1e-6
    assert [value.name for value in model.graph.input] == ["image"]


def test_half_precision_weights_stay_close_and_halve_the_file() -> None:
    config = replace(SHAPE_CONFIGS["compact"], feature_channels=128)
    encoder = shape_encoder(config)
    half = verified(encoder, config.in_channels, "fp16", 5e-3)  # worst seen: 5e-4
    full = verified(encoder, config.in_channels, "fp32", 2e-5)
    assert half.ByteSize() < 0.65 * full.ByteSize()


def test_exported_graph_is_opset_18_and_free_of_shape_arithmetic_and_cubic_resize() -> None:
    config = SHAPE_CONFIGS["compact"]
    model = verified(shape_encoder(config), config.in_channels, "fp16", 1e-2)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Shape", "Gather", "Unsqueeze", "Identity", "Constant", "Resize"}


def test_verification_refuses_a_graph_with_a_wrong_weight() -> None:
    config = COLOR_CONFIGS["compact"]
    encoder = color_encoder(config)
    shape = (1, config.in_channels, IMAGE_SIZE_PX, IMAGE_SIZE_PX)
    model = encoder_to_onnx(encoder, shape, "encoder", "fp32")
    weight = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values[0] *= -1
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    examples = reference_features(encoder, random_images(1, config.in_channels))
    with pytest.raises(VerificationError, match="encoder on openvino: largest relative error"):
        verify_graph("encoder", model.SerializeToString(), examples, tolerance=1e-3)


def test_verification_names_an_output_that_is_missing() -> None:
    graph = negation().SerializeToString()
    example = Example({"x": np.ones((1, 2), np.float32)}, {"z": np.ones((1, 2), np.float32)})
    with pytest.raises(VerificationError, match="'z' must be"):
        verify_graph("negation", graph, [example], tolerance=1e-3)


def test_verification_needs_an_engine_and_an_example() -> None:
    with pytest.raises(VerificationError, match="pip install"):
        verify_graph("negation", negation().SerializeToString(), [], tolerance=1e-3, engines=())
    with pytest.raises(VerificationError, match="at least one example"):
        verify_graph("negation", negation().SerializeToString(), [], tolerance=1e-3)
    with pytest.raises(VerificationError, match="unknown engine 'tensorflow'"):
        compile_graph(negation().SerializeToString(), "tensorflow")


def negation() -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 2)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "negation", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def matmul_model(weight: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, weight.shape[0]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, weight.shape[1]))],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def stored(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_storage_in_half_precision_moves_each_weight_by_at_most_its_rounding() -> None:
    weight = np.random.default_rng(0).standard_normal((64, 65)).astype(np.float32)
    weight *= np.logspace(-8, 4, weight.size, dtype=np.float32).reshape(weight.shape)
    small = stored(store_weights_fp16(matmul_model(weight)))["w_fp16"]
    assert small.dtype == np.float16
    bound = np.maximum(np.abs(weight) * 2.0**-11, 2.0**-25)
    assert (np.abs(small.astype(np.float64) - weight) <= bound).all()


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines_compute_with_stored_half_weights_as_if_they_had_been_rounded(engine: str) -> None:
    weight = np.random.default_rng(1).standard_normal((64, 65)).astype(np.float32)
    rounded = weight.astype(np.float16).astype(np.float32)
    x = np.random.default_rng(2).standard_normal((1, 64)).astype(np.float32)
    outputs = compile_graph(store_weights_fp16(matmul_model(weight)).SerializeToString(), engine)({"x": x})
    np.testing.assert_allclose(outputs["y"], x @ rounded, atol=2e-5)


def test_storage_leaves_small_tensors_and_values_beyond_half_precision_alone() -> None:
    few = np.ones((2, MIN_ELEMENTS // 2 - 1), np.float32)
    large = np.full((2, MIN_ELEMENTS), 1e5, np.float32)
    for weight in (few, large):
        kept = stored(store_weights_fp16(matmul_model(weight)))
        assert list(kept) == ["w"]
        np.testing.assert_array_equal(kept["w"], weight)


@pytest.mark.parametrize(("size_in", "size_out"), [((2, 2), (4, 4)), ((4, 6), (8, 12)), ((5, 9), (13, 4))])
def test_upsampling_by_products_is_torch_bicubic_with_aligned_corners(
    size_in: tuple[int, int], size_out: tuple[int, int]
) -> None:
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, *size_in)))
    expected = torch.nn.functional.interpolate(x, size_out, mode="bicubic", align_corners=True)
    # The matrices are float32; worst seen: 5e-7.
    np.testing.assert_allclose(upsample_bicubic(x, *size_out), expected, atol=2e-6)


def test_folding_turns_shape_arithmetic_into_constants() -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", "columns"))
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Shape", ["same"], ["shape"]),
        helper.make_node("Mul", ["shape", "ones"], ["target"]),
        helper.make_node("Reshape", ["same", "target"], ["y"]),
    ]
    ones = numpy_helper.from_array(np.ones(2, np.int64), "ones")
    graph = helper.make_graph(nodes, "shapes", [x], [y], [ones])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    assert {node.op_type for node in fold_constants(model).graph.node} == {"Reshape", "Shape", "Mul"}
    static = with_static_shapes(model, {"x": (3, 4)})
    assert [node.op_type for node in static.graph.node] == ["Reshape"]
    np.testing.assert_array_equal(stored(static)["target"], [3, 4])


def test_static_shapes_are_asked_for_by_name() -> None:
    with pytest.raises(GraphError, match="'x' needs a shape"):
        with_static_shapes(negation(), {"image": (1, 2)})
