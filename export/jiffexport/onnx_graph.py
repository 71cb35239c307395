"""What all graphs of a bundle share: the opset, tidy names, and a last check."""

from __future__ import annotations

from typing import Literal

import onnx
from onnx import shape_inference

from .passes.constants import prune

OPSET = 18
IR_VERSION = 8
"""The format version that belongs to opset 18; newer ones are refused by older engines."""

Store = Literal["fp16", "fp32"]
"""How weights lie on disk. Graphs compute in float32 either way."""

Precision = Literal["fp32", "fp16", "int8"]
"""What a graph computes in; int8: its convolutions, where that keeps the surface."""


def rename_values(model: onnx.ModelProto, names: dict[str, str]) -> onnx.ModelProto:
    """A copy with values renamed."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for field in (node.input, node.output):
            for i, name in enumerate(field):
                field[i] = names.get(name, name)
    return model


def finish(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """A copy that is ready for a bundle: named, pruned, of our IR version, fully checked.

    Intermediate shapes are left out: they cost bytes, and every engine infers them again.

    Raises
    ------
    onnx.checker.ValidationError
        If the graph breaks a rule of ONNX.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.name = name
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "jiffexport", ""
    model.doc_string = model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    prune(model)
    model = shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    del model.graph.value_info[:]
    return model
