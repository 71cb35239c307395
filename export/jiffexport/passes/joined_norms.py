"""The norms of `group_norms.py` as one node each again, for an engine that has a kernel of its own for them.

On a GPU the twenty nodes and more of a norm are as many kernels, each through memory: 992 means a photograph
at the published size.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .group_norms import PREFIX


def join_group_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with a `GroupNormalization` of operator set 21 for each norm of `spread_group_norms`.

    Parameters
    ----------
    model
        With static shapes and folded constants. Norms between casts from half precision and back take and
        give half precision. Those that are not as they were written stay.
    """
    joined = onnx.ModelProto()
    joined.CopyFrom(model)
    graph = joined.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    norms = _norms(graph, constants)
    obsolete = {name for norm in norms.values() for node in norm for name in node.output}
    nodes = []
    for node in graph.node:
        if node.output[0] in norms:
            nodes.append(_joined(norms[node.output[0]], constants, graph))
        elif node.output[0] not in obsolete:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(_without_casts(nodes, graph))
    return joined


def _norms(graph: onnx.GraphProto, constants: dict[str, np.ndarray]) -> dict[str, list[onnx.NodeProto]]:
    """The nodes of each norm, by its output."""
    by_norm: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        if node.name.startswith(f"{PREFIX}/"):
            by_norm[node.name.rsplit("/", 1)[0]].append(node)
    read_by: dict[str, set[str]] = defaultdict(set)
    for node in graph.node:
        for name in node.input:
            read_by[name].add(node.name)
    outputs = {value.name for value in graph.output}
    is_whole = all(np.all(constants.get(f"{PREFIX}/share_of_{side}", 1) == 1) for side in ("rows", "columns"))
    found = {}
    for base, nodes in by_norm.items():
        by_role = {node.name.rsplit("/", 1)[1]: node for node in nodes}
        names = {node.name for node in nodes}
        if not is_whole or not {"centered", "factor", "shifted"} <= by_role.keys():
            continue
        output = by_role["shifted"].output[0]
        inner = {name for node in nodes for name in node.output} - {output}
        is_alone = all(read_by[name] <= names and name not in outputs for name in inner)
        needed = (
            by_role["factor"].input[0],
            by_role["shifted"].input[1],
            f"{base}/groups",
            f"{base}/epsilon",
        )
        if is_alone and all(name in constants for name in needed):
            found[output] = nodes
    return found


def _joined(
    nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray], graph: onnx.GraphProto
) -> onnx.NodeProto:
    by_role = {node.name.rsplit("/", 1)[1]: node for node in nodes}
    base = nodes[0].name.rsplit("/", 1)[0]
    shifted = by_role["shifted"]
    flat = []
    for role, name in (("scale", by_role["factor"].input[0]), ("shift", shifted.input[1])):
        flat.append(f"{base}/{role}")
        graph.initializer.append(numpy_helper.from_array(constants[name].reshape(-1), flat[-1]))
    return helper.make_node(
        "GroupNormalization",
        [by_role["centered"].input[0], *flat],
        [shifted.output[0]],
        name=f"{base}/norm",
        num_groups=int(constants[f"{base}/groups"][1]),
        epsilon=float(constants[f"{base}/epsilon"]),
    )


def _without_casts(nodes: list[onnx.NodeProto], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Norms between casts take and give half precision: their kernels sum in single precision anyway."""
    producers = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            readers[name].append(node)
    halves = {t.name: numpy_helper.to_array(t) for t in graph.initializer if t.name.startswith(f"{PREFIX}/")}
    obsolete = set()
    for node in nodes:
        if node.op_type != "GroupNormalization":
            continue
        before, after = producers.get(node.input[0]), readers[node.output[0]]
        if before is None or not _is_cast(before, TensorProto.FLOAT) or len(after) != 1:
            continue
        if not _is_cast(after[0], TensorProto.FLOAT16):
            continue
        for i in (1, 2):
            name = f"{node.input[i]}__half"
            graph.initializer.append(numpy_helper.from_array(halves[node.input[i]].astype(np.float16), name))
            node.input[i] = name
        node.input[0] = before.input[0]
        node.output[0] = after[0].output[0]
        obsolete.add(after[0].name or after[0].output[0])
    kept = [node for node in nodes if (node.name or node.output[0]) not in obsolete]
    read = {name for node in kept for name in node.input} | {value.name for value in graph.output}
    return [node for node in kept if node.op_type != "Cast" or node.output[0] in read]


def _is_cast(node: onnx.NodeProto, to: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == to for a in node.attribute)
