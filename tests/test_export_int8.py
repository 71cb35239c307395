"""Convolutions in 8 bits: the numbers, which graphs keep them, and the engine that runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from figures import person, photograph  # noqa: E402
from jiffexport import command, formats  # noqa: E402
from jiffexport.assemble import add_formats  # noqa: E402
from jiffexport.bundle import read_bundle, write_bundle  # noqa: E402
from jiffexport.deployed import recorded_examples  # noqa: E402
from jiffexport.errors import BundleError, ExportError, GraphError  # noqa: E402
from jiffexport.formats import FormatOptions  # noqa: E402
from jiffexport.onnx_graph import rename_values  # noqa: E402
from jiffexport.passes import compute_in_int8, measure_ranges, quantize  # noqa: E402
from jiffexport.verify import compile_graph  # noqa: E402
from jiffsdk import EngineError, engines, verification  # noqa: E402
from synthetic_bundle import write_bundle as write_synthetic  # noqa: E402

RNG = np.random.default_rng(0)
INT8 = FormatOptions(("onnx",), ("int8",))


def convolution(weight: NDArray, size: int) -> onnx.ModelProto:
    """y = relu(x) * weight, 3 x 3, padded with zeros."""
    channels = (weight.shape[1], weight.shape[0])
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, number, size, size))
        for name, number in zip("xy", channels, strict=True)
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["positive"]),
        helper.make_node("Conv", ["positive", "w"], ["y"], pads=[1, 1, 1, 1]),
    ]
    graph = helper.make_graph(nodes, "convolution", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def rounded_to_steps(values: NDArray, scale: NDArray | float, low: int, high: int) -> NDArray:
    return np.clip(np.rint(values / scale), low, high) * scale


def convolve(x: NDArray, weight: NDArray) -> NDArray:
    """Slowly; x (C, H, W)."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1:]
    windows = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.einsum("kchw,ock->ohw", np.stack(windows), weight.reshape(*weight.shape[:2], 9))


def with_convolutions(bundle: Path) -> Path:
    """A synthetic bundle whose encoders end in a convolution that passes its input on."""
    manifest, files = read_bundle(bundle)
    for name, channels in (("shape_encoder", 1), ("color_encoder", 3)):
        model = rename_values(onnx.load_from_string(files[f"{name}.onnx"]), {"features": "plain"})
        weight = np.zeros((channels, channels, 3, 3), np.float32)
        weight[np.arange(channels), np.arange(channels), 1, 1] = 1
        model.graph.initializer.append(numpy_helper.from_array(weight, "pass"))
        node = helper.make_node("Conv", ["plain", "pass"], ["features"], pads=[1, 1, 1, 1])
        model.graph.node.append(node)
        next(value for value in model.graph.output if value.name == "plain").name = "features"
        files[f"{name}.onnx"] = model.SerializeToString()
    write_bundle(bundle, manifest, files)
    return bundle


@pytest.fixture
def small_convolutions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "MIN_MULTIPLY_ADDS", 0)
    monkeypatch.setattr(formats, "LEAST_INT8_MULTIPLY_ADDS", 0)


@pytest.mark.usefixtures("small_convolutions_count")
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_operands_are_rounded_to_their_steps_and_nothing_else(engine: str) -> None:
    weight = RNG.standard_normal((6, 4, 3, 3)).astype(np.float32) * np.float32([[[[0.01]]]])
    weight[2] *= 300  # each channel has a scale of its own
    weight[3] = 0
    x = RNG.standard_normal((1, 4, 9, 9)).astype(np.float32)
    model = convolution(weight, 9)
    ranges = measure_ranges(model, lambda content: compile_graph(content, "onnxruntime"), [{"x": x}])
    assert ranges == {"positive": (0.0, float(x.max()))}
    found = compile_graph(compute_in_int8(model, ranges).SerializeToString(), engine)({"x": x})["y"][0]
    scales = np.maximum(np.abs(weight).max((1, 2, 3), keepdims=True) / 127, 1e-8)
    given = rounded_to_steps(np.maximum(x[0], 0), x.max() / 255, 0, 255)
    expected = convolve(given, rounded_to_steps(weight, scales, -127, 127))
    # A value that lies between two steps may be rounded to either.
    tolerance = 1.01 * x.max() / 255 * np.abs(weight).max((1, 2, 3), keepdims=True)[:, 0] + 1e-6
    assert (np.abs(found - expected) < tolerance).all()
    assert np.abs(found[3]).max() == 0
    plain = convolve(np.maximum(x[0], 0), weight)
    assert 0 < np.abs(found - plain).max() / np.abs(plain).max() < 0.02


