"""The fine colour network: large picture, the coarse head's activations, face volume (paper Sec. 4.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .color import blend_pixels
from .config import FineColorConfig
from .face_volume import ColorVolumeEncoder
from .head import ImplicitHead, sample_features
from .joint_head import JointHead, JointOutputs
from .residual_encoder import ResidualEncoder
from .volume_frame import VolumeFrame, sample_volume


class FineColorNet(nn.Module):
    def __init__(self, config: FineColorConfig) -> None:
        super().__init__()
        self.config = config
        channels_2d = config.feature_channels + config.coarse_channels
        num_outputs = 4 if config.blends_image else 3
        self.encoder = ResidualEncoder(config)
        self.head = ImplicitHead(
            channels_2d, config.hidden_widths, num_outputs, config.depth_scale, activation="tanh"
        )
        self.volume = ColorVolumeEncoder(config.volume)
        self.face_head = JointHead(
            config.face_head,
            channels_2d,
            config.volume.feature_channels,
            num_outputs,
            config.depth_scale,
            activation="tanh",
        )

    @staticmethod
    def _samples(features: Tensor, coarse: Tensor, points: Tensor) -> Tensor:
        fine = sample_features(features, points)
        return torch.cat([fine, coarse.to(fine.dtype)], 1)

    def color(self, features: Tensor, coarse: Tensor, image: Tensor, points: Tensor) -> Tensor:
        """Colour (B, 3, N) in [0, 1] at surface points that are not face.

        Parameters
        ----------
        features
            (B, C, H, W) of `encoder`.
        coarse
            (B, C', N): `ColorNet.activations` at the points, after `coarse_layers` layers.
        image
            Encoder input (B, 3 or 4, S, S).
        points
            (B, N, 3), view coordinates.
        """
        output = self.head(self._samples(features, coarse, points), points[..., 2])
        return blend_pixels(output, image, points) if self.config.blends_image else output

    def face_color(
        self,
        features: Tensor,
        coarse: Tensor,
        image: Tensor,
        volume: Tensor,
        frame: VolumeFrame,
        points: Tensor,
    ) -> JointOutputs:
        """Colours (B, 3, N) at points of the face region (paper Eq. 4): `color` with what `volume` gave."""
        outputs = self.face_head.outputs(
            self._samples(features, coarse, points),
            sample_volume(volume, frame.coordinates(points)),
            points[..., 2],
        )
        if not self.config.blends_image:
            return outputs
        return JointOutputs(*(blend_pixels(output, image, points) for output in outputs))
