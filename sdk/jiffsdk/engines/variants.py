"""Other forms of a graph that lie beside its ONNX file in a bundle (docs/bundle.md, Variants)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import EngineError

Variant = dict[str, Any]

_BUILD = "python export/build_engines.py --out '{bundle}' --formats onnx,{format} --precision {precision}"


def find_variants(path: str, format: str, precision: str) -> list[tuple[Path, Variant]]:
    """Files and entries of the forms of the graph at `path`; at least one.

    Raises
    ------
    EngineError
        When the bundle has none, with the command that makes it.
    """
    onnx = Path(path)
    found = [
        (onnx.parent / variant["file"], variant)
        for entry in _graphs(_manifest(onnx))
        if entry["file"] == onnx.name
        for variant in entry.get("variants", [])
        if variant["format"] == format and variant["precision"] == precision
    ]
    if not found:
        raise EngineError(
            f"'{path}' has no {format} of {precision} in its bundle; "
            f"{rebuild_command(onnx.parent, format, precision)}"
        )
    return found


def rebuild_command(bundle: Path, format: str, precision: str, capability: int | None = None) -> str:
    """What makes a form, for messages."""
    sm = "" if format != "tensorrt" else f" --sm {capability or '75,86,89'}"
    return _BUILD.format(bundle=bundle, format=format, precision=precision) + sm


def formats_of(bundle: Path) -> set[tuple[str, str]]:
    """Format and precision of every form that all graphs of a bundle have, besides ONNX in float32."""
    forms = [
        {(variant["format"], variant["precision"]) for variant in entry.get("variants", [])}
        for entry in _graphs(_manifest(bundle / "bundle.json"))
    ]
    return set.intersection(*forms) if forms else set()


def graph_files(bundle: Path) -> list[str]:
    """The ONNX files of a bundle's graphs."""
    return [entry["file"] for entry in _graphs(_manifest(bundle / "bundle.json"))]


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