def test_ranges_span_all_examples_and_what_exceeds_them_is_clipped(
    small_convolutions_count: None,
) -> None:
    weight = np.zeros((1, 1, 3, 3), np.float32)
    weight[0, 0, 1, 1] = 1
    model = convolution(weight, 4)
    examples = [{"x": np.full((1, 1, 4, 4), value, np.float32)} for value in (0.5, 2.0)]
    ranges = measure_ranges(model, lambda content: compile_graph(content, "onnxruntime"), examples)
    assert ranges == {"positive": (0.5, 2.0)}
    run = compile_graph(compute_in_int8(model, ranges).SerializeToString(), "onnxruntime")
    found = run({"x": np.full((1, 1, 4, 4), 3.0, np.float32)})["y"]
    np.testing.assert_allclose(found, 2.0, rtol=1e-5)
    with pytest.raises(GraphError, match="convolution: 8-bit ranges are measured on real inputs"):
        measure_ranges(model, lambda content: compile_graph(content, "onnxruntime"), [])


def test_small_convolutions_stay_as_they_are() -> None:
    model = convolution(np.ones((1, 1, 3, 3), np.float32), 4)
    assert [node.op_type for node in compute_in_int8(model, {}).graph.node] == ["Relu", "Conv"]


@pytest.mark.usefixtures("small_convolutions_count")
def test_a_bundle_keeps_8_bits_where_the_judge_allows_them(tmp_path: Path) -> None:
    Image.fromarray(photograph(person())).save(tmp_path / "person.png")
    bundle, photographs = with_convolutions(write_synthetic(tmp_path / "bundle")), [tmp_path / "person.png"]
    with pytest.raises(EngineError, match="has no graph in int8; python export/build_engines.py --out"):
        engines.create("openvino", precision="int8").load(str(bundle / "shape_encoder.onnx"))
    with pytest.raises(BundleError, match="leave out --no-verify"):
        add_formats(bundle, INT8, None)

    examples = recorded_examples(bundle, photographs)

    def judge(trial: Path) -> Mapping[str, str | None]:
        answers = verification.judge_int8(trial, [str(photographs[0])], 64)
        assert answers.keys() == {"segmentation.onnx", "shape_encoder.onnx", "color_encoder.onnx"}
        assert answers["shape_encoder.onnx"] is None and answers["color_encoder.onnx"] is None
        return answers | {"color_encoder.onnx": "it fades"}

    add_formats(bundle, INT8, examples, None, judge)
    manifest, files = read_bundle(bundle)
    forms = {name: [v["precision"] for v in e.get("variants", [])] for name, e in manifest["graphs"].items()}
    assert forms["shape_encoder"] == ["int8"] and forms["color_encoder"] == []
    assert "shape_encoder.int8.onnx" in files and "color_encoder.int8.onnx" not in files

    engine = engines.create("openvino", precision="int8")
    for file in ("shape_encoder.onnx", "color_encoder.onnx"):
        (example, *_) = examples[file]
        outputs = engine.load(str(bundle / file)).run(example.inputs)
        errors = {
            name: np.abs(outputs[name] - wanted).max() / np.abs(wanted).max()
            for name, wanted in example.outputs.items()
        }
        assert max(errors.values()) < (0.1 if file.startswith("shape") else 1e-4), (file, errors)


@pytest.mark.usefixtures("small_convolutions_count")
def test_a_form_that_moves_the_surface_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(photograph(person())).save(tmp_path / "person.png")
    bundle = with_convolutions(write_synthetic(tmp_path / "bundle"))
    add_formats(bundle, INT8, recorded_examples(bundle, [tmp_path / "person.png"]), None, lambda trial: {})
    monkeypatch.setattr(verification, "SURFACE_TOLERANCE_VOXELS", -1.0)
    answers = verification.judge_int8(bundle, [str(tmp_path / "person.png")], 64)
    assert len(answers) == 3
    for answer in answers.values():
        assert answer is not None and "person.png' on openvino (cpu, int8): the surface is" in answer


def test_command_adds_8_bits_to_a_finished_bundle_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--shape", "s.pt", "--color", "c.pt", "--out", str(tmp_path / "b"), "--precision", "fp32,int8"]
    assert command.main(given) == 1
    assert "8 bits are chosen by what photographs become" in capsys.readouterr().err
    with pytest.raises(ExportError, match="choose of fp32, fp16, int8"):
        FormatOptions(("onnx",), ("int4",))  # type: ignore[arg-type]
