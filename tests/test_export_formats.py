"""Other forms of a bundle's graphs: made, verified in a clean process, described, and found again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffsdk._core import load_bundle  # noqa: E402

from figures import person, photograph  # noqa: E402
from jiffexport import assemble, command, verification  # noqa: E402
from jiffexport.assemble import BuildOptions, Frame, add_formats, build_bundle  # noqa: E402
from jiffexport.bundle import read_bundle, write_bundle  # noqa: E402
from jiffexport.errors import ExportError, VerificationError  # noqa: E402
from jiffexport.exported_graph import ExportedGraph, exported  # noqa: E402
from jiffexport.formats import FormatOptions, with_variants  # noqa: E402
from jiffexport.to_tensorrt import installed_builder  # noqa: E402
from jiffexport.verification import verify_graphs  # noqa: E402
from jiffexport.verify import Example  # noqa: E402
from jiffsdk import EngineError, engines  # noqa: E402
from synthetic_bundle import write_bundle as write_synthetic  # noqa: E402
from test_export_graphs import negation  # noqa: E402
from untrained_checkpoints import save_checkpoint  # noqa: E402

ALL = FormatOptions(("onnx", "torchscript"), ("fp32", "fp16"))


def graph_named(name: str, factor: float = 1.0) -> ExportedGraph:
    """Minus, whose original says `factor` times what it computes."""
    x = np.array([[1.0, -2.0]], np.float32)
    return exported(name, negation(), [Example({"x": x}, {"y": -x * np.float32(factor)})], "fp32", "a test")


def test_every_form_is_verified_in_a_clean_process() -> None:
    (graph,) = verify_graphs(with_variants([graph_named("minus")], ALL))
    assert {report.engine for report in graph.reports} == {"openvino", "onnxruntime"}
    forms = {(v.format, v.precision): {r.engine for r in v.reports} for v in graph.variants}
    assert forms == {
        ("onnx", "fp16"): {"openvino", "onnxruntime"},
        ("torchscript", "fp32"): {"torchscript"},
        ("torchscript", "fp16"): set(),  # for GPUs
    }


def test_the_first_graph_that_differs_is_named() -> None:
    graphs = [graph_named("good"), graph_named("bad", 1.5), graph_named("worse", 3.0)]
    with pytest.raises(VerificationError, match="^bad on openvino: largest relative error 3.33e-01 exceeds"):
        verify_graphs(graphs)


def test_a_graph_that_no_engine_loads_is_named() -> None:
    broken = ExportedGraph("broken", b"no graph", "fp32", "", "", examples=graph_named("x").examples)
    with pytest.raises(VerificationError, match="^broken: openvino cannot load it"):
        verify_graphs([broken])


def test_an_engine_that_takes_its_process_down_is_a_failure_of_the_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verification.sys, "executable", "/bin/false")
    with pytest.raises(VerificationError, match=r"minus: an engine took .* down with it \(exit code 1\)"):
        verify_graphs([graph_named("minus")])


def test_unknown_formats_and_precisions_are_refused() -> None:
    with pytest.raises(ExportError, match=r"unknown format \['tflite'\]; choose of onnx, torchscript"):
        FormatOptions(("onnx", "tflite"))  # type: ignore[arg-type]
    with pytest.raises(ExportError, match=r"unknown precision \['int4'\]; choose of fp32, fp16, int8"):
        FormatOptions(precisions=("int4",))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle from checkpoints with all forms that need no TensorRT; nobody changes it."""
    folder = tmp_path_factory.mktemp("formats")
    Image.new("RGB", (64, 64), (120, 90, 60)).save(folder / "photo.png")
    build_bundle(
        BuildOptions(
            shape=save_checkpoint(folder, "shape"),
            color=save_checkpoint(folder, "color"),
            out=folder / "bundle",
            photographs=(folder / "photo.png",),
            version="1.2.3",
            frame=Frame(image_size_px=64),
            formats=ALL,
        )
    )
    return folder / "bundle"


def test_manifest_describes_every_form_and_the_core_accepts_it(built: Path) -> None:
    manifest, files = read_bundle(built)
    for name in ("shape_encoder", "color_encoder"):
        variants = {v["file"]: v for v in manifest["graphs"][name]["variants"]}
        assert variants.keys() == {f"{name}.fp16.onnx", f"{name}.fp32.ts", f"{name}.fp16.ts"}
        assert variants.keys() <= files.keys()
        for file, variant in variants.items():
            assert ("max_rel_error" in variant) == (file != f"{name}.fp16.ts")
            assert 0 < variant.get("max_rel_error", 1e-3) < 5e-2
        assert variants[f"{name}.fp32.ts"]["torch"] == torch.__version__.split("+")[0]
        assert variants[f"{name}.fp32.ts"]["max_rel_error"] < 5e-3
    assert load_bundle(str(built)).graphs == ["color_encoder", "shape_encoder"]


