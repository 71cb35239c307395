"""Runs a program with several numbers of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def outputs_by_threads(code: str) -> list[list[str]]:
    """What `code` prints after the number of threads it has, by words: with 1, 2 and 5 of them.

    It may import what stands beside the tests.
    """
    path = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    outputs = []
    for num_threads in ("1", "2", "5"):
        environment = {**os.environ, "JIFF_NUM_THREADS": num_threads, "PYTHONPATH": path}
        given, *words = subprocess.run(
            [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()
        assert given == num_threads
        outputs.append(words)
    return outputs
