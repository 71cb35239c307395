"""A bundle of the paper's size for `pipeline.py`: random networks, but a person's surface.

    python benchmarks/paper_bundle.py OUT

All networks have the published sizes and random weights, which take as long as trained ones; the detector,
the face model and its regressor are those of the default bundle. Two channels of the shape encoder's map are
then replaced by how deep a person lies in each column and how thick: what the default bundle makes of
examples/held_out_render.png. Two units of every hidden layer of the heads carry the distance from the middle,
and the last layer compares it with the thickness: a figure of two sheets, with the slope of a trained
occupancy. The other units are computed as ever, and the last layer does not read them.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, load_from_string, numpy_helper
from scipy import ndimage
from torch import nn

from jiffexport.assemble import BuildOptions, build_bundle
from jiffexport.bundle import read_bundle, write_bundle
from jiffexport.face_assembly import FaceSources, add_face_parts
from jiffexport.nets import ColorNet, FaceShapeNet, FineColorNet, ShapeNet
from jiffexport.nets.config import PAPER_COLOR, PAPER_FACE_SHAPE, PAPER_FINE_COLOR, PAPER_SHAPE
from jiffexport.nets.head import SkipMlp
from jiffsdk import Reconstructor
from jiffsdk.reconstructor import DEFAULT_BUNDLE

ROOT = Path(__file__).parents[1]
PHOTOGRAPH = ROOT / "examples" / "held_out_render.png"
MIDDLE, HALF = 0, 1  # the replaced channels
SLOPE = 150.0  # of the occupancy's logit, by view depth: from 0.1 to 0.9 within 3 % of the frame
OUTSIDE = -0.05  # half a thickness beside the person


def depth_maps(size: int) -> NDArray[np.float32]:
    """Middle and half thickness of the person in each column of a map: (2, size, size), in view depth."""
    person = Reconstructor(precision="fp32")(PHOTOGRAPH, resolution=256)
    view = person.vertices * (2 / person.size_m) * np.array([1, -1, 1])
    column, row = np.rint((view[:, :2] + 1) / 2 * (size - 1)).astype(int).T
    front, back = np.full((size, size), -np.inf), np.full((size, size), np.inf)
    np.maximum.at(front, (row, column), view[:, 2])
    np.minimum.at(back, (row, column), view[:, 2])
    missed = ~np.isfinite(front)
    nearest = tuple(ndimage.distance_transform_edt(missed, return_distances=False, return_indices=True))
    middle = (front[nearest] + back[nearest]) / 2
    half = np.where(missed, OUTSIDE, (front[nearest] - back[nearest]) / 2)
    return np.stack([middle, half]).astype(np.float32)


def carry(mlp: SkipMlp, num_start: int, depth_scale: float, depth_channel: int, reads_raw: bool) -> None:
    """Hands the distance from the middle on in the first two units of each layer, `reads_raw`: first makes
    it from the raw channels; otherwise the units stand at the front of the start channels."""
    with torch.no_grad():
        num_hidden = num_start
        for i, layer in enumerate(mlp.layers[:-1]):
            layer.weight[:2] = 0
            layer.bias[:2] = 0
            for unit, sign in enumerate((1.0, -1.0)):
                if i == 0 and reads_raw:
                    layer.weight[unit, num_hidden + depth_channel] = sign / depth_scale
                    layer.weight[unit, num_hidden + MIDDLE] = -sign
                else:
                    layer.weight[unit, unit] = 1
            num_hidden = layer.out_channels
        last = mlp.layers[-1]
        last.weight[:] = 0
        last.bias[:] = 0
        last.weight[0, :2] = -SLOPE
        last.weight[0, num_hidden + HALF] = SLOPE


def save(folder: Path, kind: str, network: nn.Module) -> Path:
    path = folder / f"{kind}.pt"
    content = {"kind": kind, "config": network.config.to_dict(), "model": network.state_dict(), "step": 0}
    torch.save(content | {"provenance": "Random weights, for benchmarks."}, path)
    return path


def with_maps(model: bytes, maps: NDArray[np.float32]) -> bytes:
    """A shape encoder whose first channels are `maps`."""
    graph = load_from_string(model)
    for node in graph.graph.node:
        node.output[:] = ["all_features" if name == "features" else name for name in node.output]
        node.input[:] = ["all_features" if name == "features" else name for name in node.input]
    constants = {
        "person": maps[None],
        "first": np.array([len(maps)]),
        "end": np.array([2**31 - 1]),
        "channels": np.array([1]),
    }
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    graph.graph.node.extend(
        [
            helper.make_node("Slice", ["all_features", "first", "end", "channels"], ["other_features"]),
            helper.make_node("Concat", ["person", "other_features"], ["features"], axis=1),
        ]
    )
    assert graph.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    return graph.SerializeToString()


def build(out: Path) -> None:
    """Writes the bundle, in a minute or two."""
    torch.manual_seed(0)
    config = replace(PAPER_FACE_SHAPE, body=PAPER_SHAPE)
    body, face = ShapeNet(PAPER_SHAPE), FaceShapeNet(config, has_body=False)
    depth_channel = PAPER_SHAPE.feature_channels
    carry(body.head, 0, PAPER_SHAPE.depth_scale, depth_channel, reads_raw=True)
    carry(face.face_head.branch_2d, 0, PAPER_SHAPE.depth_scale, depth_channel, reads_raw=True)
    start = config.face_head.widths_2d[-1] + config.face_head.widths_3d[-1]
    carry(face.face_head.joint, start, PAPER_SHAPE.depth_scale, depth_channel, reads_raw=False)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        networks = {
            "shape": body,
            "face_shape": face,
            "color": ColorNet(PAPER_COLOR),
            "fine_color": FineColorNet(PAPER_FINE_COLOR),
        }
        paths = {kind: save(folder, kind, network.eval()) for kind, network in networks.items()}
        options = BuildOptions(
            paths["shape"], paths["color"], folder / "bundle", (PHOTOGRAPH,), "0", "paper", verify=False
        )
        build_bundle(options)
        manifest, files = read_bundle(options.out)
        default, default_files = read_bundle(DEFAULT_BUNDLE)
        manifest["face_detection"] = default["face_detection"]
        files |= {name: content for name, content in default_files.items() if name.startswith("face_")}
        files |= {name: content for name, content in default_files.items() if name.startswith("LICENSE")}
        sources = FaceSources(
            DEFAULT_BUNDLE / default["face"]["model"]["file"],
            ROOT / "training" / "checkpoints" / "face_regressor.pt",
            paths["face_shape"],
            paths["fine_color"],
        )
        add_face_parts(manifest, files, sources, (PHOTOGRAPH,), "fp16")
        encoder = manifest["graphs"]["shape_encoder"]["file"]
        files[encoder] = with_maps(files[encoder], depth_maps(PAPER_SHAPE.feature_size))
        write_bundle(out, manifest, files)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    logging.basicConfig(level=logging.WARNING)
    build(parser.parse_args().out)


if __name__ == "__main__":
    main()
