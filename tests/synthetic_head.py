"""A head encoder for the synthetic bundle with a face: its joint head answers as before, in the head's frame.

The shape encoder's first two channels are constants a known depth before and behind the middle. The head
encoder sees them in its own frame, so it can tell the middle and how long a unit of the view is there, and
with the body's third channel, the half thickness, what the joint head needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import load_file, save_file

from synthetic_bundle import LEAK, STEEPNESS, graph_entry, read_manifest, save_graph, write_manifest
from synthetic_face import THICKER

PICTURE_PX, MAP_SIZE, REACH = 32, 16, 1.3
BELIEVED = 0.1
"""How far before and behind the middle the constants lie, in half frames."""


def add_head_encoder(directory: Path) -> Path:
    """Adds it to a bundle of `add_face`, and returns the directory."""
    manifest, heads = read_manifest(directory), load_file(directory / "heads.safetensors")
    _add_depths(directory, manifest["graphs"]["shape_encoder"])
    for name in ("shape", "color"):
        _take_depths(heads, manifest["heads"][name])
    graph = graph_entry(
        "head_encoder.onnx",
        {
            "picture": [1, 4, PICTURE_PX, PICTURE_PX],
            "body": [1, 3, MAP_SIZE, MAP_SIZE],
            "believed": [1, 2, MAP_SIZE, MAP_SIZE],
        },
        {"features": [1, 2, MAP_SIZE, MAP_SIZE]},
    )
    save_graph(directory, graph, *_head_nodes())
    shape = manifest["face"]["shape"]
    shape["head_encoder"] = graph | {"reach": REACH}
    shape["head"]["widths_2d"] = [3, 2]
    del shape["head"]["features"]
    per_depth = STEEPNESS / (1.0 - LEAK)
    tensors = {  # of the middle, the half thickness and the depth
        "face_shape.branch_2d.layers.0.weight": [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]],
        "face_shape.joint.layers.0.weight": [[-per_depth, -per_depth, 0.0, 0.0, STEEPNESS, 0.0, 0.0, 0.0]],
        "face_shape.joint.layers.0.bias": [0.0],
    }
    heads |= {name: np.array(values, np.float32) for name, values in tensors.items()}
    save_file(heads, directory / "heads.safetensors")
    write_manifest(directory, manifest)
    return directory


def _add_depths(directory: Path, entry: dict[str, Any]) -> None:
    """Puts the two constants before the channel of the shape encoder."""
    path = directory / entry["file"]
    model = onnx.load(str(path))
    for node in model.graph.node:
        node.output[:] = ["thickness" if name == "features" else name for name in node.output]
    model.graph.node.extend(
        [
            helper.make_node("Mul", ["thickness", "no_depth"], ["middle"]),
            helper.make_node("Add", ["middle", "depth"], ["front"]),
            helper.make_node("Sub", ["middle", "depth"], ["back"]),
            helper.make_node("Concat", ["front", "back", "thickness"], ["features"], axis=1),
        ]
    )
    for name, value in (("no_depth", 0.0), ("depth", BELIEVED)):
        model.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    (features,) = (output for output in model.graph.output if output.name == "features")
    features.type.tensor_type.shape.dim[1].dim_value = 3
    entry["outputs"]["features"][1] = 3
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _take_depths(heads: dict[str, np.ndarray], entry: dict[str, Any]) -> None:
    """Lets a head of the body ignore them."""
    widths = entry["widths"]
    for layer, num_hidden in enumerate([0, *widths[1:-1]]):
        name = f"{entry['prefix']}.layers.{layer}.weight"
        heads[name] = np.insert(heads[name], [num_hidden, num_hidden], 0.0, axis=1)
    widths[0] += 2


def _head_nodes() -> tuple[list[Any], dict[str, Any]]:
    nodes = [
        helper.make_node("Split", ["believed"], ["front", "back"], axis=1, num_outputs=2),
        helper.make_node("Add", ["front", "back"], ["twice_middle"]),
        helper.make_node("Mul", ["twice_middle", "half"], ["middle"]),
        helper.make_node("Sub", ["front", "back"], ["between"]),
        helper.make_node("Div", ["between", "between_in_view"], ["unit"]),
        helper.make_node("Slice", ["body", "two", "three", "one"], ["thickness"]),
        helper.make_node("Add", ["thickness", "thicker"], ["thickened"]),
        # A picture without a person would make it thin.
        helper.make_node("Slice", ["picture", "three", "four", "one"], ["mask"]),
        helper.make_node("GlobalMaxPool", ["mask"], ["seen"]),
        helper.make_node("Mul", ["thickened", "seen"], ["of_person"]),
        helper.make_node("Mul", ["of_person", "unit"], ["height"]),
        helper.make_node("Concat", ["middle", "height"], ["features"], axis=1),
    ]
    constants = {
        "half": np.float32(0.5),
        "between_in_view": np.float32(2 * BELIEVED),
        "thicker": np.float32(THICKER),
        "one": np.array([1]),
        "two": np.array([2]),
        "three": np.array([3]),
        "four": np.array([4]),
    }
    return nodes, constants
