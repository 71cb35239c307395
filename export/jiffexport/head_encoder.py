"""The encoder of a head's own picture as a graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .checkpoint import TrainedNetwork
from .exported_graph import ExportedGraph, exported, trained_provenance
from .nets import FaceShapeNet, HeadEncoderConfig
from .onnx_graph import Store
from .photographs import normalize
from .to_onnx import module_to_onnx
from .verify import Example

NAME = "head_encoder"


def export_head_encoder(
    shape: TrainedNetwork[FaceShapeNet], crops: Sequence[NDArray[np.uint8]], store: Store
) -> ExportedGraph:
    """The graph {"picture", "body", "believed"} to "features" of a network that has one, and inputs for it.

    Parameters
    ----------
    crops
        (P, P, 3) of faces.
    """
    encoder, config = shape.network.head, shape.network.config.head_encoder
    assert encoder is not None and config is not None
    num_channels = shape.network.config.body.feature_channels
    inputs = [_inputs(crop, config, num_channels) for crop in crops]
    shapes = {name: value.shape for name, value in inputs[0].items()}
    model = module_to_onnx(encoder, shapes, ["features"], NAME, store)
    with torch.inference_mode():
        outputs = [encoder(*(torch.from_numpy(value) for value in given.values())) for given in inputs]
    examples = [
        Example(given, {"features": output.numpy()}) for given, output in zip(inputs, outputs, strict=True)
    ]
    provenance = trained_provenance(shape.provenance, shape.step)
    return exported(NAME, model, examples, store, provenance, license=shape.license)


def _inputs(
    crop: NDArray[np.uint8], config: HeadEncoderConfig, num_channels: int
) -> dict[str, NDArray[np.float32]]:
    """A face under a round mask, believed to be as deep as a ball; of other features there is noise."""
    size_px, size = config.picture_size_px, config.feature_size

    def radius(num: int) -> NDArray[np.float32]:
        steps = np.linspace(-config.reach, config.reach, num, dtype=np.float32)
        return np.hypot(*np.meshgrid(steps, steps))

    rgb = normalize(np.asarray(Image.fromarray(crop).resize((size_px, size_px), Image.Resampling.BOX)))
    mask = (radius(size_px) < 1).astype(np.float32)[None, None]
    height = np.sqrt(np.clip(1 - radius(size) ** 2, 0, None)) * config.depth_scale
    believed = np.stack([height, -height])[None]
    body = np.random.default_rng(0).normal(size=(1, num_channels, size, size)).astype(np.float32)
    return {"picture": np.concatenate([rgb * mask, mask], 1), "body": body, "believed": believed}
