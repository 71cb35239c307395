"""Configurations of the networks: the published sizes and the compact ones that ship.

A configuration is a frozen dataclass of plain numbers and strings; it travels inside checkpoints and
bundles as a dictionary.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args, get_type_hints

Norm = Literal["group", "batch"]
VolumeFrameKind = Literal["body", "face"]
ConfigT = TypeVar("ConfigT", bound="_Config")


@dataclass(frozen=True)
class _Config:
    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain values, for checkpoints and manifests."""
        return asdict(self)

    @classmethod
    def from_dict(cls: type[ConfigT], values: dict[str, Any]) -> ConfigT:
        """The inverse of `to_dict`.

        Raises
        ------
        ValueError
            If a key is missing or unknown; the message names it.
        """
        known = {field.name for field in fields(cls)}
        unknown, missing = sorted(set(values) - known), sorted(known - set(values))
        if unknown or missing:
            raise ValueError(f"{cls.__name__}: unknown keys {unknown}, missing keys {missing}")
        kinds = get_type_hints(cls)
        return cls(**{key: _parsed(kinds[key], value) for key, value in values.items()})


def _parsed(kind: Any, value: Any) -> Any:
    """A field's value from plain ones: dictionaries become configurations, lists tuples."""
    if isinstance(value, dict):
        return (kind if isinstance(kind, type) else get_args(kind)[0]).from_dict(value)
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class ShapeConfig(_Config):
    """Stacked-hourglass encoder and occupancy head (paper Sec. 3.1 and 5).

    Attributes
    ----------
    image_size_px
        Side of the square picture that the encoder is trained on and runs on.
    in_channels
        3: masked RGB; 4: the mask as well.
    stem_channels
        Channels after the first convolution and after the two residual blocks that follow it.
    feature_channels
        Channels of the feature map that points are sampled from.
    num_stacks, hourglass_depth
        Hourglasses in a row, each supervised, and how often each halves its resolution.
    hidden_widths
        Widths of the head between its input (features + depth) and its single output.
    depth_scale
        Factor on view z before it enters the head. A body is about 0.1 thick in view coordinates, so the
        published 1.28 asks for steep weights; a larger factor learns depth in far fewer steps.
    estimates_size
        Whether the encoder also estimates the metric side of the frame.
    """

    image_size_px: int
    in_channels: int
    stem_channels: tuple[int, int, int]
    feature_channels: int
    num_stacks: int
    hourglass_depth: int
    norm: Norm
    hidden_widths: tuple[int, ...]
    depth_scale: float
    estimates_size: bool

    @property
    def feature_size(self) -> int:
        """Side of the feature map in texels."""
        return self.image_size_px // 4


@dataclass(frozen=True)
class ColorConfig(_Config):
    """Residual-block encoder and coarse colour head (paper Sec. 4.4; Tex-PIFu).

    Attributes
    ----------
    base_channels
        Channels after the first convolution; doubled by each of the two halvings.
    shape_feature_channels
        Channels of the shape encoder's map, which the head samples as well.
    blends_image
        Whether the head gives a fourth output, the weight with which the photograph's own pixel
        replaces the inferred colour. Where the surface is seen this keeps the photograph's detail.
    """

    image_size_px: int
    in_channels: int
    base_channels: int
    num_blocks: int
    norm: Norm
    shape_feature_channels: int
    hidden_widths: tuple[int, ...]
    depth_scale: float
    blends_image: bool

    @property
    def feature_channels(self) -> int:
        return 4 * self.base_channels


@dataclass(frozen=True)
class FaceRegressorConfig(_Config):
    """The network that reads the coefficients of a face model from an aligned crop (paper Sec. 4.1).

    Attributes
    ----------
    crop_size_px
        Side of the square crop that the graph takes.
    shrink
        Whole factor by which the graph averages blocks of the crop first; training cuts crops so small.
    side_m
        Side of the crop on a mean face, metres; what a log scale of zero means.
    stem_channels
        After each of the halving convolutions at the start.
    stage_channels, stage_blocks
        Channels and residual blocks of the stages, each of which has half the resolution of the one before.
    map_channels
        Of the map of the first stage's size that joins all stages; landmarks are found and read in it.
    point_channels
        Kept of what is read at a landmark.
    code_channels
        Of the last map, whose places are kept apart on the way to the coefficients.
    hidden_channels
        Between all these and the coefficients.
    num_corrections
        How often the coefficients are corrected by how far their landmarks are from those found.
    """

    crop_size_px: int
    shrink: int
    side_m: float
    stem_channels: tuple[int, ...]
    stage_channels: tuple[int, ...]
    stage_blocks: tuple[int, ...]
    map_channels: int
    point_channels: int
    code_channels: int
    hidden_channels: int
    num_corrections: int

    @property
    def image_size_px(self) -> int:
        """Side of what the first convolution sees."""
        return self.crop_size_px // self.shrink


