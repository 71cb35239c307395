"""The implicit function: a skip-concatenated MLP over pixel-aligned features and depth (paper Eq. 1)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["sigmoid", "tanh"]


def sample_features(features: Tensor, points: Tensor) -> Tensor:
    """Bilinear samples with aligned corners and zero padding.

    Parameters
    ----------
    features
        (B, C, H, W).
    points
        (B, N, 2 or 3) in view coordinates; z is not used.

    Returns
    -------
    Tensor
        (B, C, N).
    """
    grid = points[:, None, :, :2].to(features.dtype)
    return F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=True)[:, :, 0]


class ImplicitHead(nn.Module):
    """Layer widths `in_channels + 1 (depth)`, `*hidden_widths`, `out_channels`.

    Every layer after the first takes `[hidden, input]`. Leaky ReLU 0.01 between, and at the end
    `sigmoid` or `tanh` (colour, mapped to 0 .. 1).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_widths: tuple[int, ...],
        out_channels: int,
        depth_scale: float,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.depth_scale = depth_scale
        self.activation = activation
        raw = in_channels + 1
        widths = (*hidden_widths, out_channels)
        inputs = (raw, *(width + raw for width in hidden_widths))
        self.layers = nn.ModuleList(nn.Conv1d(i, o, 1) for i, o in zip(inputs, widths, strict=True))

    @property
    def widths(self) -> tuple[int, ...]:
        """Input width, hidden widths, output width."""
        return (self.layers[0].in_channels, *(layer.out_channels for layer in self.layers))

    def logits(self, samples: Tensor, depth: Tensor) -> Tensor:
        """Before the last activation. samples (B, C, N), depth (B, N) = view z -> (B, out, N)."""
        raw = torch.cat([samples, (depth * self.depth_scale)[:, None].to(samples.dtype)], 1)
        hidden = raw
        for i, layer in enumerate(self.layers):
            hidden = layer(hidden if i == 0 else torch.cat([hidden, raw], 1))
            if i < len(self.layers) - 1:
                hidden = F.leaky_relu(hidden, 0.01)
        return hidden

    def forward(self, samples: Tensor, depth: Tensor) -> Tensor:
        """Occupancy or colour in [0, 1], (B, out, N)."""
        logits = self.logits(samples, depth).float()
        return torch.sigmoid(logits) if self.activation == "sigmoid" else (torch.tanh(logits) + 1) / 2
