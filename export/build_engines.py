#!/usr/bin/env python3
"""Builds a bundle from trained checkpoints.

    python export/build_engines.py --shape shape.pt --color color.pt --segmentation modnet.onnx \\
        --face-detection facenet_pytorch-2.6.0-py3-none-any.whl --out bundle/ \\
        --face-model face_model.safetensors --face-regressor face_regressor.pt --face-shape face_shape.pt \\
        --fine-color fine_color.pt

Without --shape and --color, the face detector, the face or both are added to a bundle that exists, or
replaced there:

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

from jiffexport.assemble import BuildOptions, build_bundle, extend_bundle
from jiffexport.errors import ExportError
from jiffexport.exported_graph import ExportedGraph
from jiffexport.face_assembly import FaceSources
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
    parser.add_argument("--face-model", type=Path, help="face model (.safetensors)")
    parser.add_argument("--face-regressor", type=Path, help="checkpoint of the face's coefficients (.pt)")
    parser.add_argument("--face-shape", type=Path, help="checkpoint of the face's volume and head (.pt)")
    parser.add_argument("--fine-color", type=Path, help="fine colour checkpoint (.pt); needs the face")
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
    face = (arguments.face_model, arguments.face_regressor, arguments.face_shape)
    if any((*face, arguments.fine_color)) and not all(face):
        parser.error("a face needs --face-model, --face-regressor and --face-shape")
    extends = arguments.face_detection or all(face)
    if not (arguments.shape and arguments.color) and (
        arguments.shape or arguments.color or arguments.segmentation or not extends
    ):
        parser.error("give --shape and --color, or --face-detection or a face alone to add it to a bundle")
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
    print("graph                opset stored     MB  engine      max error  relative  ms here")
    for graph in graphs:
        start = f"{graph.name:20} {OPSET:5d} {graph.stored:6} {len(graph.model) / 1e6:6.2f}"
        for report in graph.reports:
            errors = f"{report.max_abs_error:9.1e} {report.max_rel_error:9.1e}"
            print(f"{start}  {report.engine:11} {errors} {report.ms:8.1f}")
            start = " " * len(start)


def build(arguments: argparse.Namespace) -> list[ExportedGraph]:
    photographs = tuple(arguments.photographs or example_photographs())
    face = None
    if arguments.face_model is not None:
        face = FaceSources(
            arguments.face_model, arguments.face_regressor, arguments.face_shape, arguments.fine_color
        )
    if arguments.shape is None:
        return extend_bundle(arguments.out, photographs, arguments.face_detection, face, arguments.store)
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
            face=face,
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
