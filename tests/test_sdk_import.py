"""Importing is quick and brings nothing heavy; torch never comes in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jiffsdk

SDK_DIR = Path(jiffsdk.__file__).parent.parent
TESTS_DIR = Path(__file__).parent
MOST_IMPORT_SECONDS = 0.5


def run_apart(script: str) -> Any:
    """Runs `script` in a fresh interpreter and returns the JSON that it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(SDK_DIR), str(TESTS_DIR)])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_takes_under_half_a_second_beyond_numpy() -> None:
    script = (
        "import json, time, numpy, numpy.typing\n"
        "begin = time.perf_counter()\n"
        "import jiffsdk, jiffsdk.cli\n"
        "print(json.dumps(time.perf_counter() - begin))\n"
    )
    # The best of three: other programs on the machine slow some runs, none makes one faster.
    assert min(run_apart(script) for _ in range(3)) < MOST_IMPORT_SECONDS


def test_import_brings_no_heavy_package() -> None:
    script = "import json, sys, jiffsdk, jiffsdk.cli\nprint(json.dumps(sorted(sys.modules)))"
    loaded = set(run_apart(script))
    assert "numpy" in loaded
    assert not loaded & {"torch", "openvino", "onnxruntime", "trimesh", "PIL", "scipy", "onnx", "skimage"}


def test_a_reconstruction_never_imports_torch(bundle_dir: Path, tmp_path: Path) -> None:
    script = (
        "import json, sys, jiffsdk\n"
        "from figures import person, photograph\n"
        f"result = jiffsdk.Reconstructor({str(bundle_dir)!r})(photograph(person()), resolution=64)\n"
        f"result.save({str(tmp_path / 'person.glb')!r})\n"
        f"result.preview({str(tmp_path / 'person.png')!r})\n"
        "assert result.mesh.is_watertight\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    loaded = set(run_apart(script))
    assert {"jiffsdk", "openvino", "trimesh", "PIL"} <= loaded
    assert not loaded & {"torch", "jiffexport", "training", "onnx"}
