"""What is said where no GPU serves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gpu import EMULATED
from jiffsdk import _core

CODE = """
from jiffsdk import _core
try:
    print("found", _core.cuda_device())
except _core.Error as error:
    print(error.code, error)
"""


def answer_on(gpu: str) -> str:
    """What a process on an emulated GPU says of it."""
    import os

    environment = {**os.environ, "JIFF_EMULATED_GPU": gpu, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.skipif(not EMULATED, reason="needs the emulated GPU: a real one cannot be taken away")
@pytest.mark.parametrize(
    ("gpu", "said"),
    [
        ("none", "device no CUDA GPU is there (cudaErrorNoDevice); check nvidia-smi"),
        ("old_driver", "driver is for CUDA 12.4, this build needs 13.0; update NVIDIA's driver"),
        ("old", "has compute capability 6.1, 7.5 is needed"),
        ("75", "found {'name': 'emulated', 'compute_capability': 75"),
    ],
)
def test_a_gpu_that_does_not_serve_is_named_with_the_remedy(gpu: str, said: str) -> None:
    assert said in answer_on(gpu)


@pytest.mark.skipif(_core.cuda_build != "cuda", reason="needs a build with CUDA")
def test_a_build_with_cuda_runs_where_no_gpu_is() -> None:
    import os

    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("device no CUDA"), said
    assert "device='cpu'" in said


@pytest.mark.skipif(_core.cuda_build != "none", reason="this build has CUDA")
def test_a_build_without_cuda_says_so() -> None:
    import jiffsdk

    with pytest.raises(jiffsdk.DeviceError, match="has no CUDA; build it with JIFF_CUDA=ON"):
        jiffsdk.Reconstructor(device="cuda")
    with pytest.raises(jiffsdk.OptionError, match="device must be one of 'cpu', 'cuda', got 'gpu'"):
        jiffsdk.Reconstructor(device="gpu")
