"""Small networks as a training run would leave them, and stand-ins for the files of MODNet and MTCNN."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from jiffexport.face_detection import STAGES
from jiffexport.nets import (
    COMPACT_COLOR,
    COMPACT_FACE_REGRESSOR,
    COMPACT_FACE_SHAPE,
    COMPACT_FINE_COLOR,
    COMPACT_SHAPE,
    ColorNet,
    FaceRegressor,
    FaceShapeNet,
    FineColorNet,
    HeadEncoderConfig,
    ShapeNet,
)

SHAPE_CONFIG = replace(
    COMPACT_SHAPE,
    image_size_px=32,
    stem_channels=(8, 16, 16),
    feature_channels=16,
    num_stacks=1,
    hourglass_depth=1,
)
COLOR_CONFIG = replace(
    COMPACT_COLOR, image_size_px=64, base_channels=4, num_blocks=1, shape_feature_channels=16
)
FACE_SHAPE_CONFIG = replace(
    COMPACT_FACE_SHAPE,
    body=SHAPE_CONFIG,
    volume=replace(
        COMPACT_FACE_SHAPE.volume, resolution=8, point_channels=8, unet_channels=(8, 16), feature_channels=6
    ),
    head_encoder=HeadEncoderConfig(picture_size_px=16, reach=1.3, level_channels=(8, 16), depth_scale=6.0),
)
FINE_COLOR_CONFIG = replace(
    COMPACT_FINE_COLOR,
    image_size_px=128,
    base_channels=4,
    num_blocks=1,
    volume=replace(
        COMPACT_FINE_COLOR.volume,
        resolution=8,
        point_channels=8,
        unet_channels=(8, 16),
        feature_channels=6,
        base_channels=8,
        num_centers=(24, 8),
        group_sizes=(6, 4),
        radii=(0.2, 0.4),
    ),
)
FACE_REGRESSOR_CONFIG = replace(
    COMPACT_FACE_REGRESSOR, crop_size_px=64, stem_channels=(8, 8), stage_channels=(8,), stage_blocks=(1,)
)


def network_of(kind: str) -> torch.nn.Module:
    """A network of that kind, always with the same weights."""
    torch.manual_seed(0)
    networks = {
        "shape": lambda: ShapeNet(SHAPE_CONFIG),
        "color": lambda: ColorNet(COLOR_CONFIG),
        "face_shape": lambda: FaceShapeNet(FACE_SHAPE_CONFIG),
        "fine_color": lambda: FineColorNet(FINE_COLOR_CONFIG),
        "face_regressor": lambda: FaceRegressor(FACE_REGRESSOR_CONFIG),
    }
    return networks[kind]()


def checkpoint_of(kind: str) -> dict[str, Any]:
    """The content of a checkpoint of that kind."""
    network = network_of(kind)
    return {
        "kind": kind,
        "config": network.config.to_dict(),
        "model": network.state_dict(),
        "step": 12,
        "provenance": f"Untrained {kind} network.",
    }


def save_checkpoint(folder: Path, kind: str, **changes: object) -> Path:
    """Writes `{kind}.pt` with some fields changed."""
    path = folder / f"{kind}.pt"
    torch.save(checkpoint_of(kind) | changes, path)
    return path


def write_matting_graph(path: Path) -> Path:
    """Like MODNet's file: opset 11, dynamic sizes, sizes computed from `Shape`."""
    generator = np.random.default_rng(5)
    weight = generator.standard_normal((64, 3, 8, 8)).astype(np.float32) / 14
    mix = generator.standard_normal((1, 64, 1, 1)).astype(np.float32) / 8
    nodes = [
        helper.make_node("Conv", ["input", "weight"], ["low"], strides=[8, 8]),
        helper.make_node("Relu", ["low"], ["active"]),
        helper.make_node("Conv", ["active", "mix"], ["mixed"]),
        helper.make_node("Shape", ["mixed"], ["shape"]),
        helper.make_node("Mul", ["shape", "factors"], ["size"]),
        helper.make_node(
            "Resize",
            ["mixed", "none", "none", "size"],
            ["high"],
            mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
        ),
        helper.make_node("Sigmoid", ["high"], ["output"]),
    ]
    constants = [
        numpy_helper.from_array(weight, "weight"),
        numpy_helper.from_array(mix, "mix"),
        numpy_helper.from_array(np.array([1, 1, 8, 8]), "factors"),
        numpy_helper.from_array(np.zeros(0, np.float32), "none"),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", channels, "height", "width"))
        for name, channels in (("input", 3), ("output", 1))
    ]
    graph = helper.make_graph(nodes, "matting", values[:1], values[1:], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), str(path))
    return path


def face_package_files() -> dict[str, bytes]:
    """What facenet-pytorch holds of MTCNN, with untrained weights, by path."""
    torch.manual_seed(1)
    files = {"facenet_pytorch-2.6.0.dist-info/LICENSE.md": b"licence of the weights"}
    for stage in STAGES:
        buffer = io.BytesIO()
        torch.save(stage.network().state_dict(), buffer)
        files[f"facenet_pytorch/data/{stage.weights}"] = buffer.getvalue()
    return files


def write_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
    return path