PAPER_SHAPE = ShapeConfig(
    image_size_px=512,
    in_channels=3,
    stem_channels=(64, 128, 128),
    feature_channels=256,
    num_stacks=4,
    hourglass_depth=2,
    norm="group",
    hidden_widths=(1024, 512, 256, 128),
    depth_scale=256 / 200,
    estimates_size=False,
)

PAPER_COLOR = ColorConfig(
    image_size_px=512,
    in_channels=3,
    base_channels=64,
    num_blocks=6,
    norm="group",
    shape_feature_channels=256,
    hidden_widths=(1024, 512, 256, 128),
    depth_scale=256 / 200,
    blends_image=False,
)

COMPACT_SHAPE = ShapeConfig(
    image_size_px=512,
    in_channels=4,
    stem_channels=(32, 64, 96),
    feature_channels=128,
    num_stacks=2,
    hourglass_depth=4,
    norm="batch",
    hidden_widths=(256, 256, 128, 64),
    depth_scale=8 * 256 / 200,
    estimates_size=True,
)

COMPACT_COLOR = ColorConfig(
    image_size_px=512,
    in_channels=4,
    base_channels=24,
    num_blocks=4,
    norm="batch",
    shape_feature_channels=128,
    hidden_widths=(256, 128, 64),
    depth_scale=256 / 200,
    blends_image=True,
)


@dataclass(frozen=True)
class VolumeConfig(_Config):
    """Face mesh to feature volume: the 3-D U-Net and the frame of the volume (paper Sec. 4.2).

    Attributes
    ----------
    frame
        Where the volume lies. `body`: the published cube around the whole frame, in which a face takes
        some 50 voxels. `face`: a cube around the face mesh.
    frame_margin
        `face` only: what is free around the mesh's longest side, as a fraction of it, on either end.
    resolution
        Voxels along a side.
    point_channels
        Width of a vertex's code, which the volume holds the mean of.
    unet_channels
        Channels at each level of the U-Net; each level halves the resolution of the one before.
    norm
        Of the U-Net. `group`: 8 groups, as published. `batch`: no sums over a hundred thousand voxels,
        which engines round to 3e-4 of the result.
    feature_channels
        Channels of the volume that points are sampled from.
    """

    frame: VolumeFrameKind
    frame_margin: float
    resolution: int
    point_channels: int
    unet_channels: tuple[int, ...]
    norm: Norm
    feature_channels: int


@dataclass(frozen=True)
class ShapeVolumeConfig(VolumeConfig):
    """Volume of the plain mesh; the point encoder is a local-pooled PointNet.

    Attributes
    ----------
    num_blocks
        Residual blocks of the point encoder; voxels are max-pooled between one and the next.
    sees_offsets
        Whether the point encoder is told where in its voxel a vertex lies, beside where in the cube. The
        published one is not: it would have to learn a saw-tooth of as many teeth as there are voxels.
    """

    num_blocks: int
    sees_offsets: bool


@dataclass(frozen=True)
class ColorVolumeConfig(VolumeConfig):
    """Volume of the coloured mesh; the point encoder is a PointNet++ of three levels.

    Attributes
    ----------
    base_channels
        Channels of the narrowest layers; the other layers' are multiples.
    num_centers, radii, group_sizes
        Of the two levels that group: how many centres, the reach of a group in cube sides, and how many
        points a group takes.
    """

    base_channels: int
    num_centers: tuple[int, int]
    radii: tuple[float, float]
    group_sizes: tuple[int, int]


@dataclass(frozen=True)
class JointHeadConfig(_Config):
    """Widths of the hidden layers of MLP(2-D) ⊕ MLP(3-D) → MLP (paper Sec. 4.3)."""

    widths_2d: tuple[int, ...]
    widths_3d: tuple[int, ...]
    widths_joint: tuple[int, ...]


@dataclass(frozen=True)
class HeadEncoderConfig(_Config):
    """The encoder of the picture of a head, in the frame of its volume (`nets/head_encoder.py`).

    Attributes
    ----------
    picture_size_px
        Side of the square picture of the head.
    reach
        Half the side of what the picture shows, in half sides of the volume's cube.
    level_channels
        Channels at a half, a quarter, ... of the picture's side. The feature map has those of the first, and
        two more before them.
    depth_scale
        Factor on depth in the head's frame before it enters encoder and head.
    """

    picture_size_px: int
    reach: float
    level_channels: tuple[int, ...]
    depth_scale: float

    @property
    def feature_channels(self) -> int:
        return 2 + self.level_channels[0]

    @property
    def feature_size(self) -> int:
        """Side of the feature map in texels."""
        return self.picture_size_px // 2


