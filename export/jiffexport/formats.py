"""Other forms of the graphs of a bundle: half precision, TorchScript, TensorRT engines."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx
import torch

from .errors import ExportError
from .exported_graph import ExportedGraph, Variant
from .onnx_graph import Precision, finish
from .passes import compute_in_fp16, compute_in_int8, count_multiply_adds, measure_ranges
from .to_tensorrt import Builder, check_request, installed_builder, is_buildable, to_tensorrt
from .to_torchscript import to_torchscript
from .verify import compile_graph

Format = Literal["onnx", "torchscript", "tensorrt"]
FORMATS: tuple[Format, ...] = ("onnx", "torchscript", "tensorrt")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

LEAST_INT8_MULTIPLY_ADDS = 1e8
"""Graphs whose convolutions do less are left as they are: they take no time."""

_log = logging.getLogger("jiffexport")


@dataclass(frozen=True)
class FormatOptions:
    """Which forms are made. ONNX in float32 is always there.

    Attributes
    ----------
    compute_capabilities
        Of the GPUs that TensorRT engines are built for, as 75 for 7.5.
    timing_cache
        See `to_tensorrt`.
    heads
        Whether the implicit functions become graphs, too.

    Raises
    ------
    ExportError
        An unknown format or precision.
    """

    formats: tuple[Format, ...] = ("onnx",)
    precisions: tuple[Precision, ...] = ("fp32",)
    compute_capabilities: tuple[int, ...] = ()
    timing_cache: Path | None = None
    heads: bool = False

    def __post_init__(self) -> None:
        for what, given, known in (
            ("format", self.formats, FORMATS),
            ("precision", self.precisions, PRECISIONS),
        ):
            unknown = [value for value in given if value not in known]
            if unknown or not given:
                raise ExportError(f"unknown {what} {unknown or 'none'}; choose of {', '.join(known)}")

    def check(self) -> Builder | None:
        """The TensorRT builder, if one is needed. Raises `EngineBuildError` on what cannot be built."""
        if "tensorrt" not in self.formats:
            return None
        return check_request(self.compute_capabilities, self.precisions, installed_builder())

    @property
    def wants_int8(self) -> bool:
        return "onnx" in self.formats and "int8" in self.precisions


ONNX_ALONE = FormatOptions()


def with_variants(graphs: Sequence[ExportedGraph], options: FormatOptions) -> list[ExportedGraph]:
    """`graphs` with the forms that `options` asks for.

    Raises
    ------
    ExportError
        `GraphError` or `EngineBuildError`; the message names the graph.
    """
    builder = options.check()
    return [replace(graph, variants=tuple(_variants(graph, options, builder))) for graph in graphs]


def _variants(graph: ExportedGraph, options: FormatOptions, builder: Builder | None) -> list[Variant]:
    made = []
    if options.wants_int8:
        made += _int8_variants(graph)
    for precision in options.precisions:
        if precision == "int8":
            continue  # of ONNX alone
        model = onnx.load_from_string(graph.model)
        if precision == "fp16":
            model = finish(compute_in_fp16(model), graph.name)
        if "onnx" in options.formats and precision != "fp32":
            content = model.SerializeToString()
            made.append(Variant("onnx", precision, f"{graph.name}.{precision}.onnx", content))
        if "torchscript" in options.formats:
            _log.info("%s: tracing %s", graph.name, precision)
            details = {"torch": torch.__version__.split("+")[0]}
            file = f"{graph.name}.{precision}.ts"
            made.append(Variant("torchscript", precision, file, to_torchscript(model), details))
        for capability in options.compute_capabilities if builder else ():
            if builder is None or not is_buildable(builder, capability, precision):
                continue
            _log.info("%s: building %s for sm_%d", graph.name, precision, capability)
            engine = to_tensorrt(model, builder, capability, options.timing_cache)
            details = {
                "builder": engine.builder,
                "builder_version": engine.version,
                "compute_capability": capability,
            }
            file = engine.file(graph.name, precision)
            made.append(Variant("tensorrt", precision, file, engine.content, details))
    return made


def _int8_variants(graph: ExportedGraph) -> list[Variant]:
    """One, or none for a graph that does too little."""
    model = onnx.load_from_string(graph.model)
    if count_multiply_adds(model) < LEAST_INT8_MULTIPLY_ADDS:
        return []
    _log.info("%s: measuring ranges for 8 bits", graph.name)
    ranges = measure_ranges(
        model, lambda content: compile_graph(content, "onnxruntime"), [each.inputs for each in graph.examples]
    )
    content = finish(compute_in_int8(model, ranges), graph.name).SerializeToString()
    return [Variant("onnx", "int8", f"{graph.name}.int8.onnx", content)]
