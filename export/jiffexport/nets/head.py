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


class SkipMlp(nn.Module):
    """An MLP whose every layer takes `[hidden, raw]`; leaky ReLU 0.01 between the layers.

    Parameters
    ----------
    raw_channels
        Width of the input that every layer sees.
    hidden_widths, out_channels
        Widths of the layers' outputs.
    start_channels
        Width of what stands for `hidden` before the first layer; 0: the first layer sees `raw` alone.
    """

    def __init__(
        self, raw_channels: int, hidden_widths: tuple[int, ...], out_channels: int, start_channels: int = 0
    ) -> None:
        super().__init__()
        widths = (*hidden_widths, out_channels)
        inputs = (start_channels, *hidden_widths)
        self.layers = nn.ModuleList(
            nn.Conv1d(i + raw_channels, o, 1) for i, o in zip(inputs, widths, strict=True)
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Input width, hidden widths, output width."""
        return (self.layers[0].in_channels, *(layer.out_channels for layer in self.layers))

    def activations(self, raw: Tensor, num_layers: int, start: Tensor | None = None) -> Tensor:
        """What the first `num_layers` hidden layers make of `raw` (B, C, N), activated: (B, width, N)."""
        hidden = start
        for layer in self.layers[:num_layers]:
            hidden = F.leaky_relu(layer(raw if hidden is None else torch.cat([hidden, raw], 1)), 0.01)
        assert hidden is not None
        return hidden

    def output(self, hidden: Tensor, raw: Tensor) -> Tensor:
        """The last layer, not activated, on the last hidden activations."""
        return self.layers[-1](torch.cat([hidden, raw], 1))


def activated(logits: Tensor, activation: Activation) -> Tensor:
    """Occupancy, or colour as the hyperbolic tangent mapped to [0, 1], in float32."""
    logits = logits.float()
    return torch.sigmoid(logits) if activation == "sigmoid" else (torch.tanh(logits) + 1) / 2


class ImplicitHead(SkipMlp):
    """Layer widths `in_channels + 1 (depth)`, `*hidden_widths`, `out_channels`.

    Every layer after the first takes `[hidden, input]`. At the end `sigmoid` or `tanh` (colour, mapped to
    0 .. 1).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_widths: tuple[int, ...],
        out_channels: int,
        depth_scale: float,
        activation: Activation,
    ) -> None:
        super().__init__(in_channels + 1, hidden_widths, out_channels)
        self.depth_scale = depth_scale
        self.activation = activation

    def raw(self, samples: Tensor, depth: Tensor) -> Tensor:
        """Samples (B, C, N) and view z (B, N) as the input of the layers, (B, C + 1, N)."""
        return torch.cat([samples, (depth * self.depth_scale)[:, None].to(samples.dtype)], 1)

    def logits(self, samples: Tensor, depth: Tensor) -> Tensor:
        """Before the last activation. samples (B, C, N), depth (B, N) = view z -> (B, out, N)."""
        raw = self.raw(samples, depth)
        return self.output(self.activations(raw, len(self.layers) - 1), raw)

    def forward(self, samples: Tensor, depth: Tensor) -> Tensor:
        """Occupancy or colour in [0, 1], (B, out, N)."""
        return activated(self.logits(samples, depth), self.activation)
