"""The whole way from checkpoints to a bundle, and its command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from safetensors.numpy import load as load_safetensors

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport import command  # noqa: E402
from jiffexport.assemble import BuildOptions, Frame, build_bundle  # noqa: E402
from jiffexport.errors import BundleError, ExportError  # noqa: E402
from jiffexport.exported_graph import ExportedGraph, Variant  # noqa: E402
from jiffexport.nets import ColorNet  # noqa: E402
from jiffexport.photographs import cut_out, encoder_input, load_square  # noqa: E402
from jiffexport.report import table  # noqa: E402
from jiffexport.verify import EngineReport  # noqa: E402
from untrained_checkpoints import COLOR_CONFIG, checkpoint_of, save_checkpoint, write_matting_graph  # noqa: E402


def test_encoder_input_is_masked_and_centred_on_grey() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (255, 0, 255, 255)
    rgba[1, 1] = (255, 255, 255, 0)
    image = encoder_input(rgba, 4, 2)
    np.testing.assert_array_equal(image[0, :, 0, 0], [1, -1, 1, 1])
    np.testing.assert_array_equal(image[0, :, 1, 1], [0, 0, 0, 0])
    assert encoder_input(rgba, 3, 2).shape == (1, 3, 2, 2)


def test_encoder_input_of_a_smaller_encoder_averages_blocks() -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    full, half = encoder_input(rgba, 4, 6), encoder_input(rgba, 4, 3)
    np.testing.assert_allclose(half[..., 1, 2], full[..., 2:4, 4:6].mean((2, 3)), atol=1e-6)


def test_photograph_is_padded_to_a_transparent_square(tmp_path: Path) -> None:
    Image.new("RGB", (20, 40), (200, 100, 50)).save(tmp_path / "tall.png")
    square = load_square(tmp_path / "tall.png", 16)
    assert square.shape == (16, 16, 4)
    assert (square[:, 4:12, 3] == 255).all()
    assert (square[:, :4, 3] == 0).all()
    (tmp_path / "broken.png").write_bytes(b"nothing")
    with pytest.raises(ExportError, match=r"broken.png: not a readable image"):
        load_square(tmp_path / "broken.png", 16)


def test_cut_out_keeps_what_the_matte_keeps() -> None:
    rgba = np.full((8, 8, 4), 255, np.uint8)
    left_half = np.zeros((1, 1, 4, 4), np.float32)
    left_half[..., :2] = 1
    cut = cut_out(rgba, lambda image: left_half, 4)
    assert (cut[:, :3, 3] == 255).all()
    assert (cut[:, 5:, 3] == 0).all()
    assert (cut[..., :3] == 255).all()


@pytest.fixture
def options(tmp_path: Path) -> BuildOptions:
    picture = np.random.default_rng(0).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "LICENSE").write_text("licence text")
    return BuildOptions(
        shape=save_checkpoint(tmp_path, "shape"),
        color=save_checkpoint(tmp_path, "color"),
        out=tmp_path / "bundle",
        photographs=(tmp_path / "photo.png",),
        version="1.2.3",
        segmentation=write_matting_graph(tmp_path / "modnet.onnx"),
        frame=Frame(image_size_px=64),
    )


def test_built_bundle_is_what_its_manifest_says(options: BuildOptions) -> None:
    build_bundle(options)
    manifest = json.loads((options.out / "bundle.json").read_text())
    assert manifest["version"] == "1.2.3"
    assert manifest["provenance"] == "Untrained shape network. Untrained color network."
    assert manifest["frame"] == {"image_size_px": 64, "margin": 0.1, "size_m": 2.0}
    assert set(manifest["graphs"]) == {"segmentation", "shape_encoder", "color_encoder"}
    assert (options.out / "LICENSE-MODNet.txt").read_text() == "licence text"
    for entry in manifest["graphs"].values():
        graph = onnx.load(str(options.out / entry["file"])).graph
        for values, described in ((graph.input, entry["inputs"]), (graph.output, entry["outputs"])):
            assert described == {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
        assert 0 < entry["max_abs_error"] < 0.05
    assert manifest["graphs"]["color_encoder"]["inputs"] == {"image": [1, 4, 64, 64]}
    assert manifest["graphs"]["shape_encoder"]["inputs"] == {"image": [1, 4, 32, 32]}
    assert manifest["graphs"]["shape_encoder"]["outputs"] == {
        "features": [1, 16, 8, 8],
        "log_size_m": [1, 1],
    }
    color = manifest["heads"]["color"]
    assert color["features"] == ["shape_encoder", "color_encoder"]
    assert color["widths"][0] == 16 + 16 + 1
    assert color["blends_image"] is True
    tensors = load_safetensors((options.out / color["file"]).read_bytes())
    assert tensors["color.layers.0.weight"].shape == (color["widths"][1], color["widths"][0])


def test_bundle_without_segmentation_holds_no_trace_of_it(options: BuildOptions) -> None:
    build_bundle(replace(options, segmentation=None))
    manifest = json.loads((options.out / "bundle.json").read_text())
    assert "segmentation" not in manifest["graphs"]
    assert not list(options.out.glob("LICENSE*"))


def test_segmentation_without_its_licence_is_refused_and_nothing_written(
    options: BuildOptions, tmp_path: Path
) -> None:
    (tmp_path / "LICENSE").unlink()
    with pytest.raises(BundleError, match="licence must travel with it"):
        build_bundle(options)
    assert not options.out.exists()


def test_encoder_whose_picture_does_not_divide_the_frame_is_refused(options: BuildOptions) -> None:
    with pytest.raises(BundleError, match="color_encoder runs on pictures of 64 px"):
        build_bundle(replace(options, frame=Frame(image_size_px=96)))
    assert not options.out.exists()


def test_networks_that_do_not_fit_each_other_are_refused(options: BuildOptions) -> None:
    torch.save(
        checkpoint_of("color")
        | {
            "config": (config := replace(COLOR_CONFIG, shape_feature_channels=8)).to_dict(),
            "model": ColorNet(config).state_dict(),
        },
        options.color,
    )
    with pytest.raises(BundleError, match="samples 8 channels .* gives 16"):
        build_bundle(options)


def test_command_says_what_is_wrong_on_one_line_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.pt")
    assert command.main(["--shape", absent, "--color", absent, "--out", str(tmp_path / "bundle")]) == 1
    error = capsys.readouterr().err
    assert error == f"build_engines: {absent}: no such checkpoint\n"


def test_command_prints_its_report_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (64, 64), (120, 90, 60)).save(tmp_path / "photo.png")
    shape, color = save_checkpoint(tmp_path, "shape"), save_checkpoint(tmp_path, "color")
    arguments = ["--shape", shape, "--color", color, "--out", tmp_path / "bundle", "--store", "fp32"]
    arguments += ["--photographs", tmp_path / "photo.png", "--json"]
    assert command.main([str(argument) for argument in arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {(row["graph"], row["engine"]) for row in report["graphs"]} == {
        (graph, engine)
        for graph in ("shape_encoder", "color_encoder")
        for engine in ("openvino", "onnxruntime")
    }
    for row in report["graphs"]:
        assert (row["format"], row["precision"]) == ("onnx", "fp32")
        assert row["num_bytes"] == (tmp_path / "bundle" / row["file"]).stat().st_size
        assert row["max_rel_error"] < 1e-3 and row["ms"] > 0


def test_table_has_a_line_for_every_form_and_engine() -> None:
    reports = (EngineReport("openvino", 1e-3, 2e-3, 12.5), EngineReport("onnxruntime", 3e-3, 4e-3, 99.0))
    engine = Variant("tensorrt", "fp16", "encoder.fp16.sm75.tensorrt_rtx-1.7.1.engine", bytes(1_000_000))
    graph = ExportedGraph("encoder", bytes(2_500_000), "fp16", "Apache-2.0", "", reports, variants=(engine,))
    lines = table([graph]).splitlines()
    assert lines[1].split() == ["encoder", "onnx", "fp32", "2.50", "openvino", "1.0e-03", "2.0e-03", "12.5"]
    assert lines[2].split() == ["onnxruntime", "3.0e-03", "4.0e-03", "99.0"]
    assert " ".join(lines[3].split()) == "encoder tensorrt fp16 sm75 1.00 built, not run here"
    assert len({len(line) for line in lines[:3]}) == 1
    unverified = table([ExportedGraph("encoder", bytes(2_500_000), "fp16", "Apache-2.0", "")])
    assert " ".join(unverified.splitlines()[1].split()) == "encoder onnx fp32 2.50 not verified"
