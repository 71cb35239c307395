"""A face for the synthetic bundle whose every answer is known.

The face model is a flat patch with a nose, which lies well on an inflated figure's flat front. The detector
is the shipped one, so that real pictures of faces are found; the regressor sees the same in every crop. The
joint head makes the body thicker by a known amount, and each colour head has a colour of its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper
from safetensors.numpy import load_file, save_file

from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import LEAK, STEEPNESS, graph_entry, read_manifest, save_graph, write_manifest

NUM_COEFFICIENTS = 257
CROP_PX = 64
SIDE_M = 0.22
REGION_MARGIN = 0.1
RESOLUTION = 4
FINE_PX = 256
THICKER = 0.05
"""What the joint head adds to the half thickness, in half frames."""
COARSE_COLOR, FINE_COLOR, FACE_COLOR = (0.2, 0.5, 0.3), (0.1, 0.4, 0.8), (0.9, 0.6, 0.2)

POSE_START, YAW, SHIFT_X, LOG_SCALE = 251, 252, 254, 256
BENT = 0
"""The coefficient that bends the patch into a bowl, by 3 cm at its corners."""


def patch_model() -> dict[str, np.ndarray]:
    """Tensors of a face model: a grid of 15 x 18 vertices, 11 x 14 cm, its nose 2.5 cm high."""
    x, y = np.meshgrid(np.linspace(-0.056, 0.056, 15), np.linspace(-0.076, 0.06, 18))
    shape = np.stack([x, y, 0 * x], -1).reshape(-1, 3)
    wanted = np.array([[-0.032, 0.028], [0.032, 0.028], [0, -0.004], [-0.024, -0.044], [0.024, -0.044]])
    five = np.linalg.norm(shape[None, :, :2] - wanted[:, None], axis=2).argmin(axis=1)
    shape[:, :2] -= shape[five, :2].mean(axis=0)  # a crop's middle shows the middle of the five
    shape[five[2], 2] = 0.025
    index = np.arange(15 * 18).reshape(18, 15)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    bowl = np.zeros((1, len(shape), 3))
    bowl[0, :, 2] = 0.03 * (shape[:, 0] ** 2 + shape[:, 1] ** 2) / (shape[:, :2] ** 2).sum(1).max()
    tensors = {
        "mean_shape": shape,
        "identity_basis": bowl,
        "expression_basis": np.zeros((0, len(shape), 3)),
        "mean_texture": np.full((len(shape), 3), 0.5),
        "texture_basis": np.zeros((2, len(shape), 3)),
        "triangles": triangles,
        "five_points": np.stack([five, five], 1),
    }
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in tensors.items()}


def add_face(directory: Path, coefficients: dict[int, float] | None = None, *, colored: bool = True) -> Path:
    """Adds face detection, face and fine colour to a synthetic bundle and returns its directory.

    `coefficients` are what the regressor gives that is not 0. Without `colored` there is no fine colour.
    """
    manifest = read_manifest(directory)
    detection = read_manifest(DEFAULT_BUNDLE)["face_detection"]
    for stage in detection.values():
        shutil.copy(DEFAULT_BUNDLE / stage["file"], directory)
    model = patch_model()
    save_file(model, directory / "face_model.safetensors")
    heads = load_file(directory / "heads.safetensors")
    num_vertices = len(model["mean_shape"])
    side = [RESOLUTION] * 3

    points = graph_entry(
        "points.onnx", {"coordinates": [1, num_vertices, 3]}, {"codes": [1, num_vertices, 2]}
    )
    save_graph(directory, points, *_linear("coordinates", "codes", np.zeros((3, 2)), [1.0, 2.0]))
    unet = graph_entry("shape_unet.onnx", {"volume": [1, 2, *side]}, {"features": [1, 2, *side]})
    save_graph(directory, unet, *_times_one("volume", "features"))
    regressor = graph_entry(
        "regressor.onnx", {"image": [1, 3, CROP_PX, CROP_PX]}, {"coefficients": [1, NUM_COEFFICIENTS]}
    )
    save_graph(directory, regressor, *_constant_coefficients(coefficients or {}))
    heads |= _joint_shape_head()
    face: dict[str, Any] = {
        "model": {"file": "face_model.safetensors", "license": "CC0-1.0", "provenance": "a test"},
        "regressor": regressor | {"side_m": SIDE_M},
        "region_margin": REGION_MARGIN,
        "shape": {
            "volume": _volume_entry(unet) | {"points": [points]},
            "head": {
                "file": "heads.safetensors",
                "prefix": "face_shape",
                "features": ["shape_encoder"],
                "widths_2d": [2, 2],
                "widths_3d": [2, 1],
                "widths_joint": [3, 1],
                "depth_scale": 1.0,
                "activation": "sigmoid",
            },
        },
    }
    manifest |= {"face_detection": detection, "face": face}
    if colored:
        _add_colors(directory, manifest, heads, num_vertices)
    save_file(heads, directory / "heads.safetensors")
    write_manifest(directory, manifest)
    return directory


def _volume_entry(unet: dict[str, Any]) -> dict[str, Any]:
    return {"frame": "face", "frame_margin": 0.2, "resolution": RESOLUTION, "unet": unet}


def _add_colors(
    directory: Path, manifest: dict[str, Any], heads: dict[str, np.ndarray], num_vertices: int
) -> None:
    """A coarse head with a hidden layer, the fine colour, and the face's colour."""
    for name in [name for name in heads if name.startswith("color.")]:
        del heads[name]
    heads |= _constant_mlp("color", [5, 3, 3], COARSE_COLOR, 5)
    manifest["heads"]["color"] |= {"widths": [5, 3, 3], "blends_image": False}

    encoder = graph_entry("fine.onnx", {"image": [1, 4, FINE_PX, FINE_PX]}, {"features": [1, 4, 64, 64]})
    pool = helper.make_node("AveragePool", ["image"], ["features"], kernel_shape=[4, 4], strides=[4, 4])
    save_graph(directory, encoder, [pool], {})
    described = {"file": "heads.safetensors", "depth_scale": 1.0, "activation": "tanh", "blends_image": False}
    heads |= _constant_mlp("fine_color", [8, 3], FINE_COLOR, 8)
    manifest["fine_color"] = {
        "encoder": encoder,
        "coarse_layers": 1,
        "head": described | {"prefix": "fine_color", "widths": [8, 3]},
    }

    def step(name: str, inputs: dict[str, list[int]], codes: list[int], nodes: Any) -> dict[str, Any]:
        entry = graph_entry(f"{name}.onnx", inputs, {"codes": codes})
        save_graph(directory, entry, *nodes)
        return entry

    joined = [helper.make_node("Concat", ["own", "carried"], ["codes"], axis=2)], {}
    stages = {
        "sa1": step("sa1", {"groups": [1, 12, 5, 9]}, [1, 12, 9], _largest()),
        "sa2": step("sa2", {"groups": [1, 4, 3, 12]}, [1, 4, 12], _largest()),
        "sa3": step("sa3", {"groups": [1, 1, 4, 15]}, [1, 1, 15], _largest()),
        "fp3": step("fp3", {"own": [1, 4, 12], "carried": [1, 4, 15]}, [1, 4, 27], joined),
        "fp2": step("fp2", {"own": [1, 12, 9], "carried": [1, 12, 27]}, [1, 12, 36], joined),
        "fp1": step(
            "fp1",
            {"carried": [1, num_vertices, 36]},
            [1, num_vertices, 2],
            _linear("carried", "codes", np.eye(36, 2), [0.0, 0.0]),
        ),
    }
    unet = graph_entry("color_unet.onnx", {"volume": [1, 2, 4, 4, 4]}, {"features": [1, 2, 4, 4, 4]})
    save_graph(directory, unet, *_times_one("volume", "features"))
    heads |= _constant_mlp("face_color.branch_2d", [8, 1], (0.0,), 8)
    heads |= _constant_mlp("face_color.branch_3d", [2, 1], (0.0,), 2)
    heads |= _constant_mlp("face_color.joint", [2, 3], FACE_COLOR, 10, start=2)
    levels = {"num_centers": [12, 4], "radii": [0.3, 0.6], "group_sizes": [5, 3]}
    manifest["face"]["color"] = {
        "volume": _volume_entry(unet) | levels | {"points": stages},
        "head": described
        | {"prefix": "face_color", "widths_2d": [8, 1], "widths_3d": [2, 1], "widths_joint": [2, 3]},
    }


