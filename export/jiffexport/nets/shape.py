"""The shape network: hourglass encoder and occupancy head ("PIFu head", paper Sec. 3.1)."""

from __future__ import annotations

from torch import Tensor, nn

from .config import ShapeConfig
from .head import ImplicitHead, sample_features
from .hourglass import HourglassEncoder


class ShapeNet(nn.Module):
    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = HourglassEncoder(config)
        self.head = ImplicitHead(
            config.feature_channels, config.hidden_widths, 1, config.depth_scale, activation="sigmoid"
        )

    def occupancy(self, features: Tensor, points: Tensor) -> Tensor:
        """Occupancy in [0, 1] at `points` (B, N, 3), view coordinates -> (B, N)."""
        return self.head(sample_features(features, points), points[..., 2])[:, 0]
