"""The command line: `jiff reconstruct`, `jiff info` and the commands for bundles (`bundle_commands.py`).

Exit codes: 0 done; 1 an error of another kind; 2 usage or an option that is not allowed; 3 the
photograph or mask cannot be used, or shows nobody; 4 the bundle, the engine, the GPU or a network failed;
5 the result cannot be written; 130 interrupted. Errors are one line on stderr that starts with
``jiff: error:``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from . import __version__, _core, engines
from .bundle_commands import add_commands
from .errors import (
    BundleError,
    DeviceError,
    EmptySurfaceError,
    EngineError,
    FieldError,
    ImageError,
    JiffError,
    MaskError,
    NoPersonError,
    OptionError,
    OutputError,
    core_errors,
)
from .face import Face
from .mesh_files import encoder_for
from .options import FACE_BLENDS, FACE_CHOICES, HIDDEN_COLORS, ReconstructionOptions
from .reconstructor import DEFAULT_BUNDLE, Progress, Reconstructor

EXIT_OTHER, EXIT_USAGE, EXIT_INPUT, EXIT_MODEL, EXIT_OUTPUT, EXIT_INTERRUPTED = 1, 2, 3, 4, 5, 130

_EXIT_CODES: list[tuple[type[JiffError], int]] = [
    (OptionError, EXIT_USAGE),
    (ImageError, EXIT_INPUT),
    (MaskError, EXIT_INPUT),
    (NoPersonError, EXIT_INPUT),
    (EmptySurfaceError, EXIT_INPUT),
    (BundleError, EXIT_MODEL),
    (EngineError, EXIT_MODEL),
    (DeviceError, EXIT_MODEL),
    (FieldError, EXIT_MODEL),
    (OutputError, EXIT_OUTPUT),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    parser = _parser()
    parsed, rest = parser.parse_known_args(arguments)
    if parsed.command == "export":
        parsed.rest = rest  # the exporter's own arguments
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_args, **_kwargs: _say("warning", str(message))
            parsed.run(parsed)
    except KeyboardInterrupt:
        _say("error", "interrupted; nothing was written")
        return EXIT_INTERRUPTED
    except JiffError as error:
        _say("error", str(error))
        return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), EXIT_OTHER)
    return 0


class _Parser(argparse.ArgumentParser):
    """Reports a wrong call on one line, as all other errors."""

    def error(self, message: str) -> NoReturn:
        _say("error", f"{message}; see '{self.prog} --help'")
        sys.exit(EXIT_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jiff", description="A photograph of a person in, a textured 3-D mesh out.")
    parser.add_argument("--version", action="version", version=f"jiff {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    reconstruct = commands.add_parser(
        "reconstruct",
        help="make a mesh of the person in a photograph",
        epilog=(__doc__ or "").split("\n\n")[1],
    )
    reconstruct.add_argument("photo", help="a photograph; where it has an alpha channel, that is the mask")
    reconstruct.add_argument("-o", "--output", required=True, help="mesh file to write: .glb, .ply or .obj")
    reconstruct.add_argument(
        "--resolution",
        type=int,
        default=ReconstructionOptions.resolution,
        help="cells along a side of the frame: a multiple of 32 from 32 to 1024",
    )
    reconstruct.add_argument(
        "--face",
        default=ReconstructionOptions.face,
        help=f"whether a face shapes the mesh, one of: {', '.join(FACE_CHOICES)}",
    )
    reconstruct.add_argument(
        "--face-blend",
        default=ReconstructionOptions.face_blend,
        help=f"how it joins the body, one of: {', '.join(FACE_BLENDS)}",
    )
    reconstruct.add_argument(
        "--hidden-colors",
        default=ReconstructionOptions.hidden_colors,
        help=f"colours of what the camera does not see, one of: {', '.join(HIDDEN_COLORS)}",
    )
    reconstruct.add_argument("--mask", help="image of the photograph's size that is white on the person")
    reconstruct.add_argument("--preview", help="PNG file to write with views from several sides")
    reconstruct.add_argument("-q", "--quiet", action="store_true", help="no progress and no summary")
    reconstruct.set_defaults(run=_reconstruct)

    info = commands.add_parser("info", help="show versions, the bundle and the engines found")
    info.set_defaults(run=_info)

    add_commands(commands, os.fspath(DEFAULT_BUNDLE))

    for command in (reconstruct, info):
        command.add_argument("--bundle", default=os.fspath(DEFAULT_BUNDLE), help="bundle directory")
        command.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    reconstruct.add_argument(
        "--engine", default=engines.AUTO, help=f"one of: {', '.join([engines.AUTO, *engines.NAMES])}"
    )
    reconstruct.add_argument("--threads", type=int, help="threads of the engine")
    reconstruct.add_argument(
        "--precision",
        default="auto",
        help="what networks and heads compute in: fp32, bf16 where the CPU has it; "
        "auto: heads alone in bf16; int8: heads alone in eight bits",
    )
    reconstruct.add_argument("--device", default="cpu", help="where the heads run: cpu (the default) or cuda")
    return parser


def _reconstruct(parsed: argparse.Namespace) -> None:
    # What can be seen to be wrong is said before any work is done.
    options = ReconstructionOptions(
        resolution=parsed.resolution,
        face=parsed.face,
        face_blend=parsed.face_blend,
        hidden_colors=parsed.hidden_colors,
    )
    encoder_for(parsed.output)
    for written in filter(None, (parsed.output, parsed.preview)):
        folder = Path(written).absolute().parent
        if not folder.is_dir():
            raise OutputError(f"cannot write '{written}': there is no folder '{folder}'; make it first")

    reconstructor = Reconstructor(
        parsed.bundle, parsed.engine, parsed.threads, parsed.precision, device=parsed.device
    )
    with _ProgressLine(sys.stderr, shown=not parsed.quiet and sys.stderr.isatty()) as line:
        result = reconstructor(parsed.photo, parsed.mask, progress=line.show, options=options)
    result.save(parsed.output)
    if parsed.preview:
        result.preview(parsed.preview)

    if parsed.json:
        _print_json(
            {
                "output": parsed.output,
                "preview": parsed.preview,
                "engine": reconstructor.engine,
                "precision": reconstructor.precision,
                "resolution": options.resolution,
                "num_vertices": len(result.vertices),
                "num_faces": len(result.faces),
                "size_m": result.size_m,
                "image_from_world": result.image_from_world.tolist(),
                "queries": {"asked": result.queries.asked, "ideal": result.queries.ideal},
                "timings_ms": result.timings,
                "warnings": list(result.warnings),
                "face": _face_facts(result.face),
            }
        )
    elif not parsed.quiet:
        counts = f"{len(result.vertices)} vertices, {len(result.faces)} faces"
        seconds = result.timings["total"] / 1000.0
        print(f"{parsed.output}: {counts}, face {result.face.status}, in {seconds:.2f} s")


def _face_facts(face: Face) -> dict[str, Any]:
    """What a script may want to decide by; the arrays stay in Python."""
    facts: dict[str, Any] = {"status": face.status, "box": face.box, "score": face.score}
    facts["landmarks"] = None if face.landmarks is None else face.landmarks.tolist()
    facts |= {"yaw_deg": face.yaw_deg, "pitch_deg": face.pitch_deg, "roll_deg": face.roll_deg}
    facts["residual_m"] = None if face.alignment is None else face.alignment.residual_m
    return facts


def _info(parsed: argparse.Namespace) -> None:
    with core_errors():
        bundle = _core.load_bundle(parsed.bundle)
    facts: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "cpu": {"level": _core.simd_level(), "supported": _core.supported_simd_levels()},
        "engines": engines.available(),
        "bundle": {
            "directory": bundle.directory,
            "name": bundle.name,
            "version": bundle.version,
            "license": bundle.license,
            "provenance": bundle.provenance,
            "graphs": bundle.graphs,
            "image_size_px": bundle.image_size_px,
            "face": bundle.has_face,
            "fine_color": bundle.has_fine_color,
        },
    }
    if parsed.json:
        _print_json(facts)
        return
    found = ", ".join(f"{name} {version}" for name, version in facts["engines"].items())
    print(f"jiff {__version__}, Python {facts['python']}, CPU level {facts['cpu']['level']}")
    print(f"engines: {found or 'none; pip install openvino'}")
    for key, value in facts["bundle"].items():
        print(f"bundle {key}: {', '.join(value) if isinstance(value, list) else value}")


def _say(kind: str, message: str) -> None:
    print(f"jiff: {kind}: {' '.join(message.split())}", file=sys.stderr)


def _print_json(facts: dict[str, Any]) -> None:
    print(json.dumps(facts, ensure_ascii=False))


class _ProgressLine:
    """A bar that rewrites one line of a terminal, and takes it away at the end."""

    _WIDTH = 30

    def __init__(self, stream: TextIO, shown: bool) -> None:
        self._stream = stream
        self._shown = shown

    @property
    def show(self) -> Progress | None:
        return self._draw if self._shown else None

    def _draw(self, stage: str, fraction: float) -> None:
        filled = round(fraction * self._WIDTH)
        bar = "#" * filled + "-" * (self._WIDTH - filled)
        self._stream.write(f"\r[{bar}] {100.0 * fraction:3.0f} % {stage:<14}")
        self._stream.flush()

    def __enter__(self) -> _ProgressLine:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._shown:
            self._stream.write("\r\033[K")
            self._stream.flush()
