"""Builds a bundle from trained checkpoints.

    python export/build_engines.py --shape shape.pt --color color.pt --segmentation modnet.onnx \\
        --face-detection facenet_pytorch-2.6.0-py3-none-any.whl --out bundle/ \\
        --face-model face_model.safetensors --face-regressor face_regressor.pt --face-shape face_shape.pt \\
        --fine-color fine_color.pt

Checkpoints are ours or the published ones: netG or net_G as --shape (and --face-shape), netC_coarse or net_C
as --color, netC as --fine-color.

Without --shape and --color, the face detector, the face or both are added to a bundle that exists, or
replaced there; with nothing but formats, the graphs of a bundle get these:

    python export/build_engines.py --face-detection facenet_pytorch-2.6.0-py3-none-any.whl --out bundle/
    python export/build_engines.py --out bundle/ --formats onnx,torchscript,tensorrt --precision fp32,fp16 \\
        --sm 75,86,89

Every graph in every form is run on photographs by every engine that runs here, in a clean process, and
compared with torch; then whole reconstructions are compared between the engines. The bundle is written only
if all of it holds. The table at the end says what was built.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from .assemble import BuildOptions, add_formats, build_bundle, extend_bundle
from .deployed import compare_engines, judge_int8, recorded_examples
from .errors import ExportError
from .exported_graph import ExportedGraph
from .face_assembly import FaceSources
from .formats import FORMATS, PRECISIONS, FormatOptions
from .report import as_records, table

REPOSITORY = Path(__file__).resolve().parents[2]

_Value = TypeVar("_Value")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="build_engines", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", type=Path, help="shape checkpoint")
    parser.add_argument("--color", type=Path, help="colour checkpoint")
    parser.add_argument("--segmentation", type=Path, help="MODNet's ONNX file, its LICENSE beside it")
    parser.add_argument(
        "--face-detection", type=Path, help="wheel of facenet-pytorch 2.6.0 or the folder it is installed in"
    )
    parser.add_argument("--face-model", type=Path, help="face model (.safetensors)")
    parser.add_argument("--face-regressor", type=Path, help="checkpoint of the face's coefficients")
    parser.add_argument(
        "--face-shape", type=Path, help="checkpoint of the face's volume and head; default: that of --shape"
    )
    parser.add_argument("--fine-color", type=Path, help="fine colour checkpoint; needs the face")
    parser.add_argument(
        "--out", type=Path, required=True, help="bundle directory; an older bundle is replaced"
    )
    parser.add_argument(
        "--formats", type=_list_of(str), default=("onnx",), help=f"of {','.join(FORMATS)}; default: onnx"
    )
    parser.add_argument(
        "--precision", type=_list_of(str), default=("fp32",), help=f"of {','.join(PRECISIONS)}; default: fp32"
    )
    parser.add_argument(
        "--sm", type=_list_of(int), default=(), help="compute capabilities of TensorRT engines, as 75,86,89"
    )
    parser.add_argument(
        "--heads", action="store_true", help="the implicit functions as graphs as well, beside their weights"
    )
    parser.add_argument("--timing-cache", type=Path, help="file that TensorRT keeps its timings in")
    parser.add_argument(
        "--store", choices=("fp16", "fp32"), default="fp16", help="weights on disk, but a face detector's"
    )
    parser.add_argument("--name", default="compact", help="name of the bundle")
    parser.add_argument(
        "--photographs", type=Path, nargs="+", metavar="FILE",
        help="pictures to verify with (default: those in examples/)",
    )  # fmt: skip
    parser.add_argument(
        "--verify", action=argparse.BooleanOptionalAction, default=True, help="default: verify"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")
    arguments = parser.parse_args(argv)
    if arguments.face_model and not arguments.face_shape:
        arguments.face_shape = arguments.shape
    face = (arguments.face_model, arguments.face_regressor, arguments.face_shape)
    if any((*face, arguments.fine_color)) and not all(face):
        parser.error("a face needs --face-model, --face-regressor and --face-shape")
    extends = arguments.face_detection or all(face) or _asks_for_formats(arguments)
    if not (arguments.shape and arguments.color) and (
        arguments.shape or arguments.color or arguments.segmentation or not extends
    ):
        parser.error(
            "give --shape and --color, or --face-detection, a face or --formats alone to add to a bundle"
        )
    return arguments


def build(arguments: argparse.Namespace) -> list[ExportedGraph]:
    photographs = tuple(arguments.photographs or example_photographs())
    formats = FormatOptions(
        arguments.formats,
        arguments.precision,
        tuple(arguments.sm),
        arguments.timing_cache,
        arguments.heads,
    )
    formats.check()

    def check(bundle: Path) -> None:
        compare_engines(bundle, photographs)

    final_check = check if arguments.verify else None
    face = None
    if arguments.face_model is not None:
        face = FaceSources(
            arguments.face_model, arguments.face_regressor, arguments.face_shape, arguments.fine_color
        )
    if formats.wants_int8 and (arguments.shape or arguments.face_detection or face):
        raise ExportError(
            "8 bits are chosen by what photographs become, so they are added to a finished bundle: give "
            "--out BUNDLE --formats onnx --precision int8 alone"
        )
    if arguments.shape is not None:
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
                formats=formats,
                verify=arguments.verify,
                check=final_check,
            )
        )
    if arguments.face_detection is None and face is None:
        examples = recorded_examples(arguments.out, photographs) if arguments.verify else None
        return add_formats(
            arguments.out,
            formats,
            examples,
            final_check,
            lambda bundle: judge_int8(bundle, photographs),
            arguments.store,
        )
    return extend_bundle(
        arguments.out,
        photographs,
        arguments.face_detection,
        face,
        arguments.store,
        formats,
        arguments.verify,
        final_check,
    )


def example_photographs() -> list[Path]:
    folder = REPOSITORY / "examples"
    return sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    log = logging.getLogger("jiffexport")
    progress = logging.StreamHandler()
    progress.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(progress)
    log.setLevel(logging.WARNING if arguments.quiet else logging.INFO)
    try:
        graphs = build(arguments)
    except ExportError as error:
        print(f"build_engines: {error}", file=sys.stderr)
        return 1
    finally:
        log.removeHandler(progress)
    if arguments.json:
        print(json.dumps({"bundle": str(arguments.out), "graphs": as_records(graphs)}, indent=2))
    else:
        print(table(graphs))
        print(f"bundle written to {arguments.out}")
    return 0


def _asks_for_formats(arguments: argparse.Namespace) -> bool:
    plain = tuple(arguments.formats) == ("onnx",) and tuple(arguments.precision) == ("fp32",)
    return arguments.heads or not plain


def _list_of(kind: Callable[[str], _Value]) -> Callable[[str], tuple[_Value, ...]]:
    def parse(text: str) -> tuple[_Value, ...]:
        return tuple(kind(part.strip()) for part in text.split(",") if part.strip())

    parse.__name__ = f"comma-separated {kind.__name__}"  # for argparse's message
    return parse
