"""Configurations of the networks: the published sizes and the compact ones that ship.

A configuration is a frozen dataclass of plain numbers and strings; it travels inside checkpoints and
bundles as a dictionary.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

Norm = Literal["group", "batch"]
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
        return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})


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
    code_channels
        Of the last map, whose places are kept apart on the way to the coefficients.
    """

    crop_size_px: int
    shrink: int
    side_m: float
    stem_channels: tuple[int, ...]
    stage_channels: tuple[int, ...]
    stage_blocks: tuple[int, ...]
    code_channels: int

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

COMPACT_FACE_REGRESSOR = FaceRegressorConfig(
    crop_size_px=224,
    shrink=2,
    side_m=0.22,
    stem_channels=(24, 48),
    stage_channels=(48, 96, 160),
    stage_blocks=(1, 2, 1),
    code_channels=48,
)
