#!/usr/bin/env python3
"""Builds a bundle from trained checkpoints.

    python export/build_engines.py --shape shape.pt --color color.pt --segmentation modnet.onnx \\
        --face-detection facenet_pytorch-2.6.0-py3-none-any.whl --out bundle/

Without checkpoints, the face detector alone is added to a bundle that exists, or replaced there:

    python export/build_engines.py --face-detection facenet_pytorch-2.6.0-py3-none-any.whl --out bundle/

Every graph is run on photographs by every installed engine and compared with torch before the bundle is
written; the table at the end says how they fared.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from jiffexport.assemble import BuildOptions, ExportedGraph, add_face_detection, build_bundle
from jiffexport.errors import ExportError
from jiffexport.onnx_graph import OPSET

REPOSITORY = Path(__file__).resolve().parent.parent


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=Path, help="shape checkpoint (.pt)")
    parser.add_argument("--color", type=Path, help="colour checkpoint (.pt)")
    parser.add_argument("--segmentation", type=Path, help="MODNet's ONNX file, its LICENSE beside it")
    parser.add_argument(
        "--face-detection", type=Path, help="wheel of facenet-pytorch 2.6.0 or the folder it is installed in"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="bundle directory; an older bundle is replaced"
    )
    parser.add_argument(
        "--store", choices=("fp16", "fp32"), default="fp16", help="weights on disk, but a face detector's"
    )
    parser.add_argument("--name", default="compact", help="name of the bundle")
    parser.add_argument(
        "--photographs", type=Path, nargs="+", metavar="FILE",
        help="pictures to verify with (default: those in examples/)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    arguments = parser.parse_args(argv)
    adds_faces = arguments.face_detection and not (
        arguments.shape or arguments.color or arguments.segmentation
    )
    if not adds_faces and not (arguments.shape and arguments.color):
        parser.error("give --shape and --color, or --face-detection alone to add it to a bundle")
    return arguments


def example_photographs() -> list[Path]:
    folder = REPOSITORY / "examples"
    return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))


def as_records(graphs: list[ExportedGraph]) -> list[dict]:
    return [
        {
            "graph": graph.name,
            "opset": OPSET,
            "stored": graph.stored,
            "num_bytes": len(graph.model),
            "engines": [asdict(report) for report in graph.reports],
        }
        for graph in graphs
    ]


def print_table(graphs: list[ExportedGraph]) -> None:
    print("graph           opset stored     MB  engine      max error  relative  ms here")
    for graph in graphs:
        start = f"{graph.name:15} {OPSET:5d} {graph.stored:6} {len(graph.model) / 1e6:6.2f}"
        for report in graph.reports:
            errors = f"{report.max_abs_error:9.1e} {report.max_rel_error:9.1e}"
            print(f"{start}  {report.engine:11} {errors} {report.ms:8.1f}")
            start = " " * len(start)


def build(arguments: argparse.Namespace) -> list[ExportedGraph]:
    photographs = tuple(arguments.photographs or example_photographs())
    if arguments.shape is None:
        return add_face_detection(arguments.out, arguments.face_detection, photographs)
    return build_bundle(
        BuildOptions(
            shape=arguments.shape,
            color=arguments.color,
            out=arguments.out,
            photographs=photographs,
            version=(REPOSITORY / "VERSION").read_text().strip(),
            name=arguments.name,
            segmentation=arguments.segmentation,
            face_detection=arguments.face_detection,
            store=arguments.store,
        )
    )


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    try:
        graphs = build(arguments)
    except ExportError as error:
        print(f"build_engines: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"bundle": str(arguments.out), "graphs": as_records(graphs)}, indent=2))
    else:
        print_table(graphs)
        print(f"bundle written to {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
