"""What every test shares."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

import jiffsdk
from built_library import PATH, InstalledLibrary, build_and_install
from synthetic_bundle import write_bundle

# Time limits of single examples fail on a busy machine; a fixed seed keeps a run repeatable.
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")

SIMD_LEVELS = ("portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "amx_bf16")


@pytest.fixture(params=SIMD_LEVELS)
def simd_level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test at each instruction set of the kernels."""
    from jiffsdk import _core

    if request.param not in _core.supported_simd_levels():
        pytest.skip(f"this processor or build has no {request.param}")
    monkeypatch.setenv("JIFF_SIMD_LEVEL", request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic bundle; tests that change files make their own."""
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def reconstructor(bundle_dir: Path) -> jiffsdk.Reconstructor:
    return jiffsdk.Reconstructor(bundle_dir)


@pytest.fixture(scope="session")
def installed_library(tmp_path_factory: pytest.TempPathFactory) -> InstalledLibrary:
    """libjiff in a scratch prefix. JIFF_TEST_LIBRARY_DIR names a directory to build in and to keep."""
    if any(shutil.which(tool, path=PATH) is None for tool in ("cmake", "ninja")):
        pytest.skip("building libjiff needs cmake and ninja")
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("libjiff is tested with the engine OpenVINO, which is not installed")
    kept = os.environ.get("JIFF_TEST_LIBRARY_DIR")
    return build_and_install(Path(kept) if kept else tmp_path_factory.mktemp("libjiff"))


@pytest.fixture(scope="session")
def shared_library(installed_library: InstalledLibrary) -> Path:
    return installed_library.shared_library
