"""Weights in the layout of the published implementations of JIFF and PIFu.

Bare state dictionaries under their names: `netG`, `netC_coarse` and `netC` of JIFF; `net_G` and `net_C` of
PIFu, whose names are those of `netG` and `netC_coarse` without the face. What they are is told by their
tensors, and their sizes by the tensors' shapes. Parts whose modules are named alike keep their names; the
others are renamed here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from torch import Tensor, nn

from .errors import CheckpointError
from .nets import (
    PAPER_COLOR,
    PAPER_FACE_SHAPE,
    PAPER_FINE_COLOR,
    ColorConfig,
    ColorNet,
    FaceShapeConfig,
    FaceShapeNet,
    FineColorConfig,
    FineColorNet,
    ShapeConfig,
    ShapeNet,
)
from .nets.config import JointHeadConfig, Norm
from .torch_file import check_tensors, listing

Kind = Literal["shape", "color", "fine_color"]
NetworkT = TypeVar("NetworkT", bound=nn.Module)

LICENSE = "LicenseRef-unknown"
"""What a bundle says of weights that came without a licence."""

_DESCRIPTION: dict[Kind, tuple[str, str]] = {
    "shape": ("shape network (netG, or net_G of PIFu)", "--shape"),
    "color": ("coarse colour network (netC_coarse, or net_C of PIFu)", "--color"),
    "fine_color": ("fine colour network (netC)", "--fine-color"),
}

# Tensors that the files hold and nothing reads: a body-model encoder, and the norms of the hourglass's
# residual blocks that are either idle or a second name of the norm in `downsample`.
_UNUSED = {
    "smpl_filter.*": re.compile(r"^smpl_filter\."),
    "image_filter.*.bn4.*": re.compile(r"^image_filter\.(?:.*\.)?bn4\."),
}
_FACE = re.compile(r"^(?:tdmm_filter|surface_classifier_(?:multiLoss|joint))\.")

# Beginnings of our names and of theirs.
_HEAD = {"head.layers.": "surface_classifier.conv"}
_ENCODER = {"encoder.": "image_filter."}
_BODY = {f"body.{ours}": theirs for ours, theirs in (_HEAD | _ENCODER).items()}
_SHAPE_VOLUME = {"volume.unet3d.": "tdmm_filter.unet3d.", "volume.points.": "tdmm_filter."}
_COLOR_VOLUME = {"volume.unet3d.": "tdmm_filter.unet3d.", "volume.points.": "tdmm_filter.pointnetpp."}
_SHAPE_JOINT, _COLOR_JOINT = "surface_classifier_multiLoss.features_", "surface_classifier_joint.features_"


def _joint_head(theirs: str) -> dict[str, str]:
    parts = {"branch_2d": "2d", "branch_3d": "3d", "joint": "joint"}
    return {f"face_head.{ours}.layers.": f"{theirs}{part}_conv" for ours, part in parts.items()}


@dataclass(frozen=True)
class PublishedWeights:
    """The tensors of a published file that are used, under their own names.

    Attributes
    ----------
    ignored
        Groups of tensors that nothing reads, each with its number.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, content: Mapping[str, Any]) -> PublishedWeights:
        """Raises `CheckpointError` if `content` is no state dictionary."""
        tensors: dict[str, Tensor] = {}
        dropped: Counter[str] = Counter()
        for name, tensor in content.items():
            if not isinstance(tensor, Tensor):
                raise CheckpointError(
                    f"{path}: entry {name!r} must be a tensor, got {type(tensor).__name__}; a checkpoint "
                    "names its kind, and published weights are bare state dictionaries"
                )
            name = str(name).removeprefix("module.")  # what torch's parallel wrappers put before
            unused = next((group for group, pattern in _UNUSED.items() if pattern.search(name)), None)
            if unused is None:
                tensors[name] = tensor
            else:
                dropped[unused] += 1
        return cls(path, tensors, tuple(f"{group} ({number})" for group, number in dropped.items()))

    @property
    def has_face(self) -> bool:
        return any(_FACE.search(name) for name in self.tensors)

    def without_face(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in self.tensors.items() if not _FACE.search(name)}

    def kind(self) -> Kind:
        """Which network it is. Raises `CheckpointError` if it is none of them."""
        names = self.tensors.keys()
        if any(name.startswith("image_filter.model.") for name in names):
            return "fine_color" if self.has_face else "color"
        if any(name.startswith("image_filter.") for name in names):
            return "shape"
        raise CheckpointError(
            f"{self.path}: no network that is known here: neither a checkpoint of this project nor "
            f"published weights, which have 'image_filter.*'; it holds {listing(sorted(names), 4)}"
        )

    def require(self, wanted: Kind) -> None:
        """Raises `CheckpointError` if it is another network than `wanted`."""
        found = self.kind()
        if found != wanted:
            (ours, option), (theirs, _) = _DESCRIPTION[found], _DESCRIPTION[wanted]
            raise CheckpointError(
                f"{self.path}: holds a {ours}, not a {theirs}; did you mean {option} {self.path}?"
            )

    def shape(self, name: str) -> tuple[int, ...]:
        if name not in self.tensors:
            raise CheckpointError(f"{self.path}: tensor {name!r} is missing")
        return tuple(self.tensors[name].shape)

    def indices(self, pattern: str) -> list[int]:
        """The numbers that stand for the group of `pattern` in the tensors' names."""
        found = (re.match(pattern, name) for name in self.tensors)
        return sorted({int(match[1]) for match in found if match})

    def norm(self) -> Norm:
        """Of the image encoder."""
        tracked = (n.startswith("image_filter.") and n.endswith("running_mean") for n in self.tensors)
        return "batch" if any(tracked) else "group"

    def widths(self, prefix: str) -> tuple[int, ...]:
        """Of the layers' outputs of an MLP whose layers are `{prefix}{i}`."""
        indices = self.indices(re.escape(prefix) + r"(\d+)\.(?:weight|bias)$")
        if indices != list(range(len(indices))) or len(indices) < 2:
            raise CheckpointError(f"{self.path}: layers {prefix}0, {prefix}1, ... are not all there")
        return tuple(self.shape(f"{prefix}{i}.weight")[0] for i in indices)