@dataclass(frozen=True)
class FaceShapeConfig(_Config):
    """The shape network with a face: body network, shape volume and joint head (paper Eq. 3).

    Attributes
    ----------
    head_encoder
        Where the joint head's 2-D features come from: an encoder of the head's own picture, or None, as
        published: from the body's.
    """

    body: ShapeConfig
    volume: ShapeVolumeConfig
    head_encoder: HeadEncoderConfig | None
    face_head: JointHeadConfig

    @property
    def features_2d(self) -> int:
        """Channels of the features that the joint head's 2-D branch sees."""
        return (self.head_encoder or self.body).feature_channels

    @property
    def depth_scale(self) -> float:
        """Of the joint head's depth."""
        return (self.head_encoder or self.body).depth_scale


@dataclass(frozen=True)
class FineColorConfig(_Config):
    """The fine colour network: encoder of the large picture, colour volume, two heads (paper Sec. 4.4).

    Attributes
    ----------
    image_size_px
        Side of the square picture that the encoder runs on, twice that of the coarse network.
    coarse_layers, coarse_channels
        The activations of the coarse head that the fine heads take: after how many of its layers, and
        how wide.
    hidden_widths
        Of the head for what is not face.
    blends_image
        As in `ColorConfig`, for both heads.
    """

    image_size_px: int
    in_channels: int
    base_channels: int
    num_blocks: int
    norm: Norm
    coarse_layers: int
    coarse_channels: int
    hidden_widths: tuple[int, ...]
    depth_scale: float
    blends_image: bool
    volume: ColorVolumeConfig
    face_head: JointHeadConfig

    @property
    def feature_channels(self) -> int:
        return 4 * self.base_channels


_PAPER_WIDTHS = (1024, 512, 256, 128)
_PAPER_FACE_HEAD = JointHeadConfig(
    widths_2d=_PAPER_WIDTHS, widths_3d=_PAPER_WIDTHS, widths_joint=_PAPER_WIDTHS
)

PAPER_FACE_SHAPE = FaceShapeConfig(
    body=PAPER_SHAPE,
    volume=ShapeVolumeConfig(
        frame="body",
        frame_margin=0.0,
        resolution=64,
        point_channels=32,
        unet_channels=(32, 64, 128, 256),
        norm="group",
        feature_channels=128,
        num_blocks=5,
        sees_offsets=False,
    ),
    head_encoder=None,
    face_head=_PAPER_FACE_HEAD,
)

PAPER_FINE_COLOR = FineColorConfig(
    image_size_px=1024,
    in_channels=3,
    base_channels=64,
    num_blocks=6,
    norm="group",
    coarse_layers=3,
    coarse_channels=256,
    hidden_widths=_PAPER_WIDTHS,
    depth_scale=512 / 200,
    blends_image=False,
    volume=ColorVolumeConfig(
        frame="body",
        frame_margin=0.0,
        resolution=64,
        point_channels=32,
        unet_channels=(32, 64, 128, 256),
        norm="group",
        feature_channels=128,
        base_channels=64,
        num_centers=(512, 128),
        radii=(0.2, 0.4),
        group_sizes=(32, 64),
    ),
    face_head=_PAPER_FACE_HEAD,
)

_COMPACT_FACE_HEAD = JointHeadConfig(
    widths_2d=(256, 128, 64), widths_3d=(128, 64, 64), widths_joint=(256, 128, 64)
)

COMPACT_FACE_SHAPE = FaceShapeConfig(
    body=COMPACT_SHAPE,
    volume=ShapeVolumeConfig(
        frame="face",
        frame_margin=0.2,
        resolution=32,
        point_channels=16,
        unet_channels=(16, 32, 48),
        norm="batch",
        feature_channels=32,
        num_blocks=4,
        sees_offsets=True,
    ),
    head_encoder=HeadEncoderConfig(
        picture_size_px=128,
        reach=1.3,
        level_channels=(48, 64, 96, 128, 160),
        depth_scale=6.0,
    ),
    face_head=_COMPACT_FACE_HEAD,
)

COMPACT_FINE_COLOR = FineColorConfig(
    image_size_px=1024,
    in_channels=4,
    base_channels=12,
    num_blocks=3,
    norm="batch",
    coarse_layers=3,
    coarse_channels=64,
    hidden_widths=(256, 128, 64),
    depth_scale=256 / 200,
    blends_image=True,
    volume=ColorVolumeConfig(
        frame="face",
        frame_margin=0.2,
        resolution=24,
        point_channels=16,
        unet_channels=(16, 32, 48),
        norm="batch",
        feature_channels=32,
        base_channels=16,
        num_centers=(256, 64),
        radii=(0.1, 0.25),
        group_sizes=(16, 16),
    ),
    face_head=_COMPACT_FACE_HEAD,
)

COMPACT_FACE_REGRESSOR = FaceRegressorConfig(
    crop_size_px=224,
    shrink=2,
    side_m=0.22,
    stem_channels=(16, 32),
    stage_channels=(32, 64, 128),
    stage_blocks=(1, 2, 2),
    map_channels=48,
    point_channels=16,
    code_channels=32,
    hidden_channels=384,
    num_corrections=3,
)
