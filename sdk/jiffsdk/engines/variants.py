"""Other forms of a graph that lie beside its ONNX file in a bundle (docs/bundle.md, Variants)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EngineError

Variant = dict[str, Any]
INT8 = ("onnx", "int8")

_BUILD = "python export/build_engines.py --out '{bundle}' --formats onnx,{format} --precision {precision}"


def find_variants(path: str, format: str, precision: str) -> list[tuple[Path, Variant]]:
    """Files and entries of the forms of the graph at `path`; at least one.

    Raises
    ------
    EngineError
        When the bundle has none, with the command that makes it.
    """
    found = _variants(Path(path), format, precision)
    if not found:
        raise EngineError(
            f"'{path}' has no {format} of {precision} in its bundle; "
            f"{rebuild_command(Path(path).parent, format, precision)}"
        )
    return found


def find_int8(path: str) -> Path:
    """The form in 8 bits of the graph at `path`, or the graph itself where its bundle keeps that in float32.

    Raises
    ------
    EngineError
        When the bundle has no graph in 8 bits, with the command that makes them.
    """
    onnx = Path(path)
    if INT8 not in formats_of(onnx.parent):
        raise EngineError(
            f"the bundle of '{path}' has no graph in int8; {rebuild_command(onnx.parent, *INT8)}"
        )
    found = _variants(onnx, *INT8)
    return found[0][0] if found else onnx


def _variants(onnx: Path, format: str, precision: str) -> list[tuple[Path, Variant]]:
    return [
        (onnx.parent / variant["file"], variant)
        for entry in _graphs(_manifest(onnx))
        if entry["file"] == onnx.name
        for variant in entry.get("variants", [])
        if variant["format"] == format and variant["precision"] == precision
    ]


def rebuild_command(bundle: Path, format: str, precision: str, capability: int | None = None) -> str:
    """What makes a form, for messages."""
    sm = "" if format != "tensorrt" else f" --sm {capability or '75,86,89'}"
    return _BUILD.format(bundle=bundle, format=format, precision=precision) + sm


def formats_of(bundle: Path) -> set[tuple[str, str]]:
    """Format and precision of every form that all graphs of a bundle have, besides ONNX in float32.

    8 bits count if any graph has them: where they would move the surface they are left out.
    """
    forms = [
        {(variant["format"], variant["precision"]) for variant in entry.get("variants", [])}
        for entry in _graphs(_manifest(bundle / "bundle.json"))
    ]
    return set.intersection(*forms) | (set.union(*forms) & {INT8}) if forms else set()


def graph_files(bundle: Path) -> list[str]:
    """The ONNX files of a bundle's graphs."""
    return [entry["file"] for entry in _graphs(_manifest(bundle / "bundle.json"))]


def files_in_int8(bundle: Path) -> list[str]:
    """The ONNX files of the graphs that a bundle has in 8 bits too."""
    return [file for file in graph_files(bundle) if _variants(bundle / file, *INT8)]


def decides_places(path: str) -> bool:
    """Whether the graph at `path` segments, detects a face or fits one, in the bundle that it lies in.

    What these say decides where all else is: the frame, the crop of the face, the face on the body. A pixel
    of the mask's rim that rounding turns over moves the whole surface.
    """
    onnx = Path(path)
    if not (onnx.parent / "bundle.json").is_file():
        return False
    manifest = _manifest(onnx)
    parts = [
        manifest.get("graphs", {}).get("segmentation"),
        manifest.get("face_detection"),
        manifest.get("face", {}).get("regressor"),
    ]
    return any(entry["file"] == onnx.name for part in parts for entry in _graphs(part))


def may_be_cut(path: str) -> bool:
    """Whether the picture of the graph at `path` may come cut (docs/bundle.md, Cut pictures)."""
    onnx = Path(path)
    if not (onnx.parent / "bundle.json").is_file():
        return False
    return any(entry["file"] == onnx.name and "cut" in entry for entry in _graphs(_manifest(onnx)))


def _manifest(file: Path) -> Any:
    path = file.parent / "bundle.json"
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise EngineError(f"'{file}' lies in no bundle: '{path}' cannot be read ({error})") from error


def _graphs(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        node = dict(enumerate(node))
    if not isinstance(node, dict):
        return
    if {"file", "inputs", "outputs"} <= node.keys():
        yield node
        return
    for value in node.values():
        yield from _graphs(value)
