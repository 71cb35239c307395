"""A graph as it lies in a bundle: serialized, verified by every installed engine, described."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from .onnx_graph import OPSET, Store
from .verify import EngineReport, Example, verify_graph

TOLERANCE: dict[Store, float] = {"fp32": 1e-3, "fp16": 5e-2}
"""Largest error of a graph relative to its output's magnitude; a graph beyond it is not shipped.

A matte may be far off in a single pixel of its rim, which sets the looser one; typical errors are a
hundredth of these.
"""


@dataclass(frozen=True)
class ExportedGraph:
    """A graph as it lies in the bundle, and what the engines make of it."""

    name: str
    model: bytes
    stored: Store
    license: str
    provenance: str
    reports: tuple[EngineReport, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"

    def manifest_entry(self) -> dict[str, Any]:
        graph = onnx.load_from_string(self.model).graph
        return {
            "file": self.file,
            "inputs": _shapes(graph.input),
            "outputs": _shapes(graph.output),
            "opset": OPSET,
            "precision": "fp32",
            "stored": self.stored,
            "max_abs_error": max(report.max_abs_error for report in self.reports),
            "max_rel_error": max(report.max_rel_error for report in self.reports),
            "license": self.license,
            "provenance": self.provenance,
        }


def verified(
    name: str,
    model: onnx.ModelProto,
    examples: Sequence[Example],
    store: Store,
    provenance: str,
    *,
    license: str = "Apache-2.0",
    tolerance: float | None = None,
) -> ExportedGraph:
    """A graph that every installed engine computes as its original does.

    Parameters
    ----------
    tolerance
        Largest allowed relative error; default: `TOLERANCE` of `store`.

    Raises
    ------
    VerificationError
        See `jiffexport.verify.verify_graph`.
    """
    serialized = model.SerializeToString()
    allowed = TOLERANCE[store] if tolerance is None else tolerance
    reports = verify_graph(name, serialized, examples, tolerance=allowed)
    return ExportedGraph(name, serialized, store, license, provenance, reports)


def trained_provenance(provenance: str, step: int) -> str:
    """Where a checkpoint's weights come from, in one sentence."""
    return f"{provenance or 'Unknown data.'} ({step} training steps)"


def _shapes(values: Sequence[onnx.ValueInfoProto]) -> dict[str, list[int]]:
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
