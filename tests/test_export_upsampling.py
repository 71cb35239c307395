"""Convolutions of what was doubled, as transposed ones of what it was made of."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from torch import Tensor, nn  # noqa: E402

from jiffexport.graph_module import GraphModule  # noqa: E402
from jiffexport.nets.config import ShapeVolumeConfig  # noqa: E402
from jiffexport.nets.unet3d import UNet3d  # noqa: E402
from jiffexport.onnx_graph import finish  # noqa: E402
from jiffexport.passes import compute_in_fp16, compute_in_int8, measure_ranges  # noqa: E402
from jiffexport.to_onnx import module_to_onnx  # noqa: E402
from jiffexport.verify import compile_graph  # noqa: E402

CONV = {2: nn.Conv2d, 3: nn.Conv3d}
BATCH_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class Joined(nn.Module):
    """(skip, low) -> a convolution of both, `low` doubled, with a norm before it."""

    def __init__(self, rank: int, norm: str, bias: bool = False, **options: object) -> None:
        super().__init__()
        self.norm: nn.Module = nn.Identity()
        if norm == "batch":
            self.norm = BATCH_NORM[rank](12)
        elif norm == "group":
            self.norm = nn.GroupNorm(3, 12)  # whose second group holds channels of both
        self.conv = CONV[rank](12, 7, **{"kernel_size": 3, "padding": 1, "bias": bias, **options})

    def forward(self, skip: Tensor, low: Tensor) -> Tensor:
        x = torch.cat([skip, nn.functional.interpolate(low, scale_factor=2.0)], 1)
        return nn.functional.relu(self.conv(self.norm(x)))


class Stays(nn.Module):
    """Reads what is not doubled to its nearest points."""

    def __init__(self, factor: float, mode: str) -> None:
        super().__init__()
        self.factor, self.mode = factor, mode
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(nn.functional.interpolate(x, scale_factor=self.factor, mode=self.mode))


def shaken(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.3)
        for buffer in module.buffers():
            if buffer.ndim == 1:
                buffer.uniform_(0.5, 1.5)
    return module.eval()


def exported(module: nn.Module, inputs: dict[str, Tensor]) -> onnx.ModelProto:
    return module_to_onnx(module, {name: x.shape for name, x in inputs.items()}, ["y"], "graph", "fp32")


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def skip_and_low(sides: tuple[int, ...]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    low = torch.randn(1, 7, *sides) * 2 + 1
    return {"skip": torch.randn(1, 5, *(2 * side for side in sides)), "low": low}


def run_all(model: onnx.ModelProto, inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
    arrays = {name: x.numpy() for name, x in inputs.items()}
    found = {
        engine: compile_graph(model.SerializeToString(), engine)(arrays)["y"]
        for engine in ("onnxruntime", "openvino")
    }
    found["reference"] = ReferenceEvaluator(model).run(None, arrays)[0]
    with torch.no_grad():
        found["torch"] = GraphModule(model)(*inputs.values())[0].numpy()
    return found


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("sides", [(5, 4), (1, 3), (3, 4, 5), (1, 1, 2)])
def test_what_was_doubled_is_convolved_before(sides: tuple[int, ...], norm: str) -> None:
    module, inputs = shaken(Joined(len(sides), norm, bias=norm == "none")), skip_and_low(sides)
    model = exported(module, inputs)
    count = operators(model)
    assert count["ConvTranspose"] == count["Conv"] == 1 and count["Resize"] == 0
    with torch.no_grad():
        expected = module(*inputs.values()).numpy()
    for name, found in run_all(model, inputs).items():
        if name == "reference" and len(sides) == 3:
            continue  # its transposed convolution knows pictures only
        assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max(), name


def test_a_convolution_of_doubled_points_alone() -> None:
    module = shaken(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 3, padding=1)))
    x = torch.randn(1, 3, 4, 6)
    model = exported(module, {"x": x})
    assert operators(model) == {"ConvTranspose": 1}
    with torch.no_grad():
        expected = module(x).numpy()
    for found in run_all(model, {"x": x}).values():
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1, "padding": 0},
        {"kernel_size": 5, "padding": 2},
        {"padding": 0},
        {"stride": 2},
        {"dilation": 2, "padding": 2},
    ],
)
def test_other_convolutions_stay(options: dict[str, int]) -> None:
    module, inputs = shaken(Joined(2, "batch", **options)), skip_and_low((6, 5))
    model = exported(module, inputs)
    assert operators(model)["ConvTranspose"] == 0
    with torch.no_grad():
        expected = module(*inputs.values()).numpy()
    for found in run_all(model, inputs).values():
        assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize(("factor", "mode"), [(3.0, "nearest"), (2.0, "bilinear")])
def test_what_else_is_resized_stays(factor: float, mode: str) -> None:
    x = torch.randn(1, 3, 4, 5)
    module = shaken(Stays(factor, mode))
    model = exported(module, {"x": x})
    assert operators(model)["ConvTranspose"] == 0
    with torch.no_grad():
        expected = module(x).numpy()
    found = compile_graph(model.SerializeToString(), "onnxruntime")({"x": x.numpy()})["y"]
    assert np.abs(found - expected).max() < 1e-5


def unet(norm: str) -> UNet3d:
    network = UNet3d(
        ShapeVolumeConfig(
            frame="face",
            frame_margin=0.2,
            resolution=16,
            point_channels=8,
            unet_channels=(16, 32, 64),
            norm=norm,  # type: ignore[arg-type]
            feature_channels=12,
            num_blocks=2,
            sees_offsets=False,
        )
    )
    # Batch norms after ReLUs of few points: without this the values die away.
    torch.manual_seed(3)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.05, 0.2)
    return network.eval()


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_volume_network_is_itself_in_every_form(norm: str) -> None:
    network = unet(norm)
    torch.manual_seed(2)
    volume = torch.zeros(1, 8, 16, 16, 16)
    where = torch.randint(0, 16, (3, 300))
    volume[0, :, where[0], where[1], where[2]] = torch.randn(8, 300)
    model = exported(network, {"volume": volume})
    assert operators(model)["ConvTranspose"] == 2 and operators(model)["Resize"] == 0
    with torch.no_grad():
        expected = network(volume).numpy()
    length = np.linalg.norm(expected)
    arrays = {"volume": volume.numpy()}

    def onnxruntime(graph: bytes, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return compile_graph(graph, "onnxruntime")(arrays)

    for engine in ("onnxruntime", "openvino"):
        found = compile_graph(model.SerializeToString(), engine)(arrays)["y"]
        assert np.linalg.norm(found - expected) < 1e-5 * length
    half = finish(compute_in_fp16(model), "graph")
    assert np.linalg.norm(onnxruntime(half.SerializeToString(), arrays)["y"] - expected) < 5e-3 * length
    ranges = measure_ranges(model, lambda graph: lambda x: onnxruntime(graph, dict(x)), [arrays])
    eight = finish(compute_in_int8(model, ranges), "graph")
    assert operators(eight)["QuantizeLinear"] > 0
    assert np.linalg.norm(onnxruntime(eight.SerializeToString(), arrays)["y"] - expected) < 0.1 * length
