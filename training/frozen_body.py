"""A finished body, of a bundle or of checkpoints: what the face heads are trained on.

The face's parts see the body's features and never change them, so the body may come as a bundle, whose
encoders are graphs that nothing could train anyway, or as the checkpoints that it was exported from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

import jiffexport.nets as nets
from jiffexport.checkpoint import load_color, load_shape
from jiffexport.nets.head import ImplicitHead

Encoder = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class FrozenBody:
    """Encoders and heads of shape and coarse colour.

    Attributes
    ----------
    image_size_px
        Side of the encoder input that both encoders take (B, 4, S, S).
    shape_encoder, color_encoder
        Encoder input -> features (B, C, H, W).
    """

    image_size_px: int
    shape_encoder: Encoder
    color_encoder: Encoder
    shape_head: ImplicitHead
    color_head: ImplicitHead

    @property
    def depth_scale(self) -> float:
        return self.shape_head.depth_scale

    @property
    def shape_channels(self) -> int:
        """Channels of the shape encoder's features."""
        return self.shape_head.layers[0].in_channels - 1

    def coarse_activations(self, samples: Tensor, depth: Tensor, num_layers: int) -> Tensor:
        """What the colour head makes of the features of both encoders (B, C, N) at view z (B, N)."""
        return self.color_head.activations(self.color_head.raw(samples, depth), num_layers)


def load_body(
    source: Path, color: Path | None = None, num_threads: int = 1, precision: str = "f32"
) -> FrozenBody:
    """A bundle folder, or a shape checkpoint together with a colour checkpoint.

    `precision`, f32 or bf16, is what a bundle's encoders compute in.

    Raises
    ------
    ValueError
        The bundle has no colour network, or a checkpoint came alone.
    """
    if source.is_dir():
        return _bundle_body(source, num_threads, precision)
    if color is None:
        raise ValueError(f"{source} is a checkpoint of the shape: give the colour's as well")
    return _checkpoint_body(source, color)


def _bundle_body(folder: Path, num_threads: int, precision: str) -> FrozenBody:
    manifest = json.loads((folder / "bundle.json").read_text())
    for name in ("shape", "color"):
        if name not in manifest["heads"]:
            raise ValueError(f"{folder}: the bundle has no {name} head, the face heads are trained on both")
    size = manifest["frame"]["image_size_px"]
    heads = {name: _bundle_head(folder, manifest["heads"][name]) for name in ("shape", "color")}
    encoders = {
        name: _graph(folder, manifest["graphs"][f"{name}_encoder"], num_threads, precision)
        for name in ("shape", "color")
    }
    return FrozenBody(size, encoders["shape"], encoders["color"], heads["shape"], heads["color"])


def _bundle_head(folder: Path, entry: dict) -> ImplicitHead:
    widths = entry["widths"]
    scale, activation = entry["depth_scale"], entry["activation"]
    head = ImplicitHead(widths[0] - 1, tuple(widths[1:-1]), widths[-1], scale, activation)
    prefix = entry["prefix"] + "."
    tensors = load_file(folder / entry["file"])
    values = {k[len(prefix) :]: v.float() for k, v in tensors.items() if k.startswith(prefix)}
    head.load_state_dict({name: v[..., None] if v.dim() == 2 else v for name, v in values.items()})
    return head.eval().requires_grad_(False)


def _graph(folder: Path, entry: dict, num_threads: int, precision: str) -> Encoder:
    import openvino

    options = {"INFERENCE_NUM_THREADS": num_threads, "INFERENCE_PRECISION_HINT": precision}
    graph = openvino.Core().compile_model(str(folder / entry["file"]), "CPU", options)
    side = entry["inputs"]["image"][-1]

    def encode(image: Tensor) -> Tensor:
        rows = F.avg_pool2d(image, image.shape[-1] // side).split(1)
        found = [graph(row.numpy())["features"].copy() for row in rows]
        return torch.from_numpy(np.concatenate(found))

    return encode


def _checkpoint_body(shape_path: Path, color_path: Path) -> FrozenBody:
    shape, color = load_shape(shape_path).network, load_color(color_path).network

    def encode_shape(image: Tensor) -> Tensor:
        return _last(shape.encoder, image, shape.config)

    def encode_color(image: Tensor) -> Tensor:
        with torch.no_grad():
            return color.encoder(image[:, : color.config.in_channels])

    return FrozenBody(color.config.image_size_px, encode_shape, encode_color, shape.head, color.head)


@torch.no_grad()
def _last(encoder: torch.nn.Module, image: Tensor, config: nets.ShapeConfig) -> Tensor:
    """The last stack's features; the shape's picture may be a whole fraction of the colour's."""
    factor = image.shape[-1] // config.image_size_px
    return encoder(F.avg_pool2d(image[:, : config.in_channels], factor))[0][-1]
