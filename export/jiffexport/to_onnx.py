"""An encoder in torch as an ONNX graph for the engines.

Which exporter: torch's two exporters give the same operators once constants are folded (and equally fast
graphs), but the older one, which traces, takes a fifth of the time and needs nothing beyond `onnx`.

What is slow by default: not the norms but cubic `Resize`, which ONNX Runtime computes in a scalar loop. On
one core it takes 6.7 s for the published hourglass with it and 2.4 s with the matrix products of
`nets.upsample` (OpenVINO: 2.4 s either way). Group norms: see `passes.group_norms`.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from .nets.residual_encoder import STRIDE, ResidualEncoder
from .onnx_graph import OPSET, Store, finish
from .passes import (
    convolve_before_upsampling,
    fold_constants,
    spread_group_norms,
    store_weights_fp16,
    with_static_shapes,
)
from .verify import Example


class Encoder(Protocol):
    """A module with `inference(image)`, which returns named tensors."""

    def inference(self, image: Tensor) -> dict[str, Tensor]: ...

    def eval(self) -> object: ...


def encoder_to_onnx(
    encoder: Encoder, image_shape: tuple[int, ...], name: str, store: Store
) -> onnx.ModelProto:
    """Exports `encoder.inference`.

    Parameters
    ----------
    encoder
        Its method `inference(image)` returns a dictionary of named tensors.
    image_shape
        (1, C, S, S) of its input, `image`.
    name
        Of the graph.
    store
        How weights lie in the file; the graph computes in float32 either way.

    Returns
    -------
    onnx.ModelProto
        Opset 18, static shapes, input `image`, outputs named as in the dictionary. Batch norms that follow
        a convolution are folded into it. Where pictures of the encoder may be cut (`cut_of`), engines that
        give the input other sides may run it on such.
    """
    module = _Inference(encoder)
    traced = _traced(module, {"image": image_shape})
    cut_input = None if cut_of(encoder) is None else "image"
    return _finished(traced, {"image": image_shape}, module.output_names, name, store, cut_input)


def cut_of(encoder: object) -> dict[str, int] | None:
    """Where pictures of `encoder` may be cut, for a manifest; None for one that sees all from everywhere."""
    if not isinstance(encoder, ResidualEncoder):
        return None
    return {"stride_px": STRIDE, "figure": encoder.reach.figure, "border": encoder.reach.border}


def module_to_onnx(
    module: nn.Module,
    input_shapes: Mapping[str, tuple[int, ...]],
    output_names: Sequence[str],
    name: str,
    store: Store,
) -> onnx.ModelProto:
    """Exports `module(*inputs)`, which returns one tensor or a tuple of them; otherwise as `encoder_to_onnx`.

    Parameters
    ----------
    input_shapes
        By name, in the order of the arguments.
    output_names
        In the order of the outputs.
    """
    return _finished(_traced(module, input_shapes), input_shapes, output_names, name, store)


def _traced(module: nn.Module, input_shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """What torch makes of one run; the outputs have names of its own."""
    inputs = tuple(torch.zeros(shape) for shape in input_shapes.values())
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The tracing exporter announces its deprecation and that sizes become constants, which is the aim.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            inputs,
            buffer,  # type: ignore[arg-type]  # torch's annotation knows only paths for the other exporter
            dynamo=False,
            opset_version=OPSET,
            input_names=list(input_shapes),
        )
    return onnx.load_from_string(buffer.getvalue())


def _finished(
    traced: onnx.ModelProto,
    input_shapes: Mapping[str, tuple[int, ...]],
    output_names: Sequence[str],
    name: str,
    store: Store,
    cut_input: str | None = None,
) -> onnx.ModelProto:
    """With names, static shapes and folded constants."""
    for value, output_name in zip(traced.graph.output, output_names, strict=True):
        traced.graph.node.append(helper.make_node("Identity", [value.name], [output_name]))
        value.name = output_name
    model = with_static_shapes(traced, dict(input_shapes))
    model = convolve_before_upsampling(spread_group_norms(fold_constants(model), cut_input))
    if store == "fp16":
        model = store_weights_fp16(model)
    return finish(model, name)


def reference_features(encoder: Encoder, images: list[np.ndarray]) -> list[Example]:
    """What `encoder.inference` makes of `images`, each (1, C, S, S)."""
    examples = []
    encoder.eval()
    with torch.no_grad():
        for image in images:
            outputs = encoder.inference(torch.from_numpy(image))
            examples.append(Example({"image": image}, {key: value.numpy() for key, value in outputs.items()}))
    return examples


class _Inference(nn.Module):
    """`inference` as `forward`, with the tensors in order; their names are known after a run."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.output_names: list[str] = []

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.encoder.inference(image)
        self.output_names = list(outputs)
        return tuple(outputs.values())