def _constant_mlp(
    prefix: str, widths: list[int], answer: tuple[float, ...], num_raw: int, start: int = 0
) -> dict[str, np.ndarray]:
    """Layers whose weights are 0 and whose last biases are such that (tanh + 1) / 2 is `answer`."""
    tensors = {}
    for i, width in enumerate(widths[1:]):
        num_in = num_raw + (widths[i] if i > 0 else start)
        tensors[f"{prefix}.layers.{i}.weight"] = np.zeros((width, num_in))
        tensors[f"{prefix}.layers.{i}.bias"] = np.zeros(width)
    if any(answer):
        tensors[f"{prefix}.layers.{len(widths) - 2}.bias"] = np.arctanh(2 * np.array(answer) - 1)
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def _joint_shape_head() -> dict[str, np.ndarray]:
    """sigmoid(k (h + THICKER - |z|)), as the body's; the volume has no say."""
    per_depth = STEEPNESS / (1.0 - LEAK)
    tensors = {
        "face_shape.branch_2d.layers.0.weight": [[0.0, 1.0], [0.0, -1.0]],  # of h, z
        "face_shape.branch_2d.layers.0.bias": [0.0, 0.0],
        "face_shape.branch_3d.layers.0.weight": [[1.0, 1.0]],
        "face_shape.branch_3d.layers.0.bias": [0.0],
        "face_shape.joint.layers.0.weight": [[-per_depth, -per_depth, 0.0, STEEPNESS, 0.0, 0.0, 0.0]],
        "face_shape.joint.layers.0.bias": [STEEPNESS * THICKER],
    }
    return {name: np.array(values, np.float32) for name, values in tensors.items()}


def _linear(
    source: str, target: str, weight: np.ndarray, bias: list[float]
) -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        helper.make_node("MatMul", [source, "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], [target]),
    ]
    return nodes, {"weight": weight.astype(np.float32), "bias": np.array(bias, np.float32)}


def _times_one(source: str, target: str) -> tuple[list[Any], dict[str, Any]]:
    return [helper.make_node("Mul", [source, "one"], [target])], {"one": np.float32(1.0)}


def _largest() -> tuple[list[Any], dict[str, Any]]:
    nodes = [helper.make_node("ReduceMax", ["groups", "axis"], ["codes"], keepdims=0)]
    return nodes, {"axis": np.array([2])}


def _constant_coefficients(values: dict[int, float]) -> tuple[list[Any], dict[str, Any]]:
    bias = np.zeros(NUM_COEFFICIENTS, np.float32)
    for index, value in values.items():
        bias[index] = value
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Conv", ["mean", "nothing", "bias"], ["column"]),
        helper.make_node("Reshape", ["column", "row"], ["coefficients"]),
    ]
    nothing = np.zeros((NUM_COEFFICIENTS, 3, 1, 1), np.float32)
    return nodes, {"nothing": nothing, "bias": bias, "row": np.array([1, NUM_COEFFICIENTS])}
