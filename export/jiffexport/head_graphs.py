"""The implicit functions as graphs, for programs that have an engine and not the kernels of the SDK.

Made of a bundle's packed weights, which stay beside them. A graph takes a chunk of `NUM_POINTS` query points,
the last one padded: a fixed number, as all shapes are. What it takes are the sampled features and the depth
feature (docs/bundle.md), so that sampling stays outside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load as load_safetensors

from .exported_graph import ExportedGraph, exported
from .heads import HEADS_FILE
from .onnx_graph import IR_VERSION, OPSET, Store, finish
from .passes import store_weights_fp16
from .verify import Example

NUM_POINTS = 16_384
SLOPE = 0.01
"""Of the leaky rectifiers between the layers."""

Manifest = dict[str, Any]
Array = NDArray[np.floating]


def add_head_graphs(manifest: Manifest, files: Mapping[str, bytes], store: Store) -> list[ExportedGraph]:
    """Graphs of all heads of a bundle, which their manifest entries then name as `graph`."""
    tensors = load_safetensors(files[HEADS_FILE])
    made = []
    for head in head_entries(manifest):
        graph = _exported(head, tensors, store, manifest)
        head["graph"] = graph.manifest_entry()
        made.append(graph)
    return made


def head_entries(manifest: Manifest) -> Iterator[Manifest]:
    """The heads of a manifest, wherever they are."""
    if {"prefix", "activation"} <= manifest.keys():
        yield manifest
        return
    for value in manifest.values():
        if isinstance(value, dict):
            yield from head_entries(value)


def _exported(
    head: Manifest, tensors: Mapping[str, Array], store: Store, manifest: Manifest
) -> ExportedGraph:
    joint = "widths_joint" in head
    inputs = (
        {"samples_2d": head["widths_2d"][0], "samples_3d": head["widths_3d"][0]}
        if joint
        else {"samples": head["widths"][0]}
    )
    name = f"{head['prefix']}_head"
    maker = _Maker(tensors)
    result = maker.joint(head["prefix"], *inputs) if joint else maker.layers(head["prefix"], "samples")
    maker.activate(result, head["activation"])
    num_outputs = (head["widths_joint"] if joint else head["widths"])[-1]
    shapes = {key: (1, channels, NUM_POINTS) for key, channels in inputs.items()}
    graph = helper.make_graph(
        maker.nodes,
        name,
        [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()],
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, (1, num_outputs, NUM_POINTS))],
        maker.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    if store == "fp16":
        model = store_weights_fp16(model)
    provenance = f"The packed weights '{head['prefix']}' of this bundle"
    example = _example(head, tensors, shapes)
    return exported(name, finish(model, name), [example], store, provenance, license=manifest["license"])


class _Maker:
    """Nodes of skip-concatenated layers: each but the first of an MLP takes `[hidden, samples]`."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def joint(self, prefix: str, samples_2d: str, samples_3d: str) -> str:
        branches = [
            self._leaky(self.layers(f"{prefix}.branch_2d", samples_2d)),
            self._leaky(self.layers(f"{prefix}.branch_3d", samples_3d)),
        ]
        samples = self._add("Concat", [samples_2d, samples_3d], f"{prefix}/samples", axis=1)
        start = self._add("Concat", branches, f"{prefix}/start", axis=1)
        return self.layers(f"{prefix}.joint", samples, start)

    def layers(self, prefix: str, samples: str, start: str | None = None) -> str:
        """The last layer's sums, before any activation."""
        hidden, sums = start, ""
        for i in range(count_layers(self._tensors, prefix)):
            layer = f"{prefix}.layers.{i}"
            x = samples
            if hidden is not None:
                x = self._add("Concat", [hidden, samples], f"{layer}/input", axis=1)
            weight = self._constant(f"{layer}.weight", self._tensors[f"{layer}.weight"])
            bias = self._constant(f"{layer}.bias", self._tensors[f"{layer}.bias"][:, None])
            product = self._add("MatMul", [weight, x], f"{layer}/product")
            sums = self._add("Add", [product, bias], f"{layer}/sums")
            hidden = f"{sums}/leaky"
            self._leaky(sums)
        del self.nodes[-1]  # the last one is activated in another way
        return sums

    def activate(self, sums: str, activation: str) -> None:
        if activation == "sigmoid":
            self._add("Sigmoid", [sums], "values")
            return
        half = self._constant("half", np.float32(0.5))
        halved = self._add("Mul", [self._add("Tanh", [sums], "tanh"), half], "halved")
        self._add("Add", [halved, half], "values")

    def _leaky(self, sums: str) -> str:
        return self._add("LeakyRelu", [sums], f"{sums}/leaky", alpha=SLOPE)

    def _constant(self, name: str, values: Array | np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output


def count_layers(tensors: Mapping[str, Array], prefix: str) -> int:
    """Of the MLP whose tensors begin with `prefix`."""
    return sum(name.startswith(f"{prefix}.layers.") and name.endswith(".weight") for name in tensors)


def _example(head: Manifest, tensors: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> Example:
    """Noise, and the head's answer in double precision."""
    rng = np.random.default_rng(0)
    given = {key: rng.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
    raw = [values[0].astype(np.float64) for values in given.values()]
    prefix = head["prefix"]
    if "widths_joint" in head:
        branches = [
            _leaky(_evaluate(tensors, f"{prefix}.{branch}", samples))
            for branch, samples in zip(("branch_2d", "branch_3d"), raw, strict=True)
        ]
        sums = _evaluate(tensors, f"{prefix}.joint", np.concatenate(raw), np.concatenate(branches))
    else:
        sums = _evaluate(tensors, prefix, raw[0])
    values = 1 / (1 + np.exp(-sums)) if head["activation"] == "sigmoid" else (np.tanh(sums) + 1) / 2
    return Example(given, {"values": values[None].astype(np.float32)})


def _evaluate(tensors: Mapping[str, Array], prefix: str, raw: Array, start: Array | None = None) -> Array:
    hidden, sums = start, raw
    for i in range(count_layers(tensors, prefix)):
        x = raw if hidden is None else np.concatenate([hidden, raw])
        weight, bias = (
            tensors[f"{prefix}.layers.{i}.{kind}"].astype(np.float64) for kind in ("weight", "bias")
        )
        sums = weight @ x + bias[:, None]
        hidden = _leaky(sums)
    return sums


def _leaky(sums: Array) -> Array:
    return np.where(sums > 0, sums, SLOPE * sums)
