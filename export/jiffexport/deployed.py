"""A bundle as jiffsdk runs it, in a process of its own: what its graphs see, and whole reconstructions."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .errors import VerificationError
from .verify import Example

_log = logging.getLogger("jiffexport")


def compare_engines(bundle: Path, photographs: Sequence[Path]) -> None:
    """Graphs and whole reconstructions of a bundle between all engines that run here (`jiff verify`).

    Raises
    ------
    VerificationError
        With what `jiff verify` says is wrong.
    """
    _log.info("comparing reconstructions")
    report = _jiffsdk("verify", os.fspath(bundle), "--photographs", *map(os.fspath, photographs))
    for line in json.loads(report)["notes"]:
        _log.info("%s", line)


def recorded_examples(bundle: Path, photographs: Sequence[Path]) -> dict[str, list[Example]]:
    """What the graphs of a bundle see of `photographs`, and what ONNX Runtime makes of that.

    Returns
    -------
    dict[str, list[Example]]
        By the graph's file. Graphs that no photograph reaches see noise.

    Raises
    ------
    VerificationError
        jiffsdk is not installed or refuses the bundle.
    """
    _log.info("recording what the graphs see")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "recorded.npz"
        _jiffsdk(
            "verify",
            os.fspath(bundle),
            "--record",
            os.fspath(target),
            "--photographs",
            *map(os.fspath, photographs),
        )
        with np.load(io.BytesIO(target.read_bytes())) as arrays:
            return _examples(dict(arrays))


def judge_int8(bundle: Path, photographs: Sequence[Path]) -> dict[str, str | None]:
    """What is wrong with a reconstruction if one graph alone computes in 8 bits, by its file; None: nothing.

    Raises
    ------
    VerificationError
        As `recorded_examples`.
    """
    _log.info("comparing reconstructions with one graph in 8 bits at a time")
    given = ("--resolution", "256", "--photographs", *map(os.fspath, photographs))
    answers: dict[str, str | None] = json.loads(_jiffsdk("verify", os.fspath(bundle), "--judge-int8", *given))
    return answers


def _examples(arrays: dict[str, np.ndarray]) -> dict[str, list[Example]]:
    """From keys `file|index|inputs or outputs|tensor`."""
    sides: dict[tuple[str, int], dict[str, dict[str, np.ndarray]]] = {}
    for key, values in arrays.items():
        file, index, side, tensor = key.split("|")
        found = sides.setdefault((file, int(index)), {"inputs": {}, "outputs": {}})
        found[side][tensor] = values
    examples: dict[str, list[Example]] = {}
    for (file, _), found in sorted(sides.items()):
        examples.setdefault(file, []).append(Example(found["inputs"], found["outputs"]))
    return examples


def _jiffsdk(*arguments: str) -> str:
    """What it prints, as JSON where it prints anything."""
    if find_spec("jiffsdk") is None:
        raise VerificationError("reconstructions need jiffsdk: pip install jiffsdk, or give --no-verify")
    paths = [path for path in sys.path if path]
    done = subprocess.run(
        [sys.executable, "-m", "jiffsdk", *arguments, "--json"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        said = [line for line in lines if line.startswith("jiff: error: ")] or [f"jiffsdk: {lines[-1]}"]
        raise VerificationError(said[-1].removeprefix("jiff: error: "))
    return done.stdout
