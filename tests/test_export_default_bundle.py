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
from jiffsdk import (  # noqa: E402
    EngineError,
    Reconstruction,
    ReconstructionOptions,
    Reconstructor,
    engines,
    verification,
)
from jiffsdk.reconstructor import DEFAULT_BUNDLE  # noqa: E402

pytestmark = pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no bundle")

RESOLUTION = 256
PHOTOGRAPH = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with TorchScript of every graph; a graph that has none fails here, by name."""
    folder = tmp_path_factory.mktemp("default") / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    add_formats(folder, FormatOptions(("torchscript",)), None)
    return folder


def test_every_graph_has_its_torchscript(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, files = read_bundle(bundle)
    entries = list(graph_entries(manifest))
    assert len(entries) >= 6
    for entry in entries:
        (variant,) = entry["variants"]
        size = len(files[variant["file"]])
        assert variant["format"] == "torchscript" and size > 5_000, entry["file"]
        with capsys.disabled():
            print(f"\n{variant['file']:32} {size / 1e6:6.2f} MB", end="")


@pytest.fixture(scope="module")
def expected() -> Reconstruction:
    """By ONNX Runtime in float32."""
    _, (result,) = verification.record(DEFAULT_BUNDLE, [str(PHOTOGRAPH)], RESOLUTION)
    assert isinstance(result, Reconstruction)
    return result


@pytest.mark.parametrize(
    ("engine", "precision"), [("openvino", "fp32"), ("openvino", "bf16"), ("torchscript", "fp32")]
)
def test_engines_agree_on_surface_and_colours(
    bundle: Path, expected: Reconstruction, engine: str, precision: str
) -> None:
    try:
        made = engines.create(engine, precision=precision)
    except EngineError as error:  # no bf16 on this CPU
        pytest.skip(str(error))
    found = Reconstructor(bundle, made)(str(PHOTOGRAPH), options=ReconstructionOptions(resolution=RESOLUTION))
    difference = verification._compare_results(made, PHOTOGRAPH.name, expected, found, RESOLUTION)
    print(difference)
    assert difference is not None
    assert difference.mean_voxels < 0.1 and difference.mean_color < 0.01