def published_provenance(path: Path) -> str:
    """Where the weights come from, in one sentence."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"Weights in the published layout: {path.name} (sha256 {digest})."


def published_shape(weights: PublishedWeights) -> ShapeNet:
    """The body's part of `netG`, or `net_G`. Raises `CheckpointError`."""
    weights.require("shape")
    return _filled(weights, weights.without_face(), ShapeNet, _shape_config(weights), _HEAD | _ENCODER)


def published_face_shape(weights: PublishedWeights) -> FaceShapeNet:
    """The whole `netG`. Raises `CheckpointError`."""
    weights.require("shape")
    if not weights.has_face:
        raise CheckpointError(
            f"{weights.path}: has no parts for a face (tdmm_filter.*); it is a body network, as PIFu's"
        )
    volume = replace(
        PAPER_FACE_SHAPE.volume,
        **_volume_sizes(weights),
        num_blocks=len(weights.indices(r"tdmm_filter\.blocks\.(\d+)\.")),
    )
    config = FaceShapeConfig(_shape_config(weights), volume, None, _joint_config(weights, _SHAPE_JOINT))
    names = _BODY | _SHAPE_VOLUME | _joint_head(_SHAPE_JOINT)
    return _filled(weights, weights.tensors, FaceShapeNet, config, names)


def published_color(weights: PublishedWeights) -> ColorNet:
    """`netC_coarse` or `net_C`. Raises `CheckpointError`."""
    weights.require("color")
    sizes = _residual_sizes(weights)
    raw = weights.shape("surface_classifier.conv0.weight")[1]
    config = ColorConfig(
        **sizes,
        image_size_px=PAPER_COLOR.image_size_px,
        shape_feature_channels=raw - 1 - 4 * sizes["base_channels"],
        depth_scale=PAPER_COLOR.depth_scale,
        blends_image=False,
    )
    return _filled(weights, weights.tensors, ColorNet, config, _HEAD | _ENCODER)


