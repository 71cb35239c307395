"""The installed tree: found by CMake and pkg-config, moved, linked, and the same mesh as in Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import c_api
import jiffsdk
from built_library import ROOT, InstalledLibrary, configure, openvino_cmake_dir, openvino_libraries, run
from figures import as_bytes, person, photograph
from jiffsdk.reconstructor import DEFAULT_BUNDLE

CONSUMER = ROOT / "tests" / "consumer"
HEADERS = ROOT / "csrc" / "include"
SAMPLE = ROOT / "examples" / "astronaut.jpg"
RESOLUTION = 64
STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only")


def build_consumer(
    installed: InstalledLibrary, directory: Path, generator: str = "Ninja", target: str = "jiff::jiff"
) -> Path:
    """Builds tests/consumer against the installed tree; its program."""
    configure(
        CONSUMER,
        directory,
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_PREFIX_PATH={installed.prefix}",
        f"-DCONSUMER_TARGET={target}",
        generator=generator,
    )
    run("cmake", "--build", directory)
    return directory / "consumer"


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    with Image.open(SAMPLE) as picture:
        return np.asarray(picture.convert("RGB"))


def reconstruct_with(program: Path, bundle: Path, rgb: np.ndarray, out: Path, engine: str = "auto") -> None:
    (out.parent / "pixels.rgb").write_bytes(rgb.tobytes())
    height_px, width_px = rgb.shape[:2]
    size = (str(width_px), str(height_px), str(RESOLUTION))
    run(program, bundle, out.parent / "pixels.rgb", *size, out, engine)


def assert_same_files(out: Path, expected: jiffsdk.Reconstruction) -> None:
    vertices = np.fromfile(f"{out}.vertices", np.float32).reshape(-1, 3)
    faces = np.fromfile(f"{out}.faces", np.int32).reshape(-1, 3)
    colors = np.fromfile(f"{out}.colors", np.float32).reshape(-1, 3)
    mask = np.fromfile(f"{out}.mask", np.uint8).reshape(expected.mask.shape)
    np.testing.assert_array_equal(faces, expected.faces)
    np.testing.assert_array_equal(vertices, expected.vertices)
    np.testing.assert_array_equal(colors, expected.colors)
    np.testing.assert_array_equal(mask, expected.mask)


@pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no bundle")
def test_consumer_reconstructs_the_sample_photograph_as_python_does(
    installed_library: InstalledLibrary, tmp_path: Path, sample: np.ndarray
) -> None:
    program = build_consumer(installed_library, tmp_path / "build")
    reconstruct_with(program, DEFAULT_BUNDLE, sample, tmp_path / "person")
    expected = jiffsdk.Reconstructor(engine="openvino")(sample, resolution=RESOLUTION)
    assert len(expected.vertices) > 1000
    assert_same_files(tmp_path / "person", expected)


def test_static_library_and_make_work_too(
    installed_library: InstalledLibrary,
    tmp_path: Path,
    bundle_dir: Path,
    reconstructor: jiffsdk.Reconstructor,
) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    program = build_consumer(
        installed_library, tmp_path / "build", generator="Unix Makefiles", target="jiff::jiff_static"
    )
    assert b"libjiff.so" not in program.read_bytes()
    rgb = photograph(person())
    reconstruct_with(program, bundle_dir, rgb, tmp_path / "person")
    assert_same_files(tmp_path / "person", reconstructor(rgb, resolution=RESOLUTION))


def test_installed_tree_may_be_moved(installed_library: InstalledLibrary, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(installed_library.prefix, moved, symlinks=True)
    texts = [path for path in moved.rglob("*") if path.suffix in {".cmake", ".pc"}]
    assert len(texts) >= 6
    for path in texts:
        assert str(installed_library.prefix) not in path.read_text(), path
    configure(CONSUMER, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={moved}")
    cache = (tmp_path / "build" / "CMakeCache.txt").read_text()
    assert f"jiff_DIR:PATH={moved}" in cache


def test_pkg_config_names_the_library(installed_library: InstalledLibrary, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None or shutil.which("cc") is None:
        pytest.skip("pkg-config or a C compiler is not installed")
    folder = {"PKG_CONFIG_PATH": str(installed_library.prefix / "lib" / "pkgconfig")}
    assert run("pkg-config", "--modversion", "jiff", env=folder).strip() == jiffsdk.__version__
    flags = run("pkg-config", "--cflags", "--libs", "jiff", env=folder).split()
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n#include <jiff/jiff.h>\nint main(void) { return puts(jiff_version()) < 0; }\n"
    )
    run("cc", "-std=c99", tmp_path / "main.c", *flags, "-o", tmp_path / "main")
    places = f"{installed_library.prefix / 'lib'}:{openvino_libraries()}"
    said = run(tmp_path / "main", env={"LD_LIBRARY_PATH": places})
    assert said.strip() == jiffsdk.__version__


def test_add_subdirectory_gives_the_same_targets(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        f"""cmake_minimum_required(VERSION 3.22)
project(host LANGUAGES C CXX)
add_subdirectory({ROOT} jiff)
foreach(target jiff::jiff jiff::jiff_static)
  if(NOT TARGET ${{target}})
    message(FATAL_ERROR "there is no ${{target}}")
  endif()
