"""libjiff on the GPU: heads there, networks there or on the processor, by every engine that it has.

`JIFF_CUDA_LIBRARY` names a libjiff.so that was built with CUDA, or with its emulation.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from built_library import ROOT, run
from gpu import needs_gpu
from synthetic_bundle import with_torchscript

LIBRARY = os.environ.get("JIFF_CUDA_LIBRARY")
pytestmark = [
    needs_gpu,
    pytest.mark.skipif(LIBRARY is None, reason="JIFF_CUDA_LIBRARY names no library with CUDA"),
]
SCRIPT = """
import json
import sys
from pathlib import Path
import numpy as np
import c_api

library_path, bundle_path, photo, out = map(Path, sys.argv[1:5])
wanted = json.loads(sys.argv[5])
library = c_api.Library(library_path)
said = {"engines": library.engines()}
bundle = library.open_bundle(bundle_path)
try:
    reconstructor = library.create(bundle, **{name: value.encode() for name, value in wanted.items()})
    pixels = np.load(photo)
    found = library.reconstruct(reconstructor, c_api.image_view(pixels), resolution=32)
    said["engine"] = library.jiff_reconstructor_engine(reconstructor).decode()
    said["networks"] = library.jiff_reconstructor_networks(reconstructor).decode()
    np.savez(out, *c_api.arrays_of(library.mesh(found)))
except c_api.StatusError as error:
    said["error"] = str(error)
print(json.dumps(said))
"""
Said = dict[str, str]
Arrays = list[np.ndarray]


@pytest.fixture(scope="module")
def two_forms(bundle_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return with_torchscript(bundle_dir, tmp_path_factory.mktemp("two_forms") / "bundle")


def reconstruct(bundle: Path, folder: Path, **wanted: str) -> tuple[Said, Arrays]:
    """What a fresh process says, and the mesh that it makes."""
    photo, out = folder / "photo.npy", folder / "mesh.npz"
    pixels = np.zeros((200, 100, 4), np.uint8)
    pixels[20:180, 30:70] = 255, 128, 64, 255
    pixels[20:100, 30:70, 0] = 50
    np.save(photo, pixels)
    out.unlink(missing_ok=True)
    printed = run(
        sys.executable, "-c", SCRIPT, str(LIBRARY), bundle, photo, out, json.dumps(wanted),
        env={"PYTHONPATH": str(ROOT / "tests")},
    )  # fmt: skip
    arrays = list(np.load(out).values()) if out.exists() else []
    return json.loads(printed.splitlines()[-1]), arrays


@pytest.fixture(scope="module")
def on_processor(two_forms: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, Arrays]:
    return reconstruct(two_forms, tmp_path_factory.mktemp("on_processor"))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torchscript"])
@pytest.mark.parametrize("networks", ["cpu", "cuda"])
def test_meshes_are_those_of_the_processor(
    two_forms: Path, tmp_path: Path, on_processor: tuple[Said, Arrays], engine: str, networks: str
) -> None:
    on_cpu, mesh = on_processor
    assert "error" not in on_cpu, on_cpu
    vertices, faces, colors = mesh
    if engine not in on_cpu["engines"]:
        pytest.skip(f"this library has no engine {engine}")
    said, mesh = reconstruct(two_forms, tmp_path, device="cuda", engine=engine, networks=networks)
    if (engine, networks) == ("openvino", "cuda"):
        assert said["error"] == "JIFF_ENGINE_ERROR: engine 'openvino' has no device 'cuda'; it has: cpu"
        return
    if "no CUDAExecutionProvider" in said.get("error", ""):
        pytest.skip(said["error"])
    assert said | {"engines": []} == {"engines": [], "engine": engine, "networks": networks}
    assert len(vertices) > 100 and colors.std() > 0.05
    assert len(mesh[0]) == len(vertices) and len(mesh[1]) == len(faces)
    assert np.abs(mesh[0] - vertices).max() < 0.01  # metres: heads are in half precision
    assert np.abs(mesh[2] - colors).max() < 0.01


def test_an_engine_that_runs_there_is_taken_by_itself(two_forms: Path, tmp_path: Path) -> None:
    """ONNX Runtime, if it has CUDA: the emulation says so."""
    said, _ = reconstruct(two_forms, tmp_path, device="cuda")
    other, _ = reconstruct(two_forms, tmp_path, device="cuda", networks="cuda")
    if said["networks"] == "cuda":
        assert said == other and said["engine"] == "onnxruntime"
    else:
        assert other["error"].startswith(
            "JIFF_ENGINE_ERROR: no engine here is known to run networks on the GPU"
        )


def test_graphs_of_a_precision_must_be_there(two_forms: Path, tmp_path: Path) -> None:
    wanted = {"device": "cuda", "engine": "torchscript", "networks": "cuda", "precision": "f16"}
    said, _ = reconstruct(two_forms, tmp_path, **wanted)
    if "torchscript" not in said["engines"]:
        pytest.skip("this library has no engine torchscript")
    assert "as torchscript in fp16, which the bundle does not have" in said["error"]
    assert "--formats onnx,torchscript --precision fp32,fp16" in said["error"]
