"""The layers stay apart: what includes or imports what."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
SOURCE_SUFFIXES = {".c", ".h", ".hpp", ".cpp", ".cu", ".cuh", ".inl"}
LAYERS = {"core", "engine", "ops", "preprocess", "pipeline", "io", "api", "include", "examples"}

# Layers that each layer may include besides itself.
ALLOWED = {
    "core": set(),
    "engine": {"core"},
    "ops": {"core"},
    "io": {"core"},
    "preprocess": {"core"},
    "pipeline": {"core", "engine", "io", "ops", "preprocess"},
    "api": {"core", "engine", "io", "pipeline"},
    "include": set(),
    "examples": set(),
}
VENDOR_HEADER = re.compile(r"openvino|onnxruntime|NvInfer|NvOnnx|tensorrt|torch/|ATen/|c10/", re.IGNORECASE)
VENDORS = {"openvino", "onnxruntime", "torchscript"}
OWN_ENGINE_HEADERS = {f"engine/{vendor}.h" for vendor in VENDORS}
PYTHON_HEADER = re.compile(r"pybind11|Python\.h|numpy/|nanobind")


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES)


def includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def imports(path: Path) -> set[str]:
    """Top-level packages that a Python file imports absolutely, also inside of functions."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            packages.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            target = node.args[0]
            if isinstance(target, ast.Constant):
                packages.add(str(target.value).split(".")[0])
    return packages


def python_files(folder: str) -> list[Path]:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, f"no Python under {folder}: this test looks at the wrong place"
    return files


@pytest.mark.parametrize("layer", ALLOWED)
def test_core_layers_include_only_what_lies_below(layer: str) -> None:
    found = sources(CSRC / layer)
    assert found
    for path in found:
        for header in includes(path):
            top = header.split("/")[0]
            if top in LAYERS and top != layer:
                assert top in ALLOWED[layer], f"{path.relative_to(ROOT)} includes {header}"


def test_every_folder_of_the_core_has_its_rule() -> None:
    folders = {path.name for path in CSRC.iterdir() if path.is_dir()}
    assert folders == set(ALLOWED)


def test_own_headers_are_included_by_their_layer() -> None:
    # A bare "x.h" would slip past the rules above.
    own = {path.name for path in sources(CSRC)}
    for path in sources(CSRC):
        for header in includes(path):
            assert "/" in header or header not in own, f"{path.relative_to(ROOT)} includes {header}"


def test_the_core_does_not_know_python() -> None:
    for path in sources(CSRC):
        for header in includes(path):
            assert not PYTHON_HEADER.search(header), f"{path.relative_to(ROOT)} includes {header}"


def test_vendor_headers_stay_in_their_engines_file() -> None:
    for path in sources(CSRC):
        if path.parent.name == "engine" and path.suffix == ".cpp" and path.stem in VENDORS:
            continue
        for header in includes(path):
            assert not VENDOR_HEADER.search(header) or header in OWN_ENGINE_HEADERS, (
                f"{path.relative_to(ROOT)} includes {header}"
            )


def test_the_c_header_knows_c_alone() -> None:
    header = CSRC / "include" / "jiff" / "jiff.h"
    assert set(includes(header)) == {"stddef.h", "stdint.h", "jiff/version.h"}
    assert set(includes(header.with_suffix(".hpp"))) & {"jiff/jiff.h"}
    assert not re.search(r"std::|cudaStream|at::", header.read_text())


def test_headers_have_no_using_namespace() -> None:
    for path in sources(CSRC):
        if path.suffix in {".h", ".hpp", ".cuh"}:
            assert "using namespace" not in path.read_text(), path.relative_to(ROOT)


def test_bindings_hold_no_algorithm() -> None:
    # Converting needs no mathematics and little room.
    for path in sources(ROOT / "bindings"):
        assert len(path.read_text().splitlines()) < 300, path.relative_to(ROOT)
        assert "cmath" not in includes(path), path.relative_to(ROOT)


def test_the_sdk_imports_neither_export_nor_training_and_torch_in_its_engine_alone() -> None:
    for path in python_files("sdk"):
        torch = set() if path.name == "torchscript.py" and path.parent.name == "engines" else {"torch"}
        forbidden = imports(path) & (torch | {"jiffexport", "training"})
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


def test_export_imports_neither_training_nor_the_sdk() -> None:
    for path in python_files("export"):
        assert not imports(path) & {"training", "jiffsdk"}, path.relative_to(ROOT)


def test_vendor_packages_stay_in_their_engines_file() -> None:
    for path in python_files("sdk"):
        vendors = {"openvino", "onnxruntime", "tensorrt", "tensorrt_rtx_bindings", "cuda"}
        own = {"cuda"} if path.name == "cuda_memory.py" else {path.stem}
        forbidden = imports(path) & vendors - own
        assert not forbidden, f"{path.relative_to(ROOT)} imports {forbidden}"


@pytest.mark.parametrize("folder", ["csrc", "bindings", "sdk", "export", "training", "tests"])
def test_no_file_is_overlong_or_vaguely_named(folder: str) -> None:
    for path in (ROOT / folder).rglob("*"):
        if path.suffix not in SOURCE_SUFFIXES | {".py"}:
            continue
        assert len(path.read_text().splitlines()) <= 650, path.relative_to(ROOT)
        assert not re.search(r"util|helper|manager", path.name, re.IGNORECASE), path.relative_to(ROOT)
