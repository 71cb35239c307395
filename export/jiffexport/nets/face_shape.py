"""The shape network with a face: body head and joint face head on one image encoder (paper Sec. 4)."""

from __future__ import annotations

from torch import Tensor, nn

from .config import FaceShapeConfig
from .face_volume import ShapeVolumeEncoder
from .head import sample_features
from .head_encoder import HeadEncoder, HeadFrame
from .joint_head import JointHead, JointOutputs
from .shape import ShapeNet
from .volume_frame import VolumeFrame, sample_volume


class FaceShapeNet(nn.Module):
    """With `has_body` False the network is the face's parts alone, trained on a finished body's features."""

    def __init__(self, config: FaceShapeConfig, has_body: bool = True) -> None:
        super().__init__()
        self.config = config
        self.body = ShapeNet(config.body) if has_body else None
        self.volume = ShapeVolumeEncoder(config.volume)
        self.head = None
        if config.head_encoder is not None:
            self.head = HeadEncoder(config.head_encoder, config.body.feature_channels)
        self.face_head = JointHead(
            config.face_head,
            config.features_2d,
            config.volume.feature_channels,
            1,
            config.depth_scale,
            activation="sigmoid",
        )

    def face_occupancy(
        self, features: Tensor, volume: Tensor, frame: VolumeFrame, points: Tensor
    ) -> JointOutputs:
        """Occupancies (B, 1, N) in [0, 1] at points of the face region (paper Eq. 3).

        Parameters
        ----------
        features
            (B, C, H, W) of the head's encoder, or without one of the body's.
        volume, frame
            Of `volume`, for the same photographs.
        points
            (B, N, 3), view coordinates.
        """
        samples_3d = sample_volume(volume, frame.coordinates(points))
        on_map, depth = self.pixel_aligned(frame, points)
        return self.face_head.outputs(sample_features(features, on_map), samples_3d, depth)

    def pixel_aligned(self, frame: VolumeFrame, points: Tensor) -> tuple[Tensor, Tensor]:
        """Where points (B, N, 3) are on the map of the 2-D features, (B, N, 2 or more), and depth (B, N)."""
        if self.config.head_encoder is None:
            return points, points[..., 2]
        placed = HeadFrame(frame, self.config.head_encoder.reach).on_map(points)
        return placed, placed[..., 2]
