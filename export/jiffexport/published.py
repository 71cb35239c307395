"""Weights in the layout of the published implementation: bare state dictionaries under its names.

Its three files become networks of the `paper` configurations. Parts whose modules are named alike keep
their names; the others are renamed here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from torch import Tensor, nn

from .checkpoint import check_tensors, read_dictionary
from .errors import CheckpointError
from .nets import (
    PAPER_COLOR,
    PAPER_FACE_SHAPE,
    PAPER_FINE_COLOR,
    ColorNet,
    FaceShapeNet,
    FineColorNet,
)

NetworkT = TypeVar("NetworkT", bound=nn.Module)

# Tensors that the files hold and nothing reads: a body-model encoder, and the norms of the hourglass's
# residual blocks that are either idle or a second name of the norm in `downsample`.
_UNUSED = re.compile(r"^smpl_filter\.|^image_filter\.(?:.*\.)?bn4\.")

_FACE_HEAD = [
    (
        re.compile(rf"^surface_classifier_(?:multiLoss|joint)\.features_{theirs}_conv"),
        f"face_head.{ours}.layers.",
    )
    for theirs, ours in (("2d", "branch_2d"), ("3d", "branch_3d"), ("joint", "joint"))
]
_VOLUME = [
    (re.compile(r"^tdmm_filter\.unet3d\."), "volume.unet3d."),
    (re.compile(r"^tdmm_filter\.(?:pointnetpp\.)?"), "volume.points."),
]
_HEAD = [(re.compile(r"^surface_classifier\.conv"), "head.layers.")]
_ENCODER = [(re.compile(r"^image_filter\."), "encoder.")]
_BODY = [(pattern, f"body.{ours}") for pattern, ours in _HEAD + _ENCODER]


def load_published_shape(path: Path) -> FaceShapeNet:
    """The shape network (`netG`). Raises `CheckpointError`, which names the file and what is wrong."""
    return _load(path, FaceShapeNet(PAPER_FACE_SHAPE), _BODY + _VOLUME + _FACE_HEAD)


def load_published_color(path: Path) -> ColorNet:
    """The coarse colour network (`netC_coarse`). Raises `CheckpointError`."""
    return _load(path, ColorNet(PAPER_COLOR), _HEAD + _ENCODER)


def load_published_fine_color(path: Path) -> FineColorNet:
    """The fine colour network (`netC_fine`). Raises `CheckpointError`."""
    return _load(path, FineColorNet(PAPER_FINE_COLOR), _HEAD + _ENCODER + _VOLUME + _FACE_HEAD)


def _load(path: Path, network: NetworkT, renames: list[tuple[re.Pattern[str], str]]) -> NetworkT:
    model: dict[str, Tensor] = {}
    for name, tensor in read_dictionary(path).items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(
                f"{path}: entry {name!r} must be a tensor, got {type(tensor).__name__}; "
                "published weights are bare state dictionaries"
            )
        if not _UNUSED.search(name):
            model[_renamed(name, renames)] = tensor
    check_tensors(path, model, network.state_dict())
    network.load_state_dict(model)
    return network.eval()


def _renamed(name: str, renames: list[tuple[re.Pattern[str], str]]) -> str:
    for pattern, ours in renames:
        if pattern.search(name):
            return pattern.sub(ours, name)
    return name
