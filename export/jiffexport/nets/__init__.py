"""The networks, in torch: one class a part, sized by a configuration."""

from .color import ColorNet
from .config import (
    COMPACT_COLOR,
    COMPACT_FACE_REGRESSOR,
    COMPACT_SHAPE,
    PAPER_COLOR,
    PAPER_SHAPE,
    ColorConfig,
    FaceRegressorConfig,
    ShapeConfig,
)
from .face_regressor import FaceRegressor
from .head import ImplicitHead, sample_features
from .hourglass import HourglassEncoder
from .published_face import PublishedFaceRegressor
from .residual_encoder import ResidualEncoder
from .shape import ShapeNet

__all__ = [
    "COMPACT_COLOR",
    "COMPACT_FACE_REGRESSOR",
    "COMPACT_SHAPE",
    "PAPER_COLOR",
    "PAPER_SHAPE",
    "ColorConfig",
    "ColorNet",
    "FaceRegressor",
    "FaceRegressorConfig",
    "HourglassEncoder",
    "ImplicitHead",
    "PublishedFaceRegressor",
    "ResidualEncoder",
    "ShapeConfig",
    "ShapeNet",
    "sample_features",
]
