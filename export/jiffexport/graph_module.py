"""An ONNX graph of a bundle as a torch module, so that it can be traced.

Made from the graph and not from the network: so every graph has this form, also those that came as ONNX and
those of a bundle whose checkpoints are elsewhere. It knows the operators that the bundles' graphs are made
of, with static shapes, and refuses others by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from .errors import GraphError
from .passes import fold_constants, join_group_norms

_DTYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.FLOAT16: torch.float16,
    TensorProto.INT64: torch.int64,
    TensorProto.INT32: torch.int32,
    TensorProto.BOOL: torch.bool,
}


class GraphModule(nn.Module):
    """`forward` takes the graph's inputs in order and returns a tuple of its outputs.

    Raises
    ------
    GraphError
        The graph has an operator, or a form of one, that is not known here; the message names it.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        super().__init__()
        graph = join_group_norms(fold_constants(model)).graph
        self._input_names = [value.name for value in graph.input]
        self._output_names = [value.name for value in graph.output]
        self._constants = {t.name: numpy_helper.to_array(t).copy() for t in graph.initializer}
        self._buffer_names: dict[str, str] = {}
        self._steps: list[tuple[_Step, tuple[str, ...], tuple[str, ...]]] = []
        for node in graph.node:
            if node.op_type not in _OPERATORS:
                raise GraphError(f"{graph.name}: operator {node.op_type} has no TorchScript form here")
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            try:
                step = _OPERATORS[node.op_type](attributes, [self._constants.get(n) for n in node.input])
            except (KeyError, ValueError) as error:
                raise GraphError(f"{graph.name}: {node.op_type} has no TorchScript form: {error}") from error
            for name in node.input:
                self._keep(name)
            self._steps.append((step, tuple(node.input), tuple(node.output)))

    def _keep(self, name: str) -> None:
        """Makes a constant that steps may read as a tensor a buffer."""
        if name in self._constants and name not in self._buffer_names:
            key = f"constant_{len(self._buffer_names)}"
            self._buffer_names[name] = key
            self.register_buffer(key, torch.from_numpy(np.ascontiguousarray(self._constants[name])))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        values: dict[str, Tensor | None] = {"": None}
        values.update(zip(self._input_names, inputs, strict=True))
        for name, key in self._buffer_names.items():
            values[name] = getattr(self, key)
        for step, read, written in self._steps:
            outputs = step(*(values[name] for name in read))
            if isinstance(outputs, Tensor):
                outputs = (outputs,)
            values.update(zip(written, outputs, strict=False))
        results = [values[name] for name in self._output_names]
        return tuple(result for result in results if result is not None)


_Step = Callable[..., "Tensor | tuple[Tensor, ...]"]
_Attributes = dict[str, Any]
_Constants = list["np.ndarray | None"]
_OPERATORS: dict[str, Callable[[_Attributes, _Constants], _Step]] = {}


def _operator(name: str) -> Callable[[Callable[[_Attributes, _Constants], _Step]], None]:
    def register(build: Callable[[_Attributes, _Constants], _Step]) -> None:
        _OPERATORS[name] = build

    return register


def _plain(name: str, function: _Step) -> None:
    _OPERATORS[name] = lambda attributes, constants: function


_plain("Add", torch.add)
_plain("Sub", torch.sub)
_plain("Mul", torch.mul)
_plain("Div", torch.div)
_plain("Pow", torch.pow)
_plain("Neg", torch.neg)
_plain("Sin", torch.sin)
_plain("Cos", torch.cos)
_plain("Floor", torch.floor)
_plain("Abs", torch.abs)
_plain("Sqrt", torch.sqrt)
_plain("Exp", torch.exp)
_plain("Reciprocal", torch.reciprocal)
_plain("MatMul", torch.matmul)
_plain("Relu", F.relu)
_plain("Sigmoid", torch.sigmoid)
_plain("Tanh", torch.tanh)
_plain("Identity", lambda x: x)
_plain("GlobalAveragePool", lambda x: x.mean(tuple(range(2, x.dim())), keepdim=True))


def _integers(constants: _Constants, index: int) -> list[int]:
    """An input that must be a constant, as plain numbers."""
    value = constants[index] if index < len(constants) else None
    if value is None:
        raise ValueError(f"its input {index} must be a constant")
    return [int(number) for number in np.atleast_1d(value)]


def _symmetric(pads: list[int]) -> list[int]:
    half = len(pads) // 2
    if pads[:half] != pads[half:]:
        raise ValueError(f"pads {pads} differ between the two ends")
    return pads[:half]


@_operator("Cast")
def _cast(attributes: _Attributes, constants: _Constants) -> _Step:
    dtype = _DTYPES[attributes["to"]]
    return lambda x: x.to(dtype)


