"""Group norms as means by channel, and what is left of a picture that is cut where only ground follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")
openvino = pytest.importorskip("openvino")

from jiffexport.graph_module import GraphModule  # noqa: E402
from jiffexport.nets.config import COMPACT_COLOR, PAPER_COLOR, ColorConfig  # noqa: E402
from jiffexport.nets.residual_encoder import ResidualEncoder  # noqa: E402
from jiffexport.onnx_graph import finish  # noqa: E402
from jiffexport.passes import compute_in_fp16, fold_constants, join_group_norms  # noqa: E402
from jiffexport.to_onnx import cut_of, encoder_to_onnx, module_to_onnx  # noqa: E402
from jiffexport.verify import compile_graph  # noqa: E402

SIDE_PX = 320
CONFIGS = {
    "group": replace(PAPER_COLOR, base_channels=32, num_blocks=2, image_size_px=SIDE_PX),
    "batch": replace(COMPACT_COLOR, base_channels=8, num_blocks=3, in_channels=3, image_size_px=SIDE_PX),
}
FIGURES = {
    "in the middle": (120, 160, 100, 190),
    "small": (200, 203, 149, 152),
    "at the left": (0, 60, 20, 160),
    "at the upper border": (100, 180, 0, 90),
}


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """With scales and shifts that are not 1 and 0."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim == 1:
                parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.3)
        for buffer in module.buffers():
            if buffer.ndim == 1:
                buffer.uniform_(0.5, 1.5)
    return module.eval()


def exact(x: np.ndarray, norm: torch.nn.GroupNorm) -> np.ndarray:
    groups = x.astype(np.float64).reshape(norm.num_groups, -1)
    centered = groups - groups.mean(1, keepdims=True)
    normed = (centered / np.sqrt((centered**2).mean(1, keepdims=True) + norm.eps)).reshape(x.shape)
    sides = (-1, *(1 for _ in x.shape[2:]))
    scale, shift = (p.detach().numpy().reshape(sides) for p in (norm.weight, norm.bias))
    return normed * scale + shift


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("sides", [(7, 5), (256, 320), (48, 64, 64)])
def test_group_norm_is_exact_to_rounding(engine: str, sides: tuple[int, ...]) -> None:
    norm = shaken(torch.nn.GroupNorm(4, 8))
    rng = np.random.default_rng(0)
    spread = np.repeat([0.1, 3.0, 1.0, 0.5], 2).reshape(1, 8, *(1 for _ in sides))
    middle = np.repeat([5.0, -1.0, 0.0, 2.0], 2).reshape(spread.shape)
    x = (rng.standard_normal((1, 8, *sides)) * spread + middle).astype(np.float32)
    model = module_to_onnx(norm, {"x": x.shape}, ["y"], "norm", "fp32")
    assert "InstanceNormalization" not in {node.op_type for node in model.graph.node}
    found = compile_graph(model.SerializeToString(), engine)({"x": x})["y"]
    # A mean of 5 with a deviation of 0.1 loses two of the seven digits before any sum.
    assert np.abs(found - exact(x, norm)).max() < 3e-5


def test_group_norms_stay_in_single_precision() -> None:
    norm = shaken(torch.nn.GroupNorm(2, 4))
    x = np.random.default_rng(1).standard_normal((1, 4, 256, 256)).astype(np.float32)
    model = finish(compute_in_fp16(module_to_onnx(norm, {"x": x.shape}, ["y"], "norm", "fp32")), "norm")
    found = compile_graph(model.SerializeToString(), "onnxruntime")({"x": x})["y"]
    # The input and the output are rounded to half precision, nothing between them.
    assert np.abs(found - exact(x, norm)).max() < 2e-2
    assert all(tensor.data_type != TensorProto.FLOAT16 for tensor in model.graph.initializer)


def encoder_of(config: ColorConfig) -> ResidualEncoder:
    encoder = shaken(ResidualEncoder(config))
    assert isinstance(encoder, ResidualEncoder)
    return encoder


def run_at_any_size(model: onnx.ModelProto, image: np.ndarray) -> np.ndarray:
    graph = openvino.Core().read_model(model.SerializeToString())
    graph.reshape({"image": [1, image.shape[1], -1, -1]})
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.array(openvino.Core().compile_model(graph, "CPU", settings)([image])[0])


