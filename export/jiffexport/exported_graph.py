"""A graph as it lies in a bundle: serialized, described, with its other forms beside it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx

from .bundle import files_named
from .onnx_graph import OPSET, Precision, Store
from .verify import EngineReport, Example

TOLERANCE: dict[Store, float] = {"fp32": 1e-3, "fp16": 5e-2}
"""Largest error of a graph relative to its output's magnitude; a graph beyond it is not shipped.

A matte may be far off in a single pixel of its rim, which sets the looser one; typical errors are a
hundredth of these.
"""

GRAPH_SUFFIXES = (".onnx", ".ts", ".engine")

_log = logging.getLogger("jiffexport")


@dataclass(frozen=True)
class Variant:
    """Another form of a graph: the same tensors in and out.

    Attributes
    ----------
    format
        `onnx`, `torchscript` or `tensorrt`.
    precision
        What it computes in.
    details
        What else a loader must know, for the manifest: versions, the compute capability.
    reports
        What the engines that run here make of it; empty where none does.
    """

    format: str
    precision: Precision
    file: str
    content: bytes
    details: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[EngineReport, ...] = ()

    def manifest_entry(self) -> dict[str, Any]:
        entry = {"format": self.format, "precision": self.precision, "file": self.file}
        return entry | dict(self.details) | largest_errors(self.reports)


@dataclass(frozen=True)
class ExportedGraph:
    """A graph as it lies in the bundle.

    Attributes
    ----------
    reports
        What the engines make of it; empty before it is verified.
    examples
        Real inputs and what its original makes of them.
    tolerance
        Largest allowed relative error.
    cut
        Where its picture may be cut, for the manifest: `stride_px`, `figure` and `border`, of `nets.Reach`.
    """

    name: str
    model: bytes
    stored: Store
    license: str
    provenance: str
    reports: tuple[EngineReport, ...] = ()
    examples: tuple[Example, ...] = ()
    tolerance: float = TOLERANCE["fp16"]
    variants: tuple[Variant, ...] = ()
    cut: Mapping[str, int] | None = None

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"

    def manifest_entry(self) -> dict[str, Any]:
        """Without errors and variants, which `describe_results` adds when they are known."""
        graph = onnx.load_from_string(self.model).graph
        entry = {
            "file": self.file,
            "inputs": _shapes(graph.input),
            "outputs": _shapes(graph.output),
            "opset": OPSET,
            "precision": "fp32",
            "stored": self.stored,
            "license": self.license,
            "provenance": self.provenance,
        }
        return entry if self.cut is None else entry | {"cut": dict(self.cut)}


def exported(
    name: str,
    model: onnx.ModelProto,
    examples: Sequence[Example],
    store: Store,
    provenance: str,
    *,
    license: str = "Apache-2.0",
    tolerance: float | None = None,
    cut: Mapping[str, int] | None = None,
) -> ExportedGraph:
    """A graph and what it will be verified with.

    Parameters
    ----------
    tolerance
        Largest allowed relative error; default: `TOLERANCE` of `store`.
    cut
        See `ExportedGraph`.
    """
    allowed = TOLERANCE[store] if tolerance is None else tolerance
    _log.info("%s exported", name)
    content = model.SerializeToString()
    return ExportedGraph(name, content, store, license, provenance, (), tuple(examples), allowed, cut=cut)


def graph_entries(manifest: Any) -> Iterator[dict[str, Any]]:
    """The entries of a manifest that describe a graph, wherever they are."""
    if isinstance(manifest, list):
        manifest = dict(enumerate(manifest))
    if not isinstance(manifest, dict):
        return
    if "file" in manifest and "inputs" in manifest and "outputs" in manifest:
        yield manifest
        return
    for value in manifest.values():
        yield from graph_entries(value)


def describe_results(
    manifest: dict[str, Any], files: dict[str, bytes], graphs: Sequence[ExportedGraph]
) -> None:
    """Puts errors and variants of `graphs` into a manifest that has their entries, and variants into `files`.

    A variant takes the place of one of the same format, precision, builder and compute capability. Files of
    graphs that nothing names any more are dropped.
    """
    entries = {entry["file"]: entry for entry in graph_entries(manifest)}
    for graph in graphs:
        entry = entries[graph.file]
        entry |= largest_errors(graph.reports)
        new = [variant.manifest_entry() for variant in graph.variants]
        kept = [old for old in entry.pop("variants", []) if not any(_is_same_form(old, e) for e in new)]
        if kept or new:
            entry["variants"] = [*kept, *new]
        files.update({variant.file: variant.content for variant in graph.variants})
    named = {file for _, file in files_named(manifest)}
    for file in [file for file in files if file.endswith(GRAPH_SUFFIXES) and file not in named]:
        del files[file]


def largest_errors(reports: Sequence[EngineReport]) -> dict[str, float]:
    """For the manifest; nothing where nothing was measured."""
    if not reports:
        return {}
    return {
        "max_abs_error": max(report.max_abs_error for report in reports),
        "max_rel_error": max(report.max_rel_error for report in reports),
    }


def trained_provenance(provenance: str, step: int | None) -> str:
    """Where a checkpoint's weights come from, in one sentence; `step` None where nobody knows."""
    provenance = provenance or "Unknown data."
    return provenance if step is None else f"{provenance} ({step} training steps)"


def _is_same_form(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    keys = ("format", "precision", "compute_capability", "builder")
    return all(one.get(key) == other.get(key) for key in keys)


def _shapes(values: Sequence[onnx.ValueInfoProto]) -> dict[str, list[int]]:
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