def _convolution(functions: dict[int, Callable[..., Tensor]]) -> Callable[[_Attributes, _Constants], _Step]:
    """One of torch's, by the number of spatial axes."""

    def build(attributes: _Attributes, constants: _Constants) -> _Step:
        if constants[1] is None:
            raise ValueError("its weight must be a constant")
        rank = constants[1].ndim - 2
        options = {
            "stride": list(attributes.get("strides", [1] * rank)),
            "padding": _symmetric(list(attributes.get("pads", [0] * (2 * rank)))),
            "dilation": list(attributes.get("dilations", [1] * rank)),
            "groups": attributes.get("group", 1),
        }
        if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise ValueError("auto_pad is not known")
        for name in ("output_padding", "output_shape"):
            if any(attributes.get(name, [])):
                raise ValueError(f"{name} is not known")
        return lambda x, weight, bias=None: functions[rank](x, weight, bias, **options)

    return build


_OPERATORS["Conv"] = _convolution({1: F.conv1d, 2: F.conv2d, 3: F.conv3d})
_OPERATORS["ConvTranspose"] = _convolution(
    {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
)


@_operator("Gemm")
def _gemm(attributes: _Attributes, constants: _Constants) -> _Step:
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    transposed_a, transposed_b = attributes.get("transA", 0), attributes.get("transB", 0)

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        product = alpha * ((a.T if transposed_a else a) @ (b.T if transposed_b else b))
        return product if c is None else product + beta * c

    return run


@_operator("Clip")
def _clip(attributes: _Attributes, constants: _Constants) -> _Step:
    bounds = [None if value is None else float(value) for value in constants[1:]]
    low, high = (*bounds, None, None)[:2]
    return lambda x, *_: x.clamp(low, high)


@_operator("LeakyRelu")
def _leaky_relu(attributes: _Attributes, constants: _Constants) -> _Step:
    slope = attributes.get("alpha", 0.01)
    return lambda x: F.leaky_relu(x, slope)


@_operator("PRelu")
def _prelu(attributes: _Attributes, constants: _Constants) -> _Step:
    return lambda x, slope: torch.where(x < 0, x * slope, x)


@_operator("Softmax")
def _softmax(attributes: _Attributes, constants: _Constants) -> _Step:
    axis = attributes.get("axis", -1)
    return lambda x: F.softmax(x, axis)


@_operator("BatchNormalization")
def _batch_norm(attributes: _Attributes, constants: _Constants) -> _Step:
    epsilon = attributes.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, variance: F.batch_norm(
        x, mean, variance, scale, bias, False, 0.0, epsilon
    )


@_operator("InstanceNormalization")
def _instance_norm(attributes: _Attributes, constants: _Constants) -> _Step:
    epsilon = attributes.get("epsilon", 1e-5)
    return lambda x, scale, bias: F.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@_operator("GroupNormalization")
def _group_norm(attributes: _Attributes, constants: _Constants) -> _Step:
    num_groups, epsilon = int(attributes["num_groups"]), float(attributes.get("epsilon", 1e-5))
    return lambda x, scale, bias: F.group_norm(x, num_groups, scale, bias, epsilon)


def _pooling(functions: dict[int, Callable[..., Tensor]], counts_padding: bool) -> Any:
    def build(attributes: _Attributes, constants: _Constants) -> _Step:
        kernel = list(attributes["kernel_shape"])
        rank = len(kernel)
        if any(side != 1 for side in attributes.get("dilations", [])):
            raise ValueError("dilations are not known")
        function = functions[rank]
        options: dict[str, Any] = {
            "stride": list(attributes.get("strides", [1] * rank)),
            "padding": _symmetric(list(attributes.get("pads", [0] * (2 * rank)))),
            "ceil_mode": bool(attributes.get("ceil_mode", 0)),
        }
        if counts_padding:
            options["count_include_pad"] = bool(attributes.get("count_include_pad", 0))
        return lambda x: function(x, kernel, **options)

    return build


_OPERATORS["MaxPool"] = _pooling({1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}, False)
_OPERATORS["AveragePool"] = _pooling({1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}, True)


@_operator("Pad")
def _pad(attributes: _Attributes, constants: _Constants) -> _Step:
    pads = _integers(constants, 1)
    mode = attributes.get("mode", b"constant").decode()
    rank = len(pads) // 2
    pairs = [(pads[axis], pads[rank + axis]) for axis in range(rank)]
    while pairs and mode != "constant" and pairs[0] == (0, 0):
        pairs.pop(0)  # torch reflects the last axes only
    given = constants[2] if len(constants) > 2 and mode == "constant" else None
    value = 0.0 if given is None else float(given)
    flat = [side for pair in reversed(pairs) for side in pair]  # torch begins with the last axis
    mode = {"edge": "replicate"}.get(mode, mode)
    if mode == "constant":
        return lambda x, *_: F.pad(x, flat, "constant", value)
    return lambda x, *_: F.pad(x, flat, mode)


@_operator("Concat")
def _concat(attributes: _Attributes, constants: _Constants) -> _Step:
    axis = attributes["axis"]
    return lambda *parts: torch.cat(parts, axis)


@_operator("Transpose")
def _transpose(attributes: _Attributes, constants: _Constants) -> _Step:
    order = attributes.get("perm")
    return lambda x: x.permute(list(reversed(range(x.dim()))) if order is None else list(order))


@_operator("Flatten")
def _flatten(attributes: _Attributes, constants: _Constants) -> _Step:
    axis = attributes.get("axis", 1)
    return lambda x: x.reshape(int(np.prod(x.shape[:axis])), -1)


@_operator("Reshape")
def _reshape(attributes: _Attributes, constants: _Constants) -> _Step:
    sides = _integers(constants, 1)
    if attributes.get("allowzero", 0) and 0 in sides:
        raise ValueError("allowzero is not known")

    def run(x: Tensor, _: Tensor) -> Tensor:
        return x.reshape([int(x.shape[i]) if side == 0 else side for i, side in enumerate(sides)])

    return run


@_operator("Expand")
def _expand(attributes: _Attributes, constants: _Constants) -> _Step:
    sides = _integers(constants, 1)
    return lambda x, _: x.expand(torch.broadcast_shapes(tuple(int(side) for side in x.shape), tuple(sides)))


@_operator("Unsqueeze")
def _unsqueeze(attributes: _Attributes, constants: _Constants) -> _Step:
    axes = sorted(_integers(constants, 1))

    def run(x: Tensor, _: Tensor) -> Tensor:
        for axis in axes:
            x = x.unsqueeze(axis)
        return x

    return run


@_operator("Squeeze")
def _squeeze(attributes: _Attributes, constants: _Constants) -> _Step:
    axes = tuple(_integers(constants, 1))
    return lambda x, _: x.squeeze(axes)


@_operator("Gather")
def _gather(attributes: _Attributes, constants: _Constants) -> _Step:
    axis, index = attributes.get("axis", 0), constants[1]
    chosen = _integers(constants, 1)
    if index is None or index.ndim > 1 or min(chosen) < 0:
        raise ValueError("its indices must be a list of constants from 0 on")
    if index.ndim == 0:
        return lambda x, _: x.select(axis, chosen[0])
    return lambda x, given: x.index_select(axis, given)


@_operator("Split")
def _split(attributes: _Attributes, constants: _Constants) -> _Step:
    axis, sizes = attributes.get("axis", 0), _integers(constants, 1)
    return lambda x, *_: torch.split(x, sizes, axis)


@_operator("Slice")
def _slice(attributes: _Attributes, constants: _Constants) -> _Step:
    starts, ends = _integers(constants, 1), _integers(constants, 2)
    axes = _integers(constants, 3) if len(constants) > 3 else list(range(len(starts)))
    steps = _integers(constants, 4) if len(constants) > 4 else [1] * len(starts)
    if min(steps) < 1:
        raise ValueError(f"steps {steps} go backwards")

    def run(x: Tensor, *_: Tensor) -> Tensor:
        parts = [slice(None)] * x.dim()
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            parts[axis] = slice(start, end, step)
        return x[tuple(parts)]

    return run


def _reduction(function: Callable[..., Tensor]) -> Callable[[_Attributes, _Constants], _Step]:
    def build(attributes: _Attributes, constants: _Constants) -> _Step:
        kept = bool(attributes.get("keepdims", 1))
        axes = list(attributes["axes"]) if "axes" in attributes else _integers(constants, 1)
        return lambda x, *_: function(x, axes, kept)

    return build


_OPERATORS["ReduceSum"] = _reduction(torch.sum)
_OPERATORS["ReduceMean"] = _reduction(torch.mean)
_OPERATORS["ReduceMax"] = _reduction(torch.amax)


@_operator("Resize")
def _resize(attributes: _Attributes, constants: _Constants) -> _Step:
    mode = attributes.get("mode", b"nearest").decode()
    where = attributes.get("coordinate_transformation_mode", b"half_pixel").decode()
    rounding = attributes.get("nearest_mode", b"round_prefer_floor").decode()
    sizes = constants[3] if len(constants) > 3 else None
    factors = constants[2] if len(constants) > 2 and constants[2] is not None else None
    aligned: bool | None = None
    if mode == "nearest":
        if (where, rounding) != ("asymmetric", "floor"):
            raise ValueError(f"nearest of {where}, {rounding} is not known")
    elif mode == "linear" and where in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        aligned = where == "align_corners"
    else:
        raise ValueError(f"{mode} of {where} is not known")

    def run(x: Tensor, *_: Tensor) -> Tensor:
        if sizes is not None and sizes.size:
            target = [int(side) for side in sizes[2:]]
        else:
            target = [int(int(s) * f) for s, f in zip(x.shape[2:], factors[2:], strict=True)]  # type: ignore[index]
        if mode == "nearest":
            return F.interpolate(x, size=target, mode="nearest")
        kind = {3: "linear", 4: "bilinear", 5: "trilinear"}[x.dim()]
        return F.interpolate(x, size=target, mode=kind, align_corners=aligned)

    return run