@pytest.mark.parametrize("norm", CONFIGS)
@pytest.mark.parametrize("figure", FIGURES)
def test_a_cut_picture_gives_what_the_whole_one_does(norm: str, figure: str) -> None:
    encoder = encoder_of(CONFIGS[norm])
    cut = cut_of(encoder)
    assert cut is not None
    left, right, top, bottom = FIGURES[figure]
    image = np.zeros((1, 3, SIDE_PX, SIDE_PX), np.float32)
    rng = np.random.default_rng(2)
    image[..., top:bottom, left:right] = rng.standard_normal((bottom - top, right - left))
    with torch.no_grad():
        whole = encoder(torch.from_numpy(image)).numpy()
    # As little as may stay: the reach of the figure and a texel of ground behind it.
    columns, rows = (-(-end // 4) + cut["figure"] + 1 for end in (right, bottom))
    assert columns < SIDE_PX // 4 and rows < SIDE_PX // 4
    model = encoder_to_onnx(encoder, image.shape, "encoder", "fp32")
    part = run_at_any_size(model, np.ascontiguousarray(image[..., : 4 * rows, : 4 * columns]))
    scale = np.abs(whole).max()
    assert np.abs(part - whole[..., :rows, :columns]).max() < 1e-5 * scale
    assert np.abs(whole[..., rows:, :columns] - part[..., -1:, :]).max() < 1e-5 * scale
    assert np.abs(whole[..., columns:] - whole[..., columns - 1 : columns]).max() < 1e-5 * scale
    # And before the figure there is room for the border's reach, its own, and a texel between them.
    first = left // 4 - cut["figure"] - cut["border"] - 1
    if first > 0:
        part = run_at_any_size(model, np.ascontiguousarray(image[..., 4 * first : 4 * columns]))
        border = cut["border"]
        assert np.abs(part[..., border:] - whole[..., border + first : columns]).max() < 1e-5 * scale
        assert np.abs(part[..., :border] - whole[..., :border]).max() < 1e-5 * scale


@pytest.mark.parametrize("norm", CONFIGS)
def test_an_engine_that_takes_one_size_runs_the_same_graph(norm: str) -> None:
    encoder = encoder_of(CONFIGS[norm])
    image = np.random.default_rng(3).standard_normal((1, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
    model = encoder_to_onnx(encoder, image.shape, "encoder", "fp32")
    with torch.no_grad():
        whole = encoder(torch.from_numpy(image)).numpy()
    for engine in ("onnxruntime", "openvino"):
        found = compile_graph(model.SerializeToString(), engine)({"image": image})["features"]
        assert np.abs(found - whole).max() < 1e-5 * np.abs(whole).max()


def test_other_forms_are_of_whole_pictures() -> None:
    """Half precision folds the picture's sides, which are constants there."""
    encoder = encoder_of(CONFIGS["group"])
    image = np.random.default_rng(4).standard_normal((1, 3, SIDE_PX, SIDE_PX)).astype(np.float32)
    model = encoder_to_onnx(encoder, image.shape, "encoder", "fp16")
    half = finish(compute_in_fp16(model), "encoder")
    assert "Shape" not in {node.op_type for node in half.graph.node}
    with torch.no_grad():
        whole = encoder(torch.from_numpy(image)).numpy()
    found = compile_graph(half.SerializeToString(), "onnxruntime")({"image": image})["features"]
    assert np.abs(found - whole).max() < 2e-2 * np.abs(whole).max()


def norms_in(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "GroupNormalization" for node in model.graph.node)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 3e-5), ("fp16", 2e-2)])
@pytest.mark.parametrize("sides", [(7, 5), (5, 6, 7)])
def test_torch_takes_each_norm_whole(precision: str, tolerance: float, sides: tuple[int, ...]) -> None:
    norm = shaken(torch.nn.GroupNorm(2, 6))
    x = np.random.default_rng(2).standard_normal((1, 6, *sides)).astype(np.float32)
    model = module_to_onnx(norm, {"x": x.shape}, ["y"], "norm", "fp32")
    if precision == "fp16":
        model = finish(compute_in_fp16(model), "norm")
    joined = join_group_norms(fold_constants(model))
    others = {node.op_type for node in joined.graph.node} - {"GroupNormalization"}
    assert norms_in(joined) == 1 and others <= {"Cast"}
    with torch.inference_mode():
        (found,) = GraphModule(model)(torch.from_numpy(x))
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - exact(x, norm)).max() < tolerance


def test_encoders_norms_are_joined_and_compute_the_same() -> None:
    network = shaken(ResidualEncoder(CONFIGS["group"]))
    model = encoder_to_onnx(network, (1, 3, SIDE_PX, SIDE_PX), "encoder", "fp32")
    joined = join_group_norms(fold_constants(model))
    assert norms_in(joined) > 5 and not any(
        "group_norm" in n.name and n.op_type == "Sub" for n in joined.graph.node
    )
    image = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in model.graph.input}
    x = np.random.default_rng(3).standard_normal(image["image"]).astype(np.float32)
    with torch.inference_mode():
        (found,) = GraphModule(model)(torch.from_numpy(x))
    expected = compile_graph(model.SerializeToString(), "onnxruntime")({"image": x})["features"]
    assert np.abs(found.numpy() - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_norm_whose_inside_is_read_elsewhere_stays_as_it_is() -> None:
    norm = shaken(torch.nn.GroupNorm(2, 4))
    model = fold_constants(module_to_onnx(norm, {"x": (1, 4, 6, 5)}, ["y"], "norm", "fp32"))
    inside = next(node.output[0] for node in model.graph.node if node.op_type == "Sqrt")
    model.graph.output.append(onnx.helper.make_tensor_value_info(inside, TensorProto.FLOAT, (1, 4, 1, 1)))
    assert norms_in(join_group_norms(model)) == 0
