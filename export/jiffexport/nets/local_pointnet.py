"""The point encoder for shape: a PointNet with max pooling inside of voxels (paper Sec. 5, [49]).

Module names follow the published checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .point_ops import voxel_max


class LinearBlock(nn.Module):
    """Residual block of two linear layers, ReLU before each. (..., Cin) -> (..., Cout)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        hidden = min(in_channels, out_channels)
        self.fc_0 = nn.Linear(in_channels, hidden)
        self.fc_1 = nn.Linear(hidden, out_channels)
        self.shortcut = nn.Linear(in_channels, out_channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.fc_1(F.relu(self.fc_0(F.relu(x))))


class LocalPointNet(nn.Module):
    """Codes of the vertices of a plain mesh; every block but the first also sees its voxel's maximum.

    Parameters
    ----------
    channels, num_blocks
        Width of a code, and residual blocks.
    offset_resolution
        Voxels along a side, if a vertex's place in its voxel is a part of the input.
    """

    def __init__(self, channels: int, num_blocks: int, offset_resolution: int | None = None) -> None:
        super().__init__()
        self.offset_resolution = offset_resolution
        self.fc_pos = nn.Linear(3 if offset_resolution is None else 6, 2 * channels)
        self.blocks = nn.ModuleList(LinearBlock(2 * channels, channels) for _ in range(num_blocks))
        self.fc_c = nn.Linear(channels, channels)

    def forward(self, coordinates: Tensor, voxels: Tensor) -> Tensor:
        """Coordinates (B, N, 3) in the unit cube and their voxels (B, N) -> codes (B, N, C)."""
        codes = self.stage(0, coordinates)
        for index in range(1, len(self.blocks)):
            codes = self.stage(index, codes, voxel_max(codes, voxels))
        return codes

    def stage(self, index: int, codes: Tensor, pooled: Tensor | None = None) -> Tensor:
        """The dense part between two poolings; stage 0 takes coordinates and nothing pooled."""
        if pooled is None:
            codes = self.blocks[index](self.fc_pos(self._placed(codes)))
        else:
            codes = self.blocks[index](torch.cat([codes, pooled], 2))
        return self.fc_c(codes) if index == len(self.blocks) - 1 else codes

    def _placed(self, coordinates: Tensor) -> Tensor:
        """Coordinates (B, N, 3), with those in the vertex's own voxel, -0.5 to 0.5, behind them if wanted."""
        if self.offset_resolution is None:
            return coordinates
        place = coordinates * self.offset_resolution
        return torch.cat([coordinates, place - torch.floor(place) - 0.5], 2)
