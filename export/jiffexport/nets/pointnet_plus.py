"""The point encoder for colour: PointNet++ over the coloured mesh (paper Sec. 4.2, [52]).

Two levels group the points around centres, one takes them all, and three propagate back. Module names
follow the published checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ColorVolumeConfig
from .point_ops import ball_query, farthest_points, gather_points, interpolate_nearest


class SetAbstraction(nn.Module):
    """Pointwise layers and a maximum over each group.

    `num_centers` None: one group of all points.
    """

    def __init__(
        self,
        in_channels: int,
        widths: tuple[int, ...],
        num_centers: int | None = None,
        radius: float = 0.0,
        group_size: int = 0,
    ) -> None:
        super().__init__()
        self.num_centers, self.radius, self.group_size = num_centers, radius, group_size
        inputs = (in_channels, *widths[:-1])
        self.mlp_convs = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(inputs, widths, strict=True))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)

    def forward(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Points (B, N, 3) and codes (B, N, C) -> centres (B, M, 3) and their codes (B, M, C')."""
        centers, groups = self.group(points, codes)
        return centers, self.encode(groups)

    def group(self, points: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What happens outside of a graph: centres (B, M, 3) and their groups (B, M, K, C)."""
        if self.num_centers is None:
            return torch.zeros_like(points[:, :1]), torch.cat([points, codes], 2)[:, None]
        centers = gather_points(points, farthest_points(points, self.num_centers))
        index = ball_query(points, centers, self.radius, self.group_size)
        offsets = gather_points(points, index) - centers[:, :, None]
        return centers, torch.cat([offsets, gather_points(codes, index)], 3)

    def encode(self, groups: Tensor) -> Tensor:
        """The dense part: groups (B, M, K, C) of offsets from the centre and codes -> (B, M, C')."""
        x = groups.permute(0, 3, 2, 1)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = F.relu(norm(conv(x)))
        return x.amax(2).transpose(1, 2)


class FeaturePropagation(nn.Module):
    """Codes of few points carried to many, joined with what these have, and pointwise layers."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.mlp_convs = nn.ModuleList(nn.Conv1d(i, o, 1) for i, o in zip(inputs, widths, strict=True))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(self, own: Tensor | None, carried: Tensor) -> Tensor:
        """(B, N, C1) or None, and (B, N, C2) at the same points -> (B, N, C')."""
        x = (carried if own is None else torch.cat([own, carried], 2)).transpose(1, 2)
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = F.relu(norm(conv(x)))
        return x.transpose(1, 2)


class PointNetPlus(nn.Module):
    """Codes of the vertices of a coloured mesh."""

    def __init__(self, config: ColorVolumeConfig) -> None:
        super().__init__()
        base, (centers1, centers2) = config.base_channels, config.num_centers
        (radius1, radius2), (group1, group2) = config.radii, config.group_sizes
        self.sa1 = SetAbstraction(9, (base, base, 2 * base), centers1, radius1, group1)
        self.sa2 = SetAbstraction(2 * base + 3, (2 * base, 2 * base, 4 * base), centers2, radius2, group2)
        self.sa3 = SetAbstraction(4 * base + 3, (4 * base, 8 * base, 16 * base))
        self.fp3 = FeaturePropagation(20 * base, (4 * base, 4 * base))
        self.fp2 = FeaturePropagation(6 * base, (4 * base, 2 * base))
        self.fp1 = FeaturePropagation(2 * base, (2 * base, 2 * base, config.point_channels))

    def forward(self, coordinates: Tensor, colors: Tensor) -> Tensor:
        """Coordinates (B, N, 3) in the unit cube, colours (B, N, 3) in [0, 1] -> codes (B, N, C)."""
        points1, codes1 = self.sa1(coordinates, torch.cat([coordinates, colors], 2))
        points2, codes2 = self.sa2(points1, codes1)
        _, whole = self.sa3(points2, codes2)
        codes2 = self.fp3(codes2, whole.expand(-1, points2.shape[1], -1))
        codes1 = self.fp2(codes1, interpolate_nearest(codes2, points2, points1))
        return self.fp1(None, interpolate_nearest(codes1, points1, coordinates))
