"""The coarse colour network: residual encoder and colour head (paper Sec. 4.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ColorConfig
from .head import ImplicitHead, sample_features
from .residual_encoder import ResidualEncoder


class ColorNet(nn.Module):
    def __init__(self, config: ColorConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResidualEncoder(config)
        self.head = ImplicitHead(
            config.feature_channels + config.shape_feature_channels,
            config.hidden_widths,
            4 if config.blends_image else 3,
            config.depth_scale,
            activation="tanh",
        )

    def color(self, features: Tensor, shape_features: Tensor, image: Tensor, points: Tensor) -> Tensor:
        """Colour in [0, 1] at surface points.

        Parameters
        ----------
        features, shape_features
            (B, C, H, W) of this encoder and of the shape encoder.
        image
            Encoder input (B, 3 or 4, S, S); its RGB is blended in where the head says so.
        points
            (B, N, 3) in view coordinates.

        Returns
        -------
        Tensor
            (B, 3, N).
        """
        output = self.head(self.samples(features, shape_features, points), points[..., 2])
        return blend_pixels(output, image, points) if self.config.blends_image else output

    @staticmethod
    def samples(features: Tensor, shape_features: Tensor, points: Tensor) -> Tensor:
        """What the head takes beside depth, (B, C, N)."""
        return torch.cat([sample_features(shape_features, points), sample_features(features, points)], 1)

    def activations(self, features: Tensor, shape_features: Tensor, points: Tensor, layers: int) -> Tensor:
        """The head's activations after its first `layers` layers, for the fine network: (B, C, N)."""
        raw = self.head.raw(self.samples(features, shape_features, points), points[..., 2])
        return self.head.activations(raw, layers)


def blend_pixels(output: Tensor, image: Tensor, points: Tensor) -> Tensor:
    """Colour (B, 3, N) of a head with four outputs, the last of which weighs the photograph's pixel."""
    weight = output[:, 3:]
    return weight * sample_pixels(image, points) + (1 - weight) * output[:, :3]


def sample_pixels(image: Tensor, points: Tensor) -> Tensor:
    """The photograph's colour in [0, 1] at view points: (B, N, 3) -> (B, 3, N).

    Unlike feature maps, pixels have their centres at view (2 i + 1) / S - 1; the border is repeated.
    """
    grid = points[:, None, :, :2].to(image.dtype)
    pixels = F.grid_sample(image[:, :3], grid, mode="bilinear", padding_mode="border", align_corners=False)
    return (pixels[:, :, 0].float() + 1) / 2