def published_fine_color(weights: PublishedWeights) -> FineColorNet:
    """`netC`. Raises `CheckpointError`."""
    weights.require("fine_color")
    sizes = _residual_sizes(weights)
    raw = weights.shape("surface_classifier.conv0.weight")[1]
    volume = replace(
        PAPER_FINE_COLOR.volume,
        **_volume_sizes(weights),
        base_channels=weights.shape("tdmm_filter.pointnetpp.sa1.mlp_convs.0.weight")[0],
    )
    config = FineColorConfig(
        **sizes,
        image_size_px=PAPER_FINE_COLOR.image_size_px,
        coarse_layers=PAPER_FINE_COLOR.coarse_layers,
        coarse_channels=raw - 1 - 4 * sizes["base_channels"],
        depth_scale=PAPER_FINE_COLOR.depth_scale,
        blends_image=False,
        volume=volume,
        face_head=_joint_config(weights, _COLOR_JOINT),
    )
    names = _HEAD | _ENCODER | _COLOR_VOLUME | _joint_head(_COLOR_JOINT)
    return _filled(weights, weights.tensors, FineColorNet, config, names)


def _shape_config(weights: PublishedWeights) -> ShapeConfig:
    stem = weights.shape("image_filter.conv1.weight")
    # A residual block ends in a half and two quarters of its channels.
    second, third, channels = (2 * weights.shape(f"image_filter.conv{i}.conv1.weight")[0] for i in (2, 3, 4))
    return ShapeConfig(
        image_size_px=PAPER_FACE_SHAPE.body.image_size_px,
        in_channels=stem[1],
        stem_channels=(stem[0], second, third),
        feature_channels=channels,
        num_stacks=len(weights.indices(r"image_filter\.m(\d+)\.")),
        hourglass_depth=len(weights.indices(r"image_filter\.m0\.b1_(\d+)\.")),
        norm=weights.norm(),
        hidden_widths=weights.widths("surface_classifier.conv")[:-1],
        depth_scale=PAPER_FACE_SHAPE.body.depth_scale,
        estimates_size=False,
    )


def _residual_sizes(weights: PublishedWeights) -> dict[str, Any]:
    base, in_channels = weights.shape("image_filter.model.1.weight")[:2]
    return {
        "in_channels": in_channels,
        "base_channels": base,
        "num_blocks": len(weights.indices(r"image_filter\.model\.(\d+)\.conv_block\.")),
        "norm": weights.norm(),
        "hidden_widths": weights.widths("surface_classifier.conv")[:-1],
    }


def _volume_sizes(weights: PublishedWeights) -> dict[str, Any]:
    """What shapes tell of a volume; its resolution, radii and numbers of points leave no trace there."""
    conv = "tdmm_filter.unet3d.encoders.{}.basic_module.{}.conv.weight"
    levels = weights.indices(r"tdmm_filter\.unet3d\.encoders\.(\d+)\.")
    return {
        "point_channels": weights.shape(conv.format(0, "SingleConv1"))[1],
        "unet_channels": tuple(weights.shape(conv.format(i, "SingleConv2"))[0] for i in levels),
        "feature_channels": weights.shape("tdmm_filter.unet3d.final_conv.weight")[0],
    }


def _joint_config(weights: PublishedWeights, prefix: str) -> JointHeadConfig:
    return JointHeadConfig(*(weights.widths(f"{prefix}{part}_conv")[:-1] for part in ("2d", "3d", "joint")))


def _filled(
    weights: PublishedWeights,
    tensors: Mapping[str, Tensor],
    network: Callable[[Any], NetworkT],
    config: Any,
    names: Mapping[str, str],
) -> NetworkT:
    """The network of `config` with `tensors`, in evaluation mode."""
    try:
        built = network(config)
    except (ValueError, RuntimeError) as error:  # widths that no group norm divides, negative channels
        raise CheckpointError(
            f"{weights.path}: the shapes of its tensors make no network: {error}"
        ) from error
    state = built.state_dict()
    theirs = {name: _renamed(name, names) for name in state}
    check_tensors(weights.path, tensors, {theirs[name]: tensor for name, tensor in state.items()})
    model = {name: tensors[their] for name, their in theirs.items() if their in tensors}
    built.load_state_dict(model, strict=False)  # counters may be absent, see `check_tensors`
    return built.eval()


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for ours, theirs in names.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    return name
