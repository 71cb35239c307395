"""Group norms as means by channel.

torch writes a group norm as `InstanceNormalization` over reshaped groups. The reshape takes an engine out
of the layout that its convolutions like, twice a norm: on one core, OpenVINO's published shape encoder runs
in 1.37 s with it and in 1.03 s as it is written here. And a sum of a million values in float32 costs digits
that the steep ends of the heads do not forgive: here it is taken of rows first, then of the rows' means,
then of the channels'.

A norm of a concatenation of which something was upsampled is one of the parts, what was upsampled before it
was: the means are the same, and `upsampling.py` can take its convolution apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from .upsampling import Upsampling

PREFIX = "group_norm"
"""Names of the nodes begin so; they stay in float32 where the rest of a graph computes in less."""
_TO_THE_END = 2**31 - 1


def spread_group_norms(model: onnx.ModelProto, cut_input: str | None = None) -> onnx.ModelProto:
    """A copy in which each group norm of torch is means by channel, differences and a quotient.

    Parameters
    ----------
    model
        With static shapes. Other instance norms stay as they are.
    cut_input
        The name of a picture (1, C, H, W) that may also be given cut: without columns and rows in which
        every layer only repeats the last column or row that is left. Norms of pictures then count those as
        well, so that what is left is what it is in the whole picture. `fold_constants` must not follow, which
        takes the sizes for constants.
    """
    model = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = model.graph
    upsampling = Upsampling(graph)
    shapes = upsampling.shapes
    norms = {norm.add.output[0]: norm for norm in _torch_norms(graph, shapes)}
    obsolete = {node.output[0] for norm in norms.values() for node in norm.nodes}
    writer = _Writer(upsampling)
    shares: tuple[str, str] | None = None
    if cut_input is not None and any(len(norm.shape) == 4 for norm in norms.values()):
        shares = writer.shares(cut_input, shapes[cut_input])
    for node in graph.node:
        if node.output[0] in norms:
            writer.norm(norms[node.output[0]], shares)
        elif node.output[0] not in obsolete:
            writer.nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(writer.nodes)
    graph.initializer.extend(writer.constants.values())
    return model


@dataclass(frozen=True)
class _Norm:
    """What torch writes: groups in rows, a plain norm of each, channels again, times and plus constants."""

    nodes: tuple[onnx.NodeProto, ...]
    x: str
    shape: tuple[int, ...]
    num_groups: int
    epsilon: float
    scale: str
    shift: str

    @property
    def add(self) -> onnx.NodeProto:
        return self.nodes[-1]


def _torch_norms(graph: onnx.GraphProto, shapes: dict[str, tuple[int, ...] | None]) -> list[_Norm]:
    producers = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def only_reader(name: str, operator: str) -> onnx.NodeProto | None:
        found = readers.get(name, [])
        return found[0] if len(found) == 1 and found[0].op_type == operator else None

    norms = []
    for node in graph.node:
        if node.op_type != "InstanceNormalization":
            continue
        before = producers.get(node.input[0])
        after = only_reader(node.output[0], "Reshape")
        mul = only_reader(after.output[0], "Mul") if after is not None else None
        add = only_reader(mul.output[0], "Add") if mul is not None else None
        if before is None or before.op_type != "Reshape" or after is None or mul is None or add is None:
            continue
        shape, grouped = shapes.get(before.input[0]), shapes.get(before.output[0])
        factor, offset = constants.get(node.input[1], 0), constants.get(node.input[2], 1)
        is_plain = np.all(factor == 1) and np.all(offset == 0)
        if shape is None or grouped is None or len(shape) < 4 or shape[0] != 1 or not is_plain:
            continue
        (scale,) = (name for name in mul.input if name != after.output[0])
        (shift,) = (name for name in add.input if name != mul.output[0])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        nodes = (before, node, after, mul, add)
        norms.append(_Norm(nodes, before.input[0], shape, grouped[1], epsilon, scale, shift))
    return norms


class _Writer:
    """Nodes in order, and their constants."""

    def __init__(self, upsampling: Upsampling) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._upsampling = upsampling
        self._base = PREFIX

    def shares(self, picture: str, whole: tuple[int, ...] | None) -> tuple[str, str]:
        """The parts of the rows and of the columns that a cut picture has, 1 in one that is whole."""
        assert whole is not None
        sides = self._add("Cast", "sides", self._add("Shape", "shape", picture), to=TensorProto.FLOAT)
        whole_sides = self._constant("whole_sides", np.array(whole, np.float32))
        shares = self._add("Div", "shares", sides, whole_sides)
        rows, columns = (
            self._add("Gather", name, shares, self._sides(f"axis_{axis}", axis))
            for axis, name in ((2, "share_of_rows"), (3, "share_of_columns"))
        )
        return rows, columns

    def norm(self, norm: _Norm, shares: tuple[str, str] | None) -> None:
        """Of a part that was doubled the half is normed, and doubled then."""
        result = norm.add.output[0]
        self._base = f"{PREFIX}/{result}"
        if len(norm.shape) != 4:
            shares = None
        parts = self._upsampling.parts(norm.x) or (norm.x,)
        where = self._upsampling.channels(parts)
        ends = [""] if len(parts) == 1 else [f"_{i}" for i in range(len(parts))]
        halves = [self._upsampling.source(part) or part for part in parts]

        def mean_of(values: list[str], name: str) -> str:
            means = [
                self._mean(x, at.stop - at.start, norm, shares, f"{name}{end}")
                for x, at, end in zip(values, where, ends, strict=True)
            ]
            return self._mean_of_groups(means, norm, name)

        mean = mean_of(halves, "mean")
        centered = [
            self._add("Sub", f"centered{end}", half, self._part(mean, at, norm, f"mean_part{end}"))
            for half, at, end in zip(halves, where, ends, strict=True)
        ]
        squares = [self._add("Mul", f"squares{end}", x, x) for x, end in zip(centered, ends, strict=True)]
        variance = mean_of(squares, "variance")
        epsilon = self._constant("epsilon", np.array(norm.epsilon, np.float32))
        deviation = self._add("Sqrt", "deviation", self._add("Add", "positive", variance, epsilon))
        factor = self._add("Div", "factor", norm.scale, deviation)
        normed = []
        for x, part, at, end in zip(centered, parts, where, ends, strict=True):
            scaled = self._add("Mul", f"scaled{end}", x, self._part(factor, at, norm, f"factor_part{end}"))
            shift = self._part(norm.shift, at, norm, f"shift_part{end}")
            output = result if part == norm.x and part == halves[0] else None
            shifted = self._add("Add", f"shifted{end}", scaled, shift, output=output)
            is_doubled = self._upsampling.source(part) is not None
            normed.append(self._doubled(part, shifted, f"{result}/doubled{end}") if is_doubled else shifted)
        if normed != [result]:
            self.nodes.append(helper.make_node("Concat", normed, [result], axis=1))

    def _doubled(self, like: str, x: str, name: str) -> str:
        """`x` doubled as `like` was."""
        node = onnx.NodeProto.FromString(self._upsampling.producers[like].SerializeToString())
        node.name, node.input[0], node.output[0] = name, x, name
        self.nodes.append(node)
        return name

    def _part(self, x: str, at: slice, norm: _Norm, name: str) -> str:
        """Some channels of (1, C, 1, ...), or of a constant (C, 1, ...)."""
        if at == slice(0, norm.shape[1]):
            return x
        axis = 1 - len(norm.shape)
        if x in self._upsampling.constants:
            values = numpy_helper.to_array(self._upsampling.constants[x])
            return self._constant(name, np.take(values, range(at.start, at.stop), axis))
        begin, end = self._sides(f"from_{at.start}", at.start), self._sides(f"to_{at.stop}", at.stop)
        return self._add("Slice", name, x, begin, end, self._sides("channel_axis", axis))

    def _mean(self, x: str, channels: int, norm: _Norm, shares: tuple[str, str] | None, name: str) -> str:
        """Of each channel: (1, channels, 1)."""
        rows = self._mean_along(x, len(norm.shape) - 1, f"{name}_of_rows", shares and shares[1])
        # The reshape also keeps engines from joining the means to one long sum again.
        lines = self._add("Reshape", f"{name}_lines", rows, self._sides(f"lines_{channels}", 1, channels, -1))
        return self._mean_along(lines, 2, f"{name}_of_channels", shares and shares[0])

    def _mean_of_groups(self, means: list[str], norm: _Norm, name: str) -> str:
        """Of each group, for every channel of it: (1, C, 1, ...), from those of the channels' parts."""
        channels, num_inner = norm.shape[1], len(norm.shape) - 2
        groups = (1, norm.num_groups, channels // norm.num_groups)
        of_channels = means[0] if len(means) == 1 else self._add("Concat", f"{name}_of_parts", *means, axis=1)
        grouped = self._add("Reshape", f"{name}_grouped", of_channels, self._sides("groups", *groups))
        of_groups = self._add("ReduceMean", f"{name}_of_groups", grouped, self._sides("third", 2))
        spread = self._add("Expand", f"{name}_spread", of_groups, self._sides("groups", *groups))
        return self._add("Reshape", name, spread, self._sides("channels", 1, channels, *[1] * num_inner))

    def _mean_along(self, x: str, axis: int, name: str, share: str | None) -> str:
        """Of the last axis; what was cut off there counts as its last value."""
        at = self._sides(f"axis_{axis}", axis)
        mean = self._add("ReduceMean", name, x, at)
        if share is None:
            return mean
        last = self._add(
            "Slice", f"{name}_last", x, self._sides("last", -1), self._sides("end", _TO_THE_END), at
        )
        beyond = self._add("Sub", f"{name}_beyond", mean, last)
        return self._add("Add", f"{name}_whole", last, self._add("Mul", f"{name}_part", beyond, share))

    def _sides(self, name: str, *sides: int) -> str:
        return self._constant(name, np.array(sides, np.int64))

    def _constant(self, name: str, value: np.ndarray) -> str:
        name = f"{self._base}/{name}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name

    def _add(
        self, operator: str, result: str, *inputs: str, output: str | None = None, **attributes: int
    ) -> str:
        output = output or f"{self._base}/{result}"
        name = f"{self._base}/{result}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=name, **attributes))
        return output
