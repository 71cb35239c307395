"""Every engine of libjiff gives the mesh that Python's gives; what is missing or broken is told by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jiffsdk
from built_library import (
    ROOT,
    InstalledLibrary,
    engine_libraries,
    onnxruntime_library,
    package_dir,
    run,
)
from figures import person, photograph
from synthetic_bundle import read_manifest, with_torchscript, write_manifest
from test_embedding_package import build_consumer, reconstruct_with

RESOLUTION = 64
has_onnxruntime = pytest.mark.skipif(onnxruntime_library() is None, reason="onnxruntime is not installed")
has_torch = pytest.mark.skipif(package_dir("torch") is None, reason="torch is not installed")

# Loads the library with a fresh process's environment and tells what creating a reconstructor says.
ASK = """
import sys
from pathlib import Path
import c_api
library = c_api.Library(Path(sys.argv[1]))
print(*library.engines())
try:
    library.create(library.open_bundle(Path(sys.argv[2])), engine=sys.argv[3].encode())
    print("created")
except c_api.StatusError as error:
    print(error)
"""


def ask(library: Path, bundle: Path, engine: str, **environment: str) -> tuple[list[str], str]:
    """The engines that a process with these variables has, and what it hears when it asks for `engine`."""
    finished = subprocess.run(
        [sys.executable, "-c", ASK, library, bundle, engine],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "tests"),
            "LD_LIBRARY_PATH": engine_libraries(),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    engines, *said = finished.stdout.splitlines()
    return engines.split(), "\n".join(said)


@pytest.fixture(scope="module")
def torchscript_bundle(bundle_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return with_torchscript(bundle_dir, tmp_path_factory.mktemp("torchscript") / "bundle")


@pytest.fixture(scope="module")
def consumer(installed_library: InstalledLibrary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_consumer(installed_library, tmp_path_factory.mktemp("consumer"))


def test_installed_engines_are_listed_the_fastest_first(
    installed_library: InstalledLibrary, bundle_dir: Path
) -> None:
    expected = ["openvino"]
    expected += ["onnxruntime"] if onnxruntime_library() is not None else []
    expected += ["torchscript"] if package_dir("torch") is not None else []
    assert ask(installed_library.shared_library, bundle_dir, "auto") == (expected, "created")


@pytest.mark.parametrize(
    "engine",
    [pytest.param("onnxruntime", marks=has_onnxruntime), pytest.param("torchscript", marks=has_torch)],
)
def test_program_in_cpp_gets_the_same_mesh_of_every_engine(
    consumer: Path,
    torchscript_bundle: Path,
    reconstructor: jiffsdk.Reconstructor,
    tmp_path: Path,
    engine: str,
) -> None:
    rgb = photograph(person())
    out = tmp_path / "person"
    reconstruct_with(consumer, torchscript_bundle, rgb, out, engine)
    expected = reconstructor(rgb, resolution=RESOLUTION)
    assert reconstructor.engine == "openvino"
    faces = np.fromfile(f"{out}.faces", np.int32).reshape(-1, 3)
    vertices = np.fromfile(f"{out}.vertices", np.float32).reshape(-1, 3)
    colors = np.fromfile(f"{out}.colors", np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(faces, expected.faces)
    np.testing.assert_allclose(vertices, expected.vertices, rtol=0, atol=1e-5)  # metres
    np.testing.assert_allclose(colors, expected.colors, rtol=0, atol=1e-5)


@has_torch
def test_nothing_links_what_is_loaded_on_demand(installed_library: InstalledLibrary) -> None:
    needed = run("readelf", "--dynamic", "--wide", installed_library.shared_library)
    assert "openvino" in needed and "torch" not in needed and "onnxruntime" not in needed
    module = installed_library.prefix / "lib" / "libjiff_engine_torchscript.so"
    assert "libtorch" in run("readelf", "--dynamic", "--wide", module)


@has_torch
def test_bundle_without_torchscript_says_how_to_get_it(
    installed_library: InstalledLibrary, bundle_dir: Path
) -> None:
    _, said = ask(installed_library.shared_library, bundle_dir, "torchscript")
    assert said.startswith("JIFF_ENGINE_ERROR: engine 'torchscript' needs ")
    assert "--formats onnx,torchscript --precision fp32" in said


@has_torch
def test_altered_torchscript_is_refused(
    installed_library: InstalledLibrary, torchscript_bundle: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "bundle"
    shutil.copytree(torchscript_bundle, directory)
    manifest = read_manifest(directory)
    file = manifest["graphs"]["segmentation"]["variants"][0]["file"]
    (directory / file).write_bytes(b"no archive")
    _, said = ask(installed_library.shared_library, directory, "torchscript")
    assert said.startswith("JIFF_BUNDLE_ERROR") and file in said
    write_manifest(directory, manifest)  # its hash is right, its content is not
    _, said = ask(installed_library.shared_library, directory, "torchscript")
    assert said.startswith("JIFF_ENGINE_ERROR: engine 'torchscript' cannot load") and file in said


@has_onnxruntime
def test_onnxruntime_that_cannot_be_loaded_is_told_and_not_listed(
    installed_library: InstalledLibrary, bundle_dir: Path
) -> None:
    missing = "/no/such/libonnxruntime.so"
    engines, said = ask(
        installed_library.shared_library, bundle_dir, "onnxruntime", JIFF_ONNXRUNTIME_LIBRARY=missing
    )
    assert "onnxruntime" not in engines
    assert said.startswith("JIFF_ENGINE_ERROR: engine 'onnxruntime' cannot be used: ") and missing in said
    other = str(installed_library.shared_library)
    _, said = ask(installed_library.shared_library, bundle_dir, "onnxruntime", JIFF_ONNXRUNTIME_LIBRARY=other)
    assert said.endswith("is not ONNX Runtime")


@pytest.mark.parametrize(
    "engine",
    [pytest.param("onnxruntime", marks=has_onnxruntime), pytest.param("torchscript", marks=has_torch)],
)
def test_devices_and_precisions_that_an_engine_lacks_are_refused(
    installed_library: InstalledLibrary, bundle_dir: Path, engine: str
) -> None:
    import c_api

    library = c_api.Library(installed_library.shared_library)
    bundle = library.open_bundle(bundle_dir)
    for option, value in (("device", b"npu"), ("precision", b"bf16")):
        with pytest.raises(c_api.StatusError, match=f"no {option} '{value.decode()}'; it has: ") as caught:
            library.create(bundle, engine=engine.encode(), **{option: value})
        assert caught.value.status == "JIFF_ENGINE_ERROR" and engine in caught.value.message
    library.check(library.jiff_bundle_free(bundle))


FAULTS = {
    "NO_FAULT": "must have an input 'image' of shape [1, 4, 128, 128] as the manifest says",
    "OTHER_VERSION": "is of version 3 of the interface, this library of 2; install both from one build",
    "NO_MODULE": "is no engine's module",
    "NO_FUNCTION": "lacks functions",
    "OTHER_NAME": "holds engine 'elsewhere'; rename it libjiff_engine_elsewhere.so",
    "NO_START": "engine 'faulty' does not start: it is not plugged in",
    "NO_REASON": "engine 'faulty' does not start: the module does not say why",
    "NO_LOAD": "the file is of no use",
    "IMPOSSIBLE_SHAPE": "the impossible shape [1, -3, 64, 64]",
    "NO_TENSOR_NAME": "a tensor without a name",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_modules_that_misbehave_are_told(
    installed_library: InstalledLibrary, bundle_dir: Path, tmp_path: Path, fault: str
) -> None:
    module = tmp_path / "libjiff_engine_faulty.so"
    strict = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    source = ROOT / "tests" / "cpp" / "engine_module.c"
    include = f"-I{installed_library.prefix / 'include'}"
    run("cc", *strict, "-shared", "-fPIC", f"-DFAULT={fault}", include, source, "-o", module)
    engines, said = ask(
        installed_library.shared_library, bundle_dir, "faulty", JIFF_ENGINE_PATH=f"/no/such/place:{tmp_path}"
    )
    assert engines[0] == "openvino" and "faulty" in engines  # listed without being loaded
    assert FAULTS[fault] in said


def test_file_that_is_no_library_is_told(
    installed_library: InstalledLibrary, bundle_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "libjiff_engine_text.so").write_text("no library")
    _, said = ask(installed_library.shared_library, bundle_dir, "text", JIFF_ENGINE_PATH=str(tmp_path))
    assert said.startswith("JIFF_ENGINE_ERROR: engine 'text' cannot be used: ")
    assert str(tmp_path) in said and "cannot be loaded" in said
