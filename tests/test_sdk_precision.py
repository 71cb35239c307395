"""What networks and heads compute in, from the option to the surface."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import jiffsdk
from figures import person, photograph
from jiffsdk import EngineError, OptionError, ReconstructionOptions, Reconstructor, _core, cli
from thread_counts import outputs_by_threads

EXAMPLE = Path(__file__).parents[1] / "examples" / "held_out_render.png"

needs_bf16 = pytest.mark.skipif(
    "avx512_bf16" not in _core.supported_simd_levels(), reason="this processor does not compute in bf16"
)


def digest(reconstruct: Reconstructor) -> str:
    found = reconstruct(photograph(person()), resolution=64)
    return hashlib.sha256(found.vertices.tobytes() + found.colors.tobytes()).hexdigest()


@needs_bf16
def test_auto_takes_bf16_for_the_heads_alone_where_the_processor_has_it(bundle_dir: Path) -> None:
    fp32, auto = Reconstructor(bundle_dir, precision="fp32"), Reconstructor(bundle_dir)
    assert (fp32.precision, auto.precision) == ("fp32", "bf16")
    alone = Reconstructor(bundle_dir, jiffsdk.engines.create(), precision="bf16")
    assert digest(auto) == digest(alone) != digest(fp32)


def test_auto_is_fp32_where_bf16_gains_nothing(bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIFF_SIMD_LEVEL", "portable")
    fp32, auto = Reconstructor(bundle_dir, precision="fp32"), Reconstructor(bundle_dir)
    assert fp32.precision == auto.precision == "fp32"
    assert digest(auto) == digest(fp32)


def test_bf16_is_an_error_where_the_processor_has_it_not(
    bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = jiffsdk.engines.create()
    monkeypatch.setenv("JIFF_SIMD_LEVEL", "portable")
    with pytest.raises(EngineError, match="not compute in bf16.* ask for precision 'fp32'"):
        Reconstructor(bundle_dir, engine, precision="bf16")


def test_an_engine_that_has_no_bf16_is_an_error(bundle_dir: Path) -> None:
    with pytest.raises(EngineError, match="'onnxruntime' has no precision 'bf16'"):
        Reconstructor(bundle_dir, "onnxruntime", precision="bf16")


def test_an_unknown_precision_is_an_error(bundle_dir: Path) -> None:
    with pytest.raises(OptionError, match="precision must be one of .* got 'fp16'"):
        Reconstructor(bundle_dir, precision="fp16")


@needs_bf16
def test_bf16_heads_keep_the_surface_and_the_colours() -> None:
    """The measure by which the default was chosen; seen at 256: 0.0016 voxels, 1e-4."""
    engine, options = jiffsdk.engines.create(), ReconstructionOptions(resolution=128)
    exact, rounded = (
        Reconstructor(engine=engine, precision=precision)(EXAMPLE, options=options)
        for precision in ("fp32", "bf16")
    )
    assert exact.face.status == rounded.face.status == "used"
    voxel_m = exact.size_m / options.resolution
    pairs = [(exact, rounded), (rounded, exact)]
    distances = [_core.MeshDistance(a.vertices, a.faces).query(b.vertices) / voxel_m for a, b in pairs]
    assert 0 < np.concatenate(distances).mean() < 0.01
    nearest, _ = _core.nearest_points(rounded.vertices, exact.vertices, 2 * voxel_m)
    assert (nearest >= 0).mean() > 0.99
    differences = np.abs(exact.colors[nearest >= 0] - rounded.colors[nearest[nearest >= 0]])
    assert differences.mean() < 1e-3


PRINT_DIGEST = """
from test_sdk_precision import digest
from jiffsdk import Reconstructor, _core
import sys
print(_core.num_threads(), *(digest(Reconstructor({bundle!r}, num_threads=1)) for _ in range(2)))
"""


def test_neither_a_second_run_nor_the_number_of_threads_shows(bundle_dir: Path) -> None:
    runs = outputs_by_threads(PRINT_DIGEST.format(bundle=str(bundle_dir)))
    assert len({digest for words in runs for digest in words}) == 1


def test_the_command_line_takes_it(
    bundle_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["reconstruct", str(EXAMPLE), "-o", str(tmp_path / "a.glb"), "--bundle", str(bundle_dir)]
    arguments += ["--resolution", "32", "--json", "-q"]
    assert cli.main([*arguments, "--precision", "fp32"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "fp32"
    monkeypatch.setenv("JIFF_SIMD_LEVEL", "portable")
    assert cli.main([*arguments, "--engine", "openvino", "--precision", "bf16"]) == cli.EXIT_MODEL
    assert "not compute in bf16" in capsys.readouterr().err
