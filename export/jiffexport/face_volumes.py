"""The dense parts of the face volumes' encoders as graphs.

Pooling by voxel, farthest points, balls and carrying codes between point sets depend on the data: the core
computes them (`csrc/ops/voxel_pooling.h`, `csrc/ops/point_sets.h`), here torch does, for the examples that
the graphs are verified with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .exported_graph import ExportedGraph, exported
from .nets import ColorVolumeConfig, ColorVolumeEncoder, ShapeVolumeConfig, ShapeVolumeEncoder
from .nets.point_ops import interpolate_nearest, voxel_indices, voxel_max, voxel_mean
from .nets.volume_frame import volume_frame
from .onnx_graph import Store
from .to_onnx import module_to_onnx
from .verify import Example
from .volume_network import VolumeNetwork


@dataclass(frozen=True)
class FaceMesh:
    """A face to verify with: vertices (1, N, 3) in the view and their colours (1, N, 3) in [0, 1]."""

    vertices: Tensor
    colors: Tensor


@dataclass(frozen=True)
class Part:
    """A piece of a network between two steps that are no graph.

    Attributes
    ----------
    owner
        Holds the weights.
    function
        What the graph computes, of tensors in the order of a call.
    inputs
        Their names.
    output
        The name of what comes out.
    """

    owner: nn.Module
    function: Callable[..., Tensor]
    inputs: tuple[str, ...]
    output: str


class Recorder:
    """Runs the parts of a network and keeps what went in and came out."""

    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self.examples: dict[str, list[Example]] = {}

    def __call__(self, name: str, part: Part, *values: Tensor) -> Tensor:
        output = part.function(*values)
        inputs = {key: value.numpy().copy() for key, value in zip(part.inputs, values, strict=True)}
        self.parts[name] = part
        self.examples.setdefault(name, []).append(Example(inputs, {part.output: output.numpy().copy()}))
        return output

    def export(self, prefix: str, store: Store, provenance: str, license: str) -> dict[str, ExportedGraph]:
        """A verified graph `{prefix}_{name}` of every part that was run, by name."""
        graphs = {}
        for name, part in self.parts.items():
            examples = self.examples[name]
            shapes = {key: value.shape for key, value in examples[0].inputs.items()}
            model = module_to_onnx(_AsModule(part), shapes, [part.output], f"{prefix}_{name}", store)
            graphs[name] = exported(f"{prefix}_{name}", model, examples, store, provenance, license=license)
        return graphs


@dataclass(frozen=True)
class ExportedVolume:
    """The graphs of a volume's encoder by name; `points` of the manifest is made of the point stages."""

    config: ShapeVolumeConfig | ColorVolumeConfig
    graphs: dict[str, ExportedGraph]
    appends_ones: bool

    def manifest_entry(self) -> dict[str, Any]:
        config = self.config
        entry = {
            "frame": config.frame,
            "frame_margin": config.frame_margin,
            "resolution": config.resolution,
        }
        if self.appends_ones:
            entry["appends_ones"] = True
        stages = {name: graph.manifest_entry() for name, graph in self.graphs.items()}
        unet = stages.pop("unet")
        if isinstance(config, ColorVolumeConfig):
            entry["num_centers"] = list(config.num_centers)
            entry["radii"] = list(config.radii)
            entry["group_sizes"] = list(config.group_sizes)
            return entry | {"points": stages, "unet": unet}
        return entry | {"points": list(stages.values()), "unet": unet}


def export_shape_volume(
    encoder: ShapeVolumeEncoder,
    network: VolumeNetwork,
    meshes: Sequence[FaceMesh],
    store: Store,
    provenance: str,
    license: str,
) -> ExportedVolume:
    """Graphs `points_0`, … and `unet`, which is `network`, verified on `meshes`; at least one.

    Raises
    ------
    VerificationError
        A graph strays from torch; its name is in the message.
    """
    config, points, record = encoder.config, encoder.points, Recorder()
    stages = [_shape_stage(points, index) for index in range(len(points.blocks))]
    with torch.inference_mode():
        for mesh in meshes:
            coordinates = volume_frame(config, mesh.vertices).coordinates(mesh.vertices)
            voxels = voxel_indices(coordinates, config.resolution)
            codes = record("points_0", stages[0], coordinates)
            for index, stage in enumerate(stages[1:], start=1):
                codes = record(f"points_{index}", stage, codes, voxel_max(codes, voxels))
            record("unet", _unet(network), voxel_mean(codes, voxels, config.resolution))
    graphs = record.export("face_shape", store, provenance, license)
    return ExportedVolume(config, graphs, network.ends_before_final_conv)


def export_color_volume(
    encoder: ColorVolumeEncoder,
    network: VolumeNetwork,
    meshes: Sequence[FaceMesh],
    store: Store,
    provenance: str,
    license: str,
) -> ExportedVolume:
    """Graphs `sa1` to `fp1` and `unet`, which is `network`, verified on `meshes`; at least one.

    Raises
    ------
    VerificationError
        A graph strays from torch; its name is in the message.
    """
    config, net, record = encoder.config, encoder.points, Recorder()
    sa1, sa2, sa3 = (Part(s, s.encode, ("groups",), "codes") for s in (net.sa1, net.sa2, net.sa3))
    fp3, fp2 = (Part(f, f, ("own", "carried"), "codes") for f in (net.fp3, net.fp2))
    fp1 = Part(net.fp1, lambda carried: net.fp1(None, carried), ("carried",), "codes")
    with torch.inference_mode():
        for mesh in meshes:
            coordinates = volume_frame(config, mesh.vertices).coordinates(mesh.vertices)
            centers1, groups1 = net.sa1.group(coordinates, torch.cat([coordinates, mesh.colors], 2))
            codes1 = record("sa1", sa1, groups1)
            centers2, groups2 = net.sa2.group(centers1, codes1)
            codes2 = record("sa2", sa2, groups2)
            whole = record("sa3", sa3, net.sa3.group(centers2, codes2)[1])
            codes2 = record("fp3", fp3, codes2, whole.expand(-1, centers2.shape[1], -1))
            codes1 = record("fp2", fp2, codes1, interpolate_nearest(codes2, centers2, centers1))
            codes = record("fp1", fp1, interpolate_nearest(codes1, centers1, coordinates))
            voxels = voxel_indices(coordinates, config.resolution)
            record("unet", _unet(network), voxel_mean(codes, voxels, config.resolution))
    graphs = record.export("face_color", store, provenance, license)
    return ExportedVolume(config, graphs, network.ends_before_final_conv)


class _AsModule(nn.Module):
    """A part as a module, so that the exporter finds its weights."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.owner = part.owner
        self.function = part.function

    def forward(self, *values: Tensor) -> Tensor:
        return self.function(*values)


def _shape_stage(points: nn.Module, index: int) -> Part:
    inputs = ("coordinates",) if index == 0 else ("own", "pooled")
    return Part(points, lambda *values: points.stage(index, *values), inputs, "codes")


def _unet(network: VolumeNetwork) -> Part:
    return Part(network, network, ("volume",), "features")
