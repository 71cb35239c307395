"""A tiny bundle whose reconstructions are known: a figure is inflated by what its blurred mask says.

Occupancy is sigmoid(k (h(x, y) - |z|)): the head computes |z| exactly from two leaky ReLUs, and the
shape encoder gives the half thickness h from the mask alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

IMAGE_SIZE_PX = 128
FEATURE_SIZE = 64
MARGIN = 0.1
FIXED_SIZE_M = 2.0
ESTIMATED_SIZE_M = 1.5
STEEPNESS = 40.0
LEAK = 0.01


def half_thickness(blurred_mask: np.ndarray) -> np.ndarray:
    """In view units; negative outside the figure."""
    return 0.8 * np.maximum(blurred_mask - 0.5, 0.0) - 0.02


def write_bundle(
    directory: Path,
    *,
    blends_image: bool = True,
    segmentation: bool = True,
    estimates_size: bool = True,
    num_channels: int = 4,
    head_dtype: type = np.float32,
    shape_bias: float = 0.0,
) -> Path:
    """Writes the bundle and returns its directory. `shape_bias` is added to h - |z|."""
    directory.mkdir(parents=True, exist_ok=True)
    shape_outputs = {"features": [1, 1, FEATURE_SIZE, FEATURE_SIZE]}
    if estimates_size:
        shape_outputs["log_size_m"] = [1, 1]
    frame_input = {"image": [1, num_channels, IMAGE_SIZE_PX, IMAGE_SIZE_PX]}
    color_outputs = {"features": [1, 3, FEATURE_SIZE, FEATURE_SIZE]}
    graphs: dict[str, Any] = {
        "shape_encoder": graph_entry("shape_encoder.onnx", frame_input, shape_outputs),
        "color_encoder": graph_entry("color_encoder.onnx", frame_input, color_outputs),
    }
    save_graph(directory, graphs["shape_encoder"], *_shape_nodes(num_channels, estimates_size))
    save_graph(directory, graphs["color_encoder"], *_color_nodes())
    if segmentation:
        graphs["segmentation"] = graph_entry(
            "segmentation.onnx", {"image": [1, 3, 64, 64]}, {"matte": [1, 1, 64, 64]}
        )
        save_graph(directory, graphs["segmentation"], *_segmentation_nodes())

    weights = _shape_head(shape_bias) | _color_head(blends_image)
    save_file(
        {name: values.astype(head_dtype) for name, values in weights.items()}, directory / "heads.safetensors"
    )
    head = {"file": "heads.safetensors", "depth_scale": 1.0}
    manifest = {
        "schema_version": 1,
        "name": "inflated",
        "version": "0.0.1",
        "license": "Apache-2.0",
        "provenance": "written by a test",
        "frame": {"image_size_px": IMAGE_SIZE_PX, "margin": MARGIN, "size_m": FIXED_SIZE_M},
        "graphs": graphs,
        "heads": {
            "shape": head
            | {
                "prefix": "shape",
                "features": ["shape_encoder"],
                "widths": [2, 2, 1],
                "activation": "sigmoid",
            },
            "color": head
            | {
                "prefix": "color",
                "features": ["shape_encoder", "color_encoder"],
                "widths": [5, 4 if blends_image else 3],
                "activation": "tanh",
                "blends_image": blends_image,
            },
        },
    }
    write_manifest(directory, manifest)
    return directory


def with_torchscript(bundle: Path, directory: Path) -> Path:
    """A copy of the bundle with its graphs as the exporter writes them in TorchScript, too."""
    from jiffexport.to_torchscript import to_torchscript

    shutil.copytree(bundle, directory)
    manifest = read_manifest(directory)
    for entry in manifest["graphs"].values():
        file = f"{Path(entry['file']).stem}.fp32.ts"
        (directory / file).write_bytes(to_torchscript(onnx.load(str(directory / entry["file"]))))
        entry["variants"] = [{"format": "torchscript", "precision": "fp32", "file": file}]
    write_manifest(directory, manifest)
    return directory


def write_manifest(directory: Path, manifest: dict[str, Any]) -> None:
    """Writes bundle.json with the hashes of the files that are there."""
    files = [path for path in directory.iterdir() if path.name != "bundle.json"]
    manifest["files"] = {path.name: file_record(path) for path in files}
    (directory / "bundle.json").write_text(json.dumps(manifest))


def face_detection_entry(file: str) -> dict[str, Any]:
    """A section `face_detection` of the right shapes; every stage names `file`."""

    def stage(inputs: list[int], **outputs: list[int]) -> dict[str, Any]:
        return graph_entry(file, {"image": inputs}, outputs) | {"least_score": 0.6}

    return {
        "proposal": stage([2, 4, 32, 32], score=[2, 1, 11, 11], offsets=[2, 4, 11, 11]),
        "refinement": stage([3, 3, 24, 24], score=[3, 1], offsets=[3, 4]),
        "landmarks": stage([5, 3, 48, 48], score=[5, 1], offsets=[5, 4], landmarks=[5, 10]),
    }


def read_manifest(directory: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((directory / "bundle.json").read_text())
    return manifest


def file_record(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}


def graph_entry(file: str, inputs: dict[str, list[int]], outputs: dict[str, list[int]]) -> dict[str, Any]:
    return {"file": file, "inputs": inputs, "outputs": outputs}


def save_graph(directory: Path, entry: dict[str, Any], nodes: list[Any], constants: dict[str, Any]) -> None:
    def infos(tensors: dict[str, list[int]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()
        ]

    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(
        nodes, "synthetic", infos(entry["inputs"]), infos(entry["outputs"]), initializers
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(directory / entry["file"]))


def _blur(source: str, target: str) -> Any:
    return helper.make_node(
        "AveragePool", [source], [target], kernel_shape=[9, 9], pads=[4, 4, 4, 4], count_include_pad=1
    )


def _shape_nodes(num_channels: int, estimates_size: bool) -> tuple[list[Any], dict[str, Any]]:
    # Without a mask channel, what is far from mid-grey in the red channel counts as the figure.
    mask = (
        [helper.make_node("Slice", ["image", "three", "four", "one_axis"], ["mask"])]
        if num_channels == 4
        else [
            helper.make_node("Slice", ["image", "zero", "one", "one_axis"], ["red"]),
            helper.make_node("Abs", ["red"], ["reddish"]),
            helper.make_node("Greater", ["reddish", "threshold"], ["figure"]),
            helper.make_node("Cast", ["figure"], ["mask"], to=TensorProto.FLOAT),
        ]
    )
    nodes = mask + [
        _blur("mask", "blurred_once"),
        _blur("blurred_once", "blurred"),
        helper.make_node("AveragePool", ["blurred"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Sub", ["small", "half"], ["above_half"]),
        helper.make_node("Relu", ["above_half"], ["inside"]),
        helper.make_node("Mul", ["inside", "height"], ["inflated"]),
        helper.make_node("Sub", ["inflated", "rim"], ["features"]),
    ]
    if estimates_size:
        nodes += [
            helper.make_node("GlobalAveragePool", ["mask"], ["mean"]),
            helper.make_node("Mul", ["mean", "nothing"], ["none"]),
            helper.make_node("Add", ["none", "log_size"], ["size_4d"]),
            helper.make_node("Reshape", ["size_4d", "two_sides"], ["log_size_m"]),
        ]
    constants = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "three": np.array([3]),
        "four": np.array([4]),
        "one_axis": np.array([1]),
        "two_sides": np.array([1, 1]),
        "threshold": np.float32(0.27),
        "half": np.float32(0.5),
        "height": np.float32(0.8),
        "rim": np.float32(0.02),
        "nothing": np.float32(0.0),
        "log_size": np.float32(math.log(ESTIMATED_SIZE_M)),
    }
    used = {name for node in nodes for name in node.input}
    return nodes, {name: value for name, value in constants.items() if name in used}


def _color_nodes() -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        helper.make_node("Slice", ["image", "zero", "three", "one_axis"], ["rgb"]),
        helper.make_node("AveragePool", ["rgb"], ["features"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    return nodes, {"zero": np.array([0]), "three": np.array([3]), "one_axis": np.array([1])}


def _segmentation_nodes() -> tuple[list[Any], dict[str, Any]]:
    # People are red and backgrounds blue.
    nodes = [
        helper.make_node("Conv", ["image", "red_minus_blue"], ["redness"]),
        helper.make_node("Sigmoid", ["redness"], ["matte"]),
    ]
    return nodes, {"red_minus_blue": np.array([8.0, 0.0, -8.0], np.float32).reshape(1, 3, 1, 1)}


def _shape_head(bias: float) -> dict[str, np.ndarray]:
    # Inputs h, z. leaky(z) + leaky(-z) = (1 - LEAK) |z|.
    per_depth = STEEPNESS / (1.0 - LEAK)
    return {
        "shape.layers.0.weight": np.array([[0.0, 1.0], [0.0, -1.0]]),
        "shape.layers.0.bias": np.zeros(2),
        "shape.layers.1.weight": np.array([[-per_depth, -per_depth, STEEPNESS, 0.0]]),
        "shape.layers.1.bias": np.array([STEEPNESS * bias]),
    }


def _color_head(blends_image: bool) -> dict[str, np.ndarray]:
    # Inputs h, r, g, b, z. Colour is (tanh(rgb) + 1) / 2; blended, the photograph's pixel alone.
    weight = np.zeros((4 if blends_image else 3, 5))
    weight[:3, 1:4] = np.eye(3)
    bias = np.zeros(len(weight))
    bias[3:] = 20.0
    return {"color.layers.0.weight": weight, "color.layers.0.bias": bias}
