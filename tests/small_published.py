"""Published weights made small: names and order of the real files, a fraction of their channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from jiffexport.nets import (
    PAPER_COLOR,
    PAPER_FACE_SHAPE,
    PAPER_FINE_COLOR,
    ColorNet,
    FaceShapeNet,
    FineColorNet,
    JointHeadConfig,
    ShapeNet,
)

JOINT = JointHeadConfig(widths_2d=(24, 16), widths_3d=(16, 12), widths_joint=(24, 16, 8))
FACE_SHAPE = replace(
    PAPER_FACE_SHAPE,
    body=replace(
        PAPER_FACE_SHAPE.body,
        stem_channels=(32, 128, 128),
        feature_channels=128,
        num_stacks=2,
        hourglass_depth=1,
        hidden_widths=(32, 16),
    ),
    volume=replace(
        PAPER_FACE_SHAPE.volume, point_channels=8, unet_channels=(16, 32), feature_channels=6, num_blocks=3
    ),
    face_head=JOINT,
)
COLOR = replace(
    PAPER_COLOR, base_channels=32, num_blocks=2, shape_feature_channels=128, hidden_widths=(32, 24, 16, 8)
)
FINE_COLOR = replace(
    PAPER_FINE_COLOR,
    base_channels=32,
    num_blocks=1,
    coarse_channels=16,
    hidden_widths=(32, 16),
    volume=replace(
        PAPER_FINE_COLOR.volume,
        point_channels=8,
        unet_channels=(16, 32),
        feature_channels=6,
        base_channels=8,
    ),
    face_head=JOINT,
)


_BODY = {"head.layers.": "surface_classifier.conv", "encoder.": "image_filter."}
_JOINT_PARTS = {"branch_2d.layers.": "2d_conv", "branch_3d.layers.": "3d_conv", "joint.layers.": "joint_conv"}


def _face(points: str, head: str) -> dict[str, str]:
    names = {"volume.unet3d.": "tdmm_filter.unet3d.", "volume.points.": points}
    return names | {f"face_head.{ours}": f"{head}.features_{part}" for ours, part in _JOINT_PARTS.items()}


_NAMES = {
    "netG": {f"body.{ours}": theirs for ours, theirs in _BODY.items()}
    | _face("tdmm_filter.", "surface_classifier_multiLoss"),
    "net_G": _BODY,
    "netC_coarse": _BODY,
    "net_C": _BODY,
    "netC": _BODY | _face("tdmm_filter.pointnetpp.", "surface_classifier_joint"),
}


def small_network(name: str) -> torch.nn.Module:
    """What the file of that name becomes; `net_G` has the body of `netG`."""
    torch.manual_seed(0)
    shape = FaceShapeNet(FACE_SHAPE)
    if name in ("netG", "net_G"):
        return shape if name == "netG" else _body(shape)
    return FineColorNet(FINE_COLOR) if name == "netC" else ColorNet(COLOR)


def published_tensors(name: str) -> dict[str, torch.Tensor]:
    """The state dictionary under the published names, with what such files hold and nobody reads."""
    tensors = {}
    for ours, tensor in small_network(name).state_dict().items():
        before = next(start for start in _NAMES[name] if ours.startswith(start))
        tensors[_NAMES[name][before] + ours.removeprefix(before)] = tensor
    if name in ("netG", "net_G"):
        tensors["image_filter.conv2.bn4.weight"] = torch.ones(32)
    if name == "netG":
        tensors["smpl_filter.fc_pos.weight"] = torch.ones(4, 3)
        tensors["smpl_filter.fc_pos.bias"] = torch.ones(4)
    return tensors


def save_published(folder: Path, name: str, changes: dict[str, torch.Tensor] | None = None) -> Path:
    """Writes the file, without a suffix as the published training does."""
    path = folder / name
    torch.save(published_tensors(name) | (changes or {}), path)
    return path


def _body(shape: FaceShapeNet) -> ShapeNet:
    assert shape.body is not None
    return shape.body
