"""`jiff export`, `jiff verify` and `jiff bench`: making bundles and looking after them."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from . import verification
from .errors import JiffError, OptionError

_CHECKOUT = Path(__file__).resolve().parents[2]


class ExportFailed(JiffError):
    """The exporter ended with an error, which it printed."""


def add_commands(commands: Any, default_bundle: str) -> None:
    """Adds the parsers to those of `jiff`."""
    export = commands.add_parser(
        "export",
        help="build a bundle from checkpoints, or add formats to one (needs torch)",
        description="The same as export/build_engines.py, whose arguments it takes: jiff export --help",
        add_help=False,
    )
    export.set_defaults(run=_export)

    verify = commands.add_parser(
        "verify", help="compare the graphs and reconstructions of a bundle between all engines that run here"
    )
    verify.add_argument("--record", type=Path, help=argparse.SUPPRESS)  # what the exporter verifies with
    verify.add_argument("--judge-int8", action="store_true", help=argparse.SUPPRESS)  # what it leaves out
    verify.set_defaults(run=_verify)

    bench = commands.add_parser("bench", help="latency of a bundle's graphs on all engines that run here")
    bench.add_argument("--runs", type=int, default=5, help="runs of a graph, of which the median counts")
    bench.set_defaults(run=_bench)

    for command in (verify, bench):
        command.add_argument("bundle", nargs="?", default=default_bundle, help="bundle directory")
        command.add_argument(
            "--photographs",
            nargs="+",
            metavar="FILE",
            help="pictures of people (default: those in examples/)",
        )
        command.add_argument("--resolution", type=int, default=128, help="of the reconstructions")
        command.add_argument("--json", action="store_true", help="print the facts as one JSON object")


def _export(parsed: argparse.Namespace) -> None:
    paths = [path for path in (_CHECKOUT / "export",) if (path / "jiffexport").is_dir()]
    if not paths and importlib.util.find_spec("jiffexport") is None:
        raise OptionError(
            "the exporter is not here; it is in the folder export/ of the source checkout and needs "
            "pip install 'jiffsdk[export]'"
        )
    if importlib.util.find_spec("torch") is None:
        raise OptionError("the exporter needs torch; pip install 'jiffsdk[export]'")
    search = [*map(os.fspath, paths), *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(search)}
    code = subprocess.run([sys.executable, "-m", "jiffexport", *parsed.rest], env=environment).returncode
    if code != 0:
        raise ExportFailed(f"the export failed (exit code {code}); no bundle was written")


def _verify(parsed: argparse.Namespace) -> None:
    photographs = _photographs(parsed)
    if parsed.record is not None:
        seen, _ = verification.record(parsed.bundle, photographs, parsed.resolution)
        np.savez(parsed.record, **_flat(verification.with_noise(parsed.bundle, seen)))
        return
    if parsed.judge_int8:
        print(json.dumps(verification.judge_int8(parsed.bundle, photographs, parsed.resolution)))
        return
    report = verification.verify(parsed.bundle, photographs, parsed.resolution)
    if parsed.json:
        print(json.dumps(asdict(report)))
        return
    print(f"{'graph':24} {'engine':30} {'inputs':11}  max error  relative       rms   ms here")
    for graph in report.graphs:
        engine = f"{graph.engine} {graph.device} {graph.precision}"
        errors = f"{graph.max_abs_error:9.1e} {graph.max_rel_error:9.1e} {graph.rms_rel_error:9.1e}"
        print(f"{graph.graph:24} {engine:30} {graph.inputs:11}  {errors} {graph.ms:9.1f}")
    for surface in report.surfaces:
        engine = f"{surface.engine} {surface.device} {surface.precision}"
        print(
            f"{Path(surface.photograph).name:24} {engine:30} surface {surface.mean_voxels:.4f} voxels "
            f"(at most {surface.max_voxels:.2f}), colour {surface.mean_color:.5f}"
        )
    for note in report.notes:
        print(note)
    _print_skipped(report.skipped)
    print(f"{parsed.bundle}: all engines that run here agree with onnxruntime in fp32")


def _bench(parsed: argparse.Namespace) -> None:
    if parsed.runs < 1:
        raise OptionError(f"--runs must be 1 or more, got {parsed.runs}")
    rows, skipped = verification.measure(
        parsed.bundle, _photographs(parsed, needed=False), parsed.resolution, parsed.runs
    )
    if parsed.json:
        records = [
            {
                "graph": Path(file).stem,
                "engine": engine.name,
                "device": engine.device,
                "precision": engine.precision,
                "ms": ms,
            }
            for file, engine, ms in rows
        ]
        print(json.dumps({"latencies": records, "skipped": [asdict(each) for each in skipped]}))
        return
    ways = list(dict.fromkeys(f"{engine.name} {engine.device} {engine.precision}" for _, engine, _ in rows))
    table: dict[str, dict[str, float]] = {}
    for file, engine, ms in rows:
        table.setdefault(Path(file).stem, {})[f"{engine.name} {engine.device} {engine.precision}"] = ms
    widths = [max(len(way), 10) for way in ways]
    print(f"{'ms, median':24} " + "  ".join(f"{w:>{n}}" for w, n in zip(ways, widths, strict=True)))
    for graph, times in table.items():
        print(f"{graph:24} " + "  ".join(f"{times[w]:{n}.1f}" for w, n in zip(ways, widths, strict=True)))
    _print_skipped(skipped)


def _print_skipped(skipped: list[verification.Skipped]) -> None:
    for each in skipped:
        print(f"not run: {each.engine} {each.device} {each.precision}: {each.reason}")


def _photographs(parsed: argparse.Namespace, needed: bool = True) -> list[str]:
    if parsed.photographs:
        return list(parsed.photographs)
    examples = _CHECKOUT / "examples"
    found = sorted(os.fspath(path) for path in examples.glob("*") if path.suffix in (".jpg", ".png"))
    if needed and not found:
        raise OptionError("give pictures of people: --photographs FILE ...")
    return found


def _flat(examples: dict[str, list[verification.Example]]) -> dict[str, Any]:
    """Keys `file|index|inputs or outputs|tensor`."""
    return {
        f"{file}|{index}|{side}|{name}": values
        for file, seen in examples.items()
        for index, example in enumerate(seen)
        for side, tensors in zip(("inputs", "outputs"), example, strict=True)
        for name, values in tensors.items()
    }
