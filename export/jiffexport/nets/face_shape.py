"""The shape network with a face: body head and joint face head on one image encoder (paper Sec. 4)."""

from __future__ import annotations

from torch import Tensor, nn

from .config import FaceShapeConfig
from .face_volume import ShapeVolumeEncoder
from .head import sample_features
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
        self.face_head = JointHead(
            config.face_head,
            config.body.feature_channels,
            config.volume.feature_channels,
            1,
            config.body.depth_scale,
            activation="sigmoid",
        )

    def face_occupancy(
        self, features: Tensor, volume: Tensor, frame: VolumeFrame, points: Tensor
    ) -> JointOutputs:
        """Occupancies (B, 1, N) in [0, 1] at points of the face region (paper Eq. 3).

        Parameters
        ----------
        features
            (B, C, H, W) of the body's encoder.
        volume, frame
            Of `volume`, for the same photographs.
        points
            (B, N, 3), view coordinates.
        """
        samples_3d = sample_volume(volume, frame.coordinates(points))
        return self.face_head.outputs(sample_features(features, points), samples_3d, points[..., 2])