def test_engines_find_their_form_beside_the_graph(built: Path) -> None:
    image = np.random.default_rng(0).uniform(-1, 1, (1, 4, 32, 32)).astype(np.float32)
    path = str(built / "shape_encoder.onnx")
    expected = engines.create("onnxruntime").load(path).run({"image": image})
    for name, precision in (("torchscript", "fp32"), ("onnxruntime", "fp16")):
        graph = engines.create(name, precision=precision).load(path)
        assert graph.inputs == {"image": (1, 4, 32, 32)} and graph.name == "shape_encoder.onnx"
        outputs = graph.run({"image": image})
        assert outputs.keys() == expected.keys()
        for key, values in expected.items():
            error = np.abs(outputs[key] - values).max() / np.abs(values).max()
            assert error < (1e-2 if precision == "fp16" else 1e-4)
    with pytest.raises(EngineError, match="float16 on a CPU in a scalar loop; ask for device='cuda'"):
        engines.create("torchscript", precision="fp16")


def test_a_form_that_the_bundle_lacks_is_asked_for_by_its_command(bundle_dir: Path) -> None:
    with pytest.raises(EngineError, match=r"no torchscript of fp32 in its bundle; python export/build_eng"):
        engines.create("torchscript").load(str(bundle_dir / "shape_encoder.onnx"))


def test_an_altered_form_is_refused_as_any_file(built: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for path in built.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    altered = copy / "shape_encoder.fp32.ts"
    altered.write_bytes(altered.read_bytes()[:-1] + b"!")
    with pytest.raises(Exception, match=r"shape_encoder.fp32.ts' was altered"):
        load_bundle(str(copy))


def test_forms_are_added_to_a_bundle_without_its_checkpoints(tmp_path: Path) -> None:
    bundle = write_synthetic(tmp_path / "bundle")
    before, files_before = read_bundle(bundle)
    for _ in range(2):  # added, then replaced
        add_formats(bundle, FormatOptions(("torchscript",)), None)
        manifest, files = read_bundle(bundle)
        for name, entry in manifest["graphs"].items():
            (variant,) = entry.pop("variants")
            assert variant["file"] == f"{name}.fp32.ts" and "max_rel_error" not in variant
        assert manifest == before
        assert files.keys() - files_before.keys() == {f"{name}.fp32.ts" for name in manifest["graphs"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FormatOptions(("torchscript",)), "determinant: operator Det has no TorchScript form"),
        (FormatOptions(("tensorrt",), ("fp16",), (75,)), "tensorrt_rtx refuses color_encoder: .*Det"),
    ],
    ids=["torchscript", "tensorrt"],
)
def test_one_graph_that_is_refused_ends_the_build(
    tmp_path: Path, options: FormatOptions, message: str
) -> None:
    """So the tests that build the bundle that ships fail on such a graph, and name it."""
    if "tensorrt" in options.formats and installed_builder() != "tensorrt_rtx":
        pytest.skip("pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings")
    bundle = write_synthetic(tmp_path / "bundle")
    manifest, files = read_bundle(bundle)
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (2, 3, 3)), ("y", (2,)))
    )
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "determinant", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    files["color_encoder.onnx"] = model.SerializeToString()
    write_bundle(bundle, manifest, files)
    with pytest.raises(ExportError, match=message):
        add_formats(bundle, options, None)
    assert read_bundle(bundle) == (manifest, files)


def test_a_new_graph_takes_the_old_ones_forms_away(built: Path) -> None:
    manifest, files = read_bundle(built)
    entry = manifest["graphs"]["shape_encoder"]
    assert entry.pop("variants")
    graph = ExportedGraph("shape_encoder", files["shape_encoder.onnx"], "fp16", "", "")
    assemble.describe_results(manifest, files, [graph])
    assert [name for name in files if name.startswith("shape_encoder")] == ["shape_encoder.onnx"]
    assert "color_encoder.fp32.ts" in files


def test_command_adds_forms_and_compares_reconstructions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_synthetic(tmp_path / "bundle")
    Image.fromarray(photograph(person())).save(tmp_path / "person.png")
    given = ["--out", bundle, "--formats", "onnx,torchscript", "--photographs", tmp_path / "person.png"]
    assert command.main([str(argument) for argument in given]) == 0
    shown = capsys.readouterr()
    assert "torchscript fp32" in shown.out and "comparing reconstructions" in shown.err
    entry = json.loads((bundle / "bundle.json").read_text())["graphs"]["shape_encoder"]
    assert 0 <= entry["variants"][0]["max_rel_error"] < 1e-4
