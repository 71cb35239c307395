"""The bundle that ships, as TorchScript, and what the engines make of a photograph."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.assemble import add_formats  # noqa: E402
from jiffexport.bundle import read_bundle  # noqa: E402
from jiffexport.exported_graph import graph_entries  # noqa: E402
from jiffexport.formats import FormatOptions  # noqa: E402
from jiffexport.report import table  # noqa: E402
from jiffsdk.reconstructor import DEFAULT_BUNDLE  # noqa: E402
from jiffsdk.verification import COLOR_TOLERANCE, SURFACE_TOLERANCE_VOXELS, verify  # noqa: E402

pytestmark = pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no bundle")

PHOTOGRAPH = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with TorchScript of every graph; a graph that has none fails here, by name."""
    folder = tmp_path_factory.mktemp("default") / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    print(table(add_formats(folder, FormatOptions(("torchscript",)), None)))
    return folder


def test_every_graph_has_its_torchscript(bundle: Path) -> None:
    manifest, files = read_bundle(bundle)
    entries = list(graph_entries(manifest))
    assert len(entries) >= 6
    for entry in entries:
        (variant,) = entry["variants"]
        assert variant["format"] == "torchscript" and len(files[variant["file"]]) > 5_000, entry["file"]


def test_engines_agree_on_graphs_surface_and_colours(bundle: Path) -> None:
    """Against ONNX Runtime in float32, at 256: OpenVINO in float32 and, where the CPU has it, in bf16, and
    TorchScript."""
    report = verify(bundle, [str(PHOTOGRAPH)], 256)
    found = {(each.engine, each.precision): each for each in report.surfaces}
    skipped = {(each.engine, each.precision) for each in report.skipped}
    for way in [("openvino", "fp32"), ("openvino", "bf16"), ("torchscript", "fp32")]:
        print(way, found.get(way))
        if way == ("openvino", "bf16") and way in skipped:
            continue  # no bf16 on this CPU
        assert found[way].mean_voxels < SURFACE_TOLERANCE_VOXELS == 0.1
        assert found[way].mean_color < COLOR_TOLERANCE == 0.01
