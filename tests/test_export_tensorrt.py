"""TensorRT engines, really built: `tensorrt_rtx` needs no GPU for that. They are not run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from onnx import TensorProto, helper

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

import jiffsdk  # noqa: E402
from jiffexport import to_tensorrt as module  # noqa: E402
from jiffexport.assemble import add_formats  # noqa: E402
from jiffexport.errors import EngineBuildError  # noqa: E402
from jiffexport.formats import FormatOptions  # noqa: E402
from jiffexport.nets.unet3d import UNet3d  # noqa: E402
from jiffexport.onnx_graph import finish  # noqa: E402
from jiffexport.passes import compute_in_fp16  # noqa: E402
from jiffexport.report import table  # noqa: E402
from jiffexport.to_onnx import module_to_onnx  # noqa: E402
from jiffexport.to_tensorrt import check_request, installed_builder, is_buildable, to_tensorrt  # noqa: E402
from jiffsdk.engines.variants import formats_of  # noqa: E402
from small_published import FACE_SHAPE  # noqa: E402

needs_rtx = pytest.mark.skipif(
    installed_builder() != "tensorrt_rtx",
    reason="pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
)
BUNDLE = Path(jiffsdk.__file__).parent / "bundles" / "compact"


def test_without_a_builder_the_message_says_what_to_install() -> None:
    with pytest.raises(EngineBuildError, match="pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bind"):
        check_request((75,), ("fp16",), None)


@needs_rtx
@pytest.mark.parametrize(
    ("capabilities", "precisions", "message"),
    [
        ((), ("fp16",), "give --sm, say 75,86,89"),
        ((61,), ("fp16",), "sm_61 is older than the RTX 2080 Ti's sm_75"),
        ((75,), ("fp32",), "no float32 products on sm_75; give --precision fp16"),
        ((86, 77), ("fp16",), "does not know sm_77; it knows .*75, .*86"),
    ],
)
def test_what_cannot_be_built_is_said_before_anything_is(
    capabilities: tuple[int, ...], precisions: tuple[str, ...], message: str
) -> None:
    with pytest.raises(EngineBuildError, match=message):
        check_request(capabilities, precisions, "tensorrt_rtx")


def test_float32_is_built_where_it_runs() -> None:
    assert is_buildable("tensorrt_rtx", 75, "fp16") and not is_buildable("tensorrt_rtx", 75, "fp32")
    assert is_buildable("tensorrt_rtx", 86, "fp32") and is_buildable("tensorrt", 75, "fp32")


@needs_rtx
def test_a_graph_that_is_refused_is_named() -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, (4,)) for name in "xy")
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "determinant", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(EngineBuildError, match="tensorrt_rtx refuses determinant: .*Det"):
        to_tensorrt(model, "tensorrt_rtx", 75)


@needs_rtx
def test_a_volume_network_with_group_norms_is_built_for_the_rtx_2080_ti() -> None:
    torch.manual_seed(0)
    unet = UNet3d(FACE_SHAPE.volume).eval()
    # Large enough for norms whose sums are taken in stages.
    model = module_to_onnx(unet, {"volume": (1, 8, 48, 48, 48)}, ["features"], "unet", "fp16")
    assert any(node.name.startswith("group_norm") for node in model.graph.node)
    engine = to_tensorrt(finish(compute_in_fp16(model), "unet"), "tensorrt_rtx", 75)
    assert engine.file("unet", "fp16") == f"unet.fp16.sm75.tensorrt_rtx-{engine.version}.engine"
    assert len(engine.content) > 10_000


@needs_rtx
def test_engines_of_the_default_bundle_are_built_for_sm_75_and_sm_86(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All its graphs; their sizes stand in the table that the test prints."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for path in BUNDLE.iterdir():
        (bundle / path.name).write_bytes(path.read_bytes())
    graphs = add_formats(bundle, FormatOptions(("tensorrt",), ("fp16",), (75, 86)), None)
    with capsys.disabled():
        print(f"\n{table(graphs)}")
    manifest = json.loads((bundle / "bundle.json").read_text())
    assert len(graphs) >= 6
    for graph in graphs:
        assert {v.details["compute_capability"] for v in graph.variants} == {75, 86}, graph.name
        for variant in graph.variants:
            assert f".sm{variant.details['compute_capability']}.tensorrt_rtx-" in variant.file
            assert manifest["files"][variant.file]["num_bytes"] == len(variant.content) > 10_000
    assert formats_of(bundle) == {("tensorrt", "fp16")}


def test_an_engine_of_another_gpu_is_not_built_by_tensorrt_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineBuildError, match="builds on a GPU of sm_89, and there is none here; pip inst"):
        module._check_present_gpu(89)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 6))
    with pytest.raises(EngineBuildError, match="builds for the GPU at hand, sm_86, not for sm_89"):
        module._check_present_gpu(89)
    module._check_present_gpu(86)
