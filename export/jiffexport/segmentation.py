"""Person segmentation: MODNet's public graph, made static and small.

MODNet (Ke et al., AAAI 2022) mattes people without a trimap. Its ONNX file (Apache-2.0) is dynamic, of
opset 11 and 26 MB. Here it becomes the bundle's `segmentation.onnx`: fixed 512 x 512, constants folded,
the bundle's names and opset, and weights stored in half precision.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import version_converter
from onnx.shape_inference import InferenceError

from .errors import GraphError
from .onnx_graph import OPSET, Store, finish, rename_values
from .passes import store_weights_fp16, with_static_shapes
from .verify import Example, compile_graph

IMAGE_SIZE_PX = 512
INPUT_SHAPE = (1, 3, IMAGE_SIZE_PX, IMAGE_SIZE_PX)
OUTPUT_SHAPE = (1, 1, IMAGE_SIZE_PX, IMAGE_SIZE_PX)


def load_modnet(path: Path) -> onnx.ModelProto:
    """MODNet as published.

    Raises
    ------
    GraphError
        If the file is not an ONNX graph with one image input and one output.
    """
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and file errors share no base class
        raise GraphError(f"{path}: not a readable ONNX graph ({error})") from error
    if len(model.graph.input) != 1 or len(model.graph.output) != 1:
        names = [value.name for value in (*model.graph.input, *model.graph.output)]
        raise GraphError(f"{path}: a matting graph has one input and one output, this one has {names}")
    return model


def static_segmentation(modnet: onnx.ModelProto, store: Store = "fp16") -> onnx.ModelProto:
    """The graph of the bundle: `image` (1, 3, 512, 512) in [-1, 1] -> `matte` (1, 1, 512, 512) in [0, 1]."""
    try:
        model = with_static_shapes(modnet, {modnet.graph.input[0].name: INPUT_SHAPE})
        model = version_converter.convert_version(model, OPSET)
    except (InferenceError, RuntimeError) as error:
        raise GraphError(f"the matting graph does not take {INPUT_SHAPE}: {error}") from error
    if store == "fp16":
        model = store_weights_fp16(model)
    renamed = {model.graph.input[0].name: "image", model.graph.output[0].name: "matte"}
    model = finish(rename_values(model, renamed), "segmentation")
    shape = tuple(dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim)
    if shape != OUTPUT_SHAPE:
        raise GraphError(f"a matting graph gives {OUTPUT_SHAPE} for {INPUT_SHAPE}, this one gives {shape}")
    return model


def reference_mattes(modnet: onnx.ModelProto, images: list[np.ndarray]) -> list[Example]:
    """What the published graph makes of `images`, each (1, 3, 512, 512) in [-1, 1]."""
    run = compile_graph(modnet.SerializeToString(), "onnxruntime")
    source, target = modnet.graph.input[0].name, modnet.graph.output[0].name
    return [Example({"image": image}, {"matte": run({source: image})[target]}) for image in images]
