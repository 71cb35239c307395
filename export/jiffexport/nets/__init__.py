"""The networks, in torch: one class a part, sized by a configuration."""

from .color import ColorNet
from .config import (
    COMPACT_COLOR,
    COMPACT_FACE_REGRESSOR,
    COMPACT_FACE_SHAPE,
    COMPACT_FINE_COLOR,
    COMPACT_SHAPE,
    PAPER_COLOR,
    PAPER_FACE_SHAPE,
    PAPER_FINE_COLOR,
    PAPER_SHAPE,
    ColorConfig,
    ColorVolumeConfig,
    FaceRegressorConfig,
    FaceShapeConfig,
    FineColorConfig,
    HeadEncoderConfig,
    JointHeadConfig,
    ShapeConfig,
    ShapeVolumeConfig,
)
from .face_regressor import FaceRegressor
from .face_shape import FaceShapeNet
from .face_volume import ColorVolumeEncoder, ShapeVolumeEncoder
from .fine_color import FineColorNet
from .head import ImplicitHead, sample_features
from .head_encoder import HeadEncoder, HeadFrame
from .hourglass import HourglassEncoder
from .joint_head import JointHead, JointOutputs
from .published_face import PublishedFaceRegressor
from .residual_encoder import ResidualEncoder
from .shape import ShapeNet
from .volume_frame import VolumeFrame, sample_volume, volume_frame

__all__ = [
    "COMPACT_COLOR",
    "COMPACT_FACE_SHAPE",
    "COMPACT_FINE_COLOR",
    "COMPACT_FACE_REGRESSOR",
    "COMPACT_SHAPE",
    "PAPER_COLOR",
    "PAPER_FACE_SHAPE",
    "PAPER_FINE_COLOR",
    "PAPER_SHAPE",
    "ColorConfig",
    "ColorNet",
    "ColorVolumeConfig",
    "ColorVolumeEncoder",
    "FaceShapeConfig",
    "FaceShapeNet",
    "FineColorConfig",
    "FineColorNet",
    "HeadEncoder",
    "HeadEncoderConfig",
    "HeadFrame",
    "HourglassEncoder",
    "ImplicitHead",
    "JointHead",
    "JointHeadConfig",
    "JointOutputs",
    "FaceRegressor",
    "FaceRegressorConfig",
    "PublishedFaceRegressor",
    "ResidualEncoder",
    "ShapeConfig",
    "ShapeNet",
    "ShapeVolumeConfig",
    "ShapeVolumeEncoder",
    "VolumeFrame",
    "sample_features",
    "sample_volume",
    "volume_frame",
]
