"""A graph of a bundle as TorchScript: traced, frozen, loadable from Python and C++ without this package.

The file says in `jiff.json`, an extra file of the archive, which tensors it takes and gives, in order.
"""

from __future__ import annotations

import io
import json
import warnings

import onnx
import torch

from .errors import GraphError
from .graph_module import GraphModule

INTERFACE_FILE = "jiff.json"


def to_torchscript(model: onnx.ModelProto) -> bytes:
    """A module that takes the graph's inputs in order and returns a tuple of its outputs.

    Raises
    ------
    GraphError
        The graph has an operator without a form in torch; the message names both.
    """
    graph = model.graph
    module = GraphModule(model).eval()
    # Half precision, which is for GPUs, is a scalar loop on a processor: minutes.
    is_half = any(buffer.dtype == torch.float16 for buffer in module.buffers())
    device = "cuda" if is_half and torch.cuda.is_available() else "cpu"
    module.to(device)
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in graph.input]
    inputs = tuple(torch.zeros(shape, device=device) for shape in shapes)
    try:
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")  # sizes become constants, which is the aim
            traced = torch.jit.freeze(torch.jit.trace(module, inputs, check_trace=False))
    except RuntimeError as error:
        raise GraphError(f"{graph.name}: torch cannot trace it ({error})") from error
    interface = {"inputs": _shapes(graph.input), "outputs": _shapes(graph.output)}
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer, _extra_files={INTERFACE_FILE: json.dumps(interface).encode()})
    return buffer.getvalue()


def _shapes(values: object) -> list[tuple[str, list[int]]]:
    return [
        (value.name, [dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in values  # type: ignore[attr-defined]
    ]