endforeach()
if(TARGET _core)
  message(FATAL_ERROR "the Python module was not asked for")
endif()
add_library(program OBJECT {CONSUMER}/consumer.cpp {CONSUMER}/linked_from_c.c)
target_compile_features(program PRIVATE cxx_std_17)
target_link_libraries(program PRIVATE jiff::jiff)
"""
    )
    configure(tmp_path, tmp_path / "build", f"-DOpenVINO_DIR={openvino_cmake_dir()}")
    # The objects alone; the library would be the same compilation once more.
    run("cmake", "--build", tmp_path / "build", "--target", "program")


def exported_symbols(path: Path) -> list[str]:
    lines = run("nm", "--dynamic", "--defined-only", path).splitlines()
    return sorted(line.split()[-1] for line in lines)


def test_only_functions_of_the_header_are_exported(installed_library: InstalledLibrary) -> None:
    declared = re.findall(r"^JIFF_API [^;]*?\b(jiff_\w+)\(", (HEADERS / "jiff" / "jiff.h").read_text(), re.M)
    assert len(declared) == len(set(declared)) >= 20
    assert exported_symbols(installed_library.shared_library) == sorted(declared)
    assert sorted(c_api.FUNCTIONS) == sorted(declared)  # none is untested


def test_soname_has_the_version_of_the_interface(installed_library: InstalledLibrary) -> None:
    major, minor, _ = jiffsdk.__version__.split(".")
    dynamic = run("readelf", "--dynamic", "--wide", installed_library.shared_library)
    interface = f"0.{minor}" if major == "0" else major
    assert f"[libjiff.so.{interface}]" in dynamic
    assert "NODELETE" in dynamic
    library = installed_library.shared_library
    assert library.is_symlink() and library.resolve().name == f"libjiff.so.{jiffsdk.__version__}"


COMPILERS = [name for name in ("gcc", "clang", "clang-14") if shutil.which(name)]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize(
    ("language", "standard", "header"),
    [
        ("c", "c99", "jiff/jiff.h"),
        ("c", "c11", "jiff/jiff.h"),
        ("c++", "c++17", "jiff/jiff.h"),
        ("c++", "c++17", "jiff/jiff.hpp"),
        ("c++", "c++20", "jiff/jiff.hpp"),
    ],
)
def test_headers_compile_strictly(
    installed_library: InstalledLibrary,
    tmp_path: Path,
    compiler: str,
    language: str,
    standard: str,
    header: str,
) -> None:
    source = tmp_path / "unit.txt"
    source.write_text(f"#include <{header}>\n" + (CONSUMER / "linked_from_c.c").read_text())
    include = f"-I{installed_library.prefix / 'include'}"
    run(compiler, "-x", language, f"-std={standard}", *STRICT, include, source)


def test_cpp_header_compiles_without_exceptions(installed_library: InstalledLibrary, tmp_path: Path) -> None:
    source = tmp_path / "unit.cpp"
    source.write_text(
        """#include <jiff/jiff.hpp>
