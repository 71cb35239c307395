"""`jiff verify`, `jiff bench` and `jiff export`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from figures import person, photograph
from jiffsdk import EngineError, OptionError, engines, verification
from jiffsdk.cli import EXIT_MODEL, EXIT_USAGE, main
from jiffsdk.engines.base import Array
from jiffsdk.verification import verify, with_noise


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("photo") / "person.png"
    Image.fromarray(photograph(person())).save(path)
    return str(path)


def test_engines_that_agree_are_reported(bundle_dir: Path, photo: str) -> None:
    report = verify(bundle_dir, [photo], 64)
    assert {graph.graph for graph in report.graphs} == {"segmentation", "shape_encoder", "color_encoder"}
    for graph in report.graphs:
        assert (graph.engine, graph.inputs) == ("openvino", "photographs") or graph.precision == "bf16"
        assert graph.max_rel_error < 1e-3 and graph.ms > 0
    assert report.surfaces and report.surfaces[0].mean_voxels < 0.01 and report.surfaces[0].mean_color < 1e-3
    reasons = {(each.engine, each.precision): each.reason for each in report.skipped}
    assert reasons["torchscript", "fp32"] == "the bundle has no torchscript of fp32"


def test_the_first_graph_that_strays_is_named(
    bundle_dir: Path, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph_class = type(engines.create("openvino").load(str(bundle_dir / "color_encoder.onnx")))
    run = graph_class._run

    def strays(self: engines.Graph, arrays: Mapping[str, Array]) -> dict[str, Array]:
        factor = np.float32(1.01 if self.name == "shape_encoder.onnx" else 1)
        return {name: values * factor for name, values in run(self, arrays).items()}

    monkeypatch.setattr(graph_class, "_run", strays)
    with pytest.raises(EngineError, match=r"'shape_encoder.onnx' on openvino .* differs by 1.00e-02"):
        verify(bundle_dir, [photo], 64)


def test_a_surface_that_strays_is_named(
    bundle_dir: Path, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "SURFACE_TOLERANCE_VOXELS", -1.0)
    with pytest.raises(EngineError, match=r"person.png' on openvino .*: the surface is 0\.0\d* voxels"):
        verify(bundle_dir, [photo], 64)


def test_distances_are_those_of_the_surfaces(bundle_dir: Path, photo: str) -> None:
    _, (result,) = verification.record(bundle_dir, [photo], 64)
    assert not isinstance(result, Exception)
    import dataclasses

    voxel_m = result.size_m / 64
    moved = dataclasses.replace(
        result,
        vertices=result.vertices + np.float32([0, 0, 0.05 * voxel_m]),
        colors=np.clip(result.colors + np.float32(0.004), 0, 1),
    )
    engine = engines.create("onnxruntime")
    difference = verification._compare_results(engine, "p", result, moved, 64)
    assert difference is not None
    # A flat front or back moves by all of it, the rim by less.
    assert 0.01 < difference.mean_voxels < 0.05 and difference.max_voxels < 0.0501
    assert 0.002 < difference.mean_color < 0.0041


def test_graphs_that_no_photograph_reaches_see_noise(bundle_dir: Path) -> None:
    complete = with_noise(bundle_dir, {"segmentation.onnx": [({}, {})]})
    assert complete["segmentation.onnx"] == [({}, {})]
    ((inputs, outputs),) = complete["shape_encoder.onnx"]
    assert inputs["image"].shape == (1, 4, 128, 128) and inputs["image"].std() > 0.9
    assert np.isfinite(outputs["features"]).all()


def test_photographs_without_a_person_are_noted_and_nothing_to_compare(
    bundle_dir: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (100, 100), (0, 0, 255)).save(tmp_path / "empty.png")
    report = verify(bundle_dir, [str(tmp_path / "empty.png")], 32)
    assert not report.surfaces
    assert len(report.notes) == 1 and "gives no surface to compare" in report.notes[0]
    with pytest.raises(OptionError, match="verifying needs photographs"):
        verify(bundle_dir, [])


def test_commands_print_their_tables(
    bundle_dir: Path, photo: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(bundle_dir), "--photographs", photo, "--resolution", "32"]
    assert main(["verify", *given]) == 0
    shown = capsys.readouterr().out
    assert "shape_encoder" in shown and "agree with onnxruntime in fp32" in shown
    assert main(["verify", *given, "--json"]) == 0
    assert {row["graph"] for row in json.loads(capsys.readouterr().out)["graphs"]} >= {"segmentation"}
    assert main(["bench", *given, "--runs", "1"]) == 0
    shown = capsys.readouterr().out
    assert "onnxruntime cpu fp32" in shown and "openvino cpu fp32" in shown and "color_encoder" in shown
    assert main(["bench", *given, "--runs", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["latencies"]) >= 6


def test_wrong_calls_are_one_line(
    bundle_dir: Path, photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(bundle_dir), "--photographs", photo, "--runs", "0"]) == EXIT_USAGE
    assert "--runs must be 1 or more, got 0" in capsys.readouterr().err
    assert main(["verify", str(tmp_path), "--photographs", photo]) == EXIT_MODEL
    assert "is no bundle" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["verify", "--speed", "high"])
    assert "unrecognized arguments: --speed" in capsys.readouterr().err


def test_export_is_the_exporters_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="the exporter needs torch (pip install .[export])")
    absent = str(tmp_path / "absent.pt")
    code = main(["export", "--shape", absent, "--color", absent, "--out", str(tmp_path / "bundle")])
    errors = capfd.readouterr().err
    assert code == 1
    assert f"build_engines: {absent}: no such checkpoint" in errors
    assert "jiff: error: the export failed (exit code 1); no bundle was written" in errors
