"""The tests of the GPU and of AMX where there is neither: on kernels whose instructions the processor plays.

See tests/cuda_emulation and tests/amx_emulation.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from built_library import PATH, ROOT, engine_options, run
from jiffsdk import _core

GPU_TESTS = sorted((ROOT / "tests").glob("test_cuda_*.py"))
AMX_TESTS = ("tests/test_ops_implicit_query.py", "tests/test_ops_joint_query.py")


@pytest.fixture(scope="module")
def emulated_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with jiffsdk whose kernels are emulated. JIFF_TEST_EMULATED_DIR names one to keep."""
    if platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the emulation switches stacks of x86-64")
    if any(shutil.which(tool, path=PATH) is None for tool in ("cmake", "ninja")):
        pytest.skip("building the emulation needs cmake and ninja")
    kept = os.environ.get("JIFF_TEST_EMULATED_DIR")
    directory = Path(kept) if kept else tmp_path_factory.mktemp("emulated")
    package = directory / "package" / "jiffsdk"
    package.mkdir(parents=True, exist_ok=True)
    for path in (ROOT / "sdk" / "jiffsdk").iterdir():
        link = package / path.name
        if not path.name.startswith("_core.") and not link.exists():
            link.symlink_to(path)
    run(
        "cmake", "-S", ROOT, "-B", directory / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        "-DJIFF_CUDA=EMULATED", "-DJIFF_AMX=EMULATED", f"-DPython_EXECUTABLE={sys.executable}",
        "-DJIFF_BUILD_LIBRARY=ON",
        "-DJIFF_BUILD_STATIC=OFF", *engine_options(),
        f"-DJIFF_PYTHON_OUTPUT_DIR={package}",
    )  # fmt: skip
    run("cmake", "--build", directory / "build", "-j", "2")
    return package.parent


def run_tests(package: Path, *arguments: str, **settings: str) -> str:
    """Runs pytest on the emulated package; its output. Fails when a test failed or none ran."""
    paths = [str(package), str(ROOT / "export"), str(ROOT / "tests"), str(ROOT)]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", f"pythonpath={' '.join(paths)}", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "JIFF_CUDA_LIBRARY": str(package.parent / "build" / "libjiff.so"),
            **settings,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.mark.parametrize("path", GPU_TESTS, ids=lambda path: path.stem)
def test_kernels_as_on_an_rtx_2080_ti(emulated_package: Path, path: Path) -> None:
    assert " passed" in run_tests(emulated_package, str(path), JIFF_EMULATED_GPU="75")


@pytest.mark.parametrize("order", ["forward", "reverse", "7"])
def test_heads_on_the_warpgroups_of_an_h100(emulated_package: Path, order: str) -> None:
    settings = {"JIFF_EMULATED_GPU": "90", "JIFF_EMULATION_ORDER": order}
    assert " passed" in run_tests(emulated_package, "tests/test_cuda_heads.py", **settings)


@pytest.mark.skipif(
    "avx512_bf16" not in _core.supported_simd_levels(),
    reason="the kernel of AMX rounds by an instruction that this processor lacks",
)
def test_kernels_of_amx_tiles(emulated_package: Path) -> None:
    output = run_tests(emulated_package, *AMX_TESTS, "-k", "amx_bf16", JIFF_EMULATED_AMX="1")
    assert " passed" in output and " skipped" not in output


@pytest.mark.parametrize("order", ["reverse", "7"])
def test_threads_between_barriers_may_run_in_any_order(emulated_package: Path, order: str) -> None:
    paths = [str(path) for path in GPU_TESTS if path.stem not in ("test_cuda_pipeline", "test_cuda_library")]
    assert " passed" in run_tests(emulated_package, *paths, JIFF_EMULATION_ORDER=order)