int main() {
    auto bundle = jiff::Bundle::try_open("x");
    if (!bundle) return bundle.status();
    auto reconstructor = jiff::Reconstructor::try_create(*bundle);
    if (!reconstructor) return reconstructor.status();
    auto person = reconstructor->try_reconstruct(jiff::Image(nullptr, 1, 1, jiff::PixelFormat::kRgb));
    return person && person->mesh().try_write("x.glb") ? 1 : 0;
}
"""
    )
    include = f"-I{installed_library.prefix / 'include'}"
    run("c++", "-std=c++17", "-fno-exceptions", *STRICT, include, source)


@pytest.mark.parametrize("program", ["photo_to_mesh", "photo_to_mesh_c"])
def test_examples_turn_a_file_into_a_mesh(
    installed_library: InstalledLibrary,
    tmp_path: Path,
    bundle_dir: Path,
    reconstructor: jiffsdk.Reconstructor,
    program: str,
) -> None:
    rgb = photograph(person())
    Image.fromarray(rgb).save(tmp_path / "photo.ppm")
    path = installed_library.build_dir / "csrc" / "examples" / program
    said = run(path, bundle_dir, tmp_path / "photo.ppm", tmp_path / "person.ply", str(RESOLUTION))
    expected = reconstructor(rgb, resolution=RESOLUTION)
    assert f"{len(expected.vertices)} vertices, {len(expected.faces)} faces" in said
    expected.save(tmp_path / "expected.ply")
    found = (tmp_path / "person.ply").read_bytes().replace(b"jiff ", b"jiffsdk ")
    assert found == (tmp_path / "expected.ply").read_bytes()


@pytest.mark.parametrize("program", ["photo_to_mesh", "photo_to_mesh_c"])
def test_examples_say_what_is_wrong(
    installed_library: InstalledLibrary, tmp_path: Path, bundle_dir: Path, program: str
) -> None:
    path = installed_library.build_dir / "csrc" / "examples" / program
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "short.ppm").write_bytes(b"P6\n100 100\n255\n" + b"x" * 10)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and then nothing")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    for name in ("text.jpg", "short.ppm", "broken.jpg", "broken.png", "missing.png"):
        with pytest.raises(RuntimeError, match=rf"failed with 1:(?s:.*)'{tmp_path / name}'"):
            run(path, bundle_dir, tmp_path / name, tmp_path / "person.glb")
    with pytest.raises(RuntimeError, match="failed with 2:(?s:.*)usage"):
        run(path)


def test_examples_read_jpeg_and_png_where_their_libraries_are(
    installed_library: InstalledLibrary,
    tmp_path: Path,
    bundle_dir: Path,
    reconstructor: jiffsdk.Reconstructor,
) -> None:
    cache = (installed_library.build_dir / "CMakeCache.txt").read_text()
    rgba = np.dstack([photograph(person()), as_bytes(person())])
    path = installed_library.build_dir / "csrc" / "examples" / "photo_to_mesh_c"
    Image.fromarray(rgba).save(tmp_path / "photo.png")
    Image.fromarray(rgba[..., :3]).save(tmp_path / "photo.jpg", quality=95)
    expected = reconstructor(rgba, resolution=32)
    if "PNG_LIBRARY_RELEASE:FILEPATH=/" in cache:
        said = run(path, bundle_dir, tmp_path / "photo.png", tmp_path / "person.glb", "32")
        assert f"{len(expected.vertices)} vertices" in said  # cut out by its alpha channel
    if re.search(r"JPEG_LIBRARY(_RELEASE)?:FILEPATH=/", cache):
        assert " vertices, " in run(path, bundle_dir, tmp_path / "photo.jpg", tmp_path / "person.glb", "32")


def test_live_loop_prints_the_latency_of_every_mesh(
    installed_library: InstalledLibrary, tmp_path: Path, bundle_dir: Path
) -> None:
    rgb = photograph(person())
    height_px, width_px = rgb.shape[:2]
    path = installed_library.build_dir / "csrc" / "examples" / "live_loop"
    finished = subprocess.run(
        [path, bundle_dir, str(width_px), str(height_px), "32"],
        input=rgb.tobytes() * 3,
        capture_output=True,
        env=dict(os.environ),
        check=True,
    )
    said = finished.stdout.decode()
    assert re.search(r"^frame 3: \d+ ms$", said, re.M)  # the newest is never left out
    assert re.search(r"^\d meshes, latency median \d+ ms, worst \d+ ms$", said, re.M)


@pytest.mark.parametrize("target", ["bundle", "image_view", "options"])
def test_fuzz_targets_survive_their_corpus_and_its_mutations(
    installed_library: InstalledLibrary, tmp_path: Path, target: str
) -> None:
    program = installed_library.build_dir / "tests" / "fuzz" / f"fuzz_{target}"
    said = run(program, ROOT / "tests" / "fuzz" / "corpus" / target, "10", cwd=tmp_path)
    assert int(said.split()[0]) > 100


def test_c_api_withstands_hostile_callers_and_eight_threads(
    installed_library: InstalledLibrary, bundle_dir: Path
) -> None:
    program = installed_library.build_dir / "tests" / "cpp" / "c_api_stress"
    assert run(program, bundle_dir, "2").strip() == "ok"
