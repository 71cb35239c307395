"""The kernels compile where nvcc is, and none spills registers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cuda_resources import parse

ROOT = Path(__file__).parent.parent
# The RTX 2080 Ti; JIFF_TEST_CUDA_ARCHITECTURES="75 80 86 89 90" compiles for all, which takes minutes.
ARCHITECTURES = os.environ.get("JIFF_TEST_CUDA_ARCHITECTURES", "75").split()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", ["csrc/ops/head_query.cu"])
def test_query_kernels_compile_without_warnings_and_do_not_spill(
    source: str, architecture: str, tmp_path: Path
) -> None:
    finished = subprocess.run(
        [
            "nvcc", "-std=c++17", "-O3", "--fmad=false", f"-arch=sm_{architecture}", "-Xptxas", "-v",
            "-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra", f"-I{ROOT / 'csrc'}",
            "-c", str(ROOT / source), "-o", str(tmp_path / "object.o"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    kernels = {row.kernel: row for row in parse(finished.stderr)}
    tensor_core = [row for name, row in kernels.items() if "query_on_tensor_cores" in name]
    assert len(tensor_core) == 5, sorted(kernels)
    for row in kernels.values():
        assert row.spilled_bytes == 0, row
    for row in tensor_core:
        assert row.stack_bytes == 0 and row.registers <= 255, row
        assert row.architecture == f"sm_{architecture}"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
def test_warpgroups_neither_spill_nor_wait_for_each_product(tmp_path: Path) -> None:
    finished = subprocess.run(
        [
            "nvcc", "-std=c++17", "-O3", "--fmad=false", "-gencode=arch=compute_90a,code=sm_90a",
            "-Xptxas", "-v", "-Werror=all-warnings", "-Xcompiler=-Wall,-Wextra", f"-I{ROOT / 'csrc'}",
            "-c", str(ROOT / "csrc" / "ops" / "warpgroup_query.cu"), "-o", str(tmp_path / "object.o"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    rows = parse(finished.stderr)
    assert len(rows) == 2, rows  # with and without features of points
    for row in rows:
        assert (row.architecture, row.spilled_bytes, row.stack_bytes) == ("sm_90a", 0, 0), row
    # What ptxas says where it cannot keep products under way, or takes no notice of setmaxnreg.
    assert not re.search(r"wgmma.*serialized|setmaxnreg.*ignored", finished.stderr), finished.stderr


def test_what_ptxas_prints_is_understood() -> None:
    log = """
ptxas info    : Compiling entry function '_Z3onev' for 'sm_75'
ptxas info    : Function properties for _Z3onev
    16 bytes stack frame, 24 bytes spill stores, 48 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 1024 bytes smem, 568 bytes cmem[0]
ptxas info    : Compiling entry function '_Z3twov' for 'sm_90'
ptxas info    : Function properties for _Z3twov
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 16 registers, used 0 barriers, 384 bytes cmem[0]
"""
    one, two = parse(log)
    assert (one.kernel, one.registers, one.spilled_bytes, one.stack_bytes) == ("_Z3onev", 255, 72, 16)
    assert (one.shared_bytes, two.shared_bytes, two.spilled_bytes) == (1024, 0, 0)
    assert two.architecture == "sm_90"
